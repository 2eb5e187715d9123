/** Files by scp over SSH: whole ones only, and no listing. Spoken here and not by the program, whose newer versions do
 * SFTP instead. */
import { promisify } from "node:util";
import type { ClientChannel } from "ssh2";
import { fail } from "../../contracts/errors.ts";
import { intoNewFile } from "./copy.ts";
import { Exchanges } from "./exchanges.ts";
import { refuseList } from "./faults.ts";
import { belowRoot, checkedSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { WholeObject } from "./ranged-object.ts";
import { codeOfScp, ScpTransfer, shellWord } from "./scp-transfer.ts";
import type { ScpSettings, SourceTools } from "./settings.ts";
import { SharedSsh } from "./ssh.ts";
import { Turns } from "./turns.ts";
import { mustBeSame } from "./versions.ts";
import { limitsOf, type Watch, type Watched } from "./watch.ts";

const CHANNELS_MAX = 4; // sshd's MaxSessions is 10

export class ScpSource implements ContentSource {
  readonly kind = "scp";
  readonly capabilities = { ranges: false, list: false, strongVersion: false };
  readonly #root: string;
  readonly #exchanges: Exchanges;
  readonly #ssh: SharedSsh;
  readonly #turns = new Turns(CHANNELS_MAX);

  constructor(settings: ScpSettings, tools: SourceTools) {
    const limits = limitsOf(tools, 1);
    this.#root = settings.path;
    this.#exchanges = new Exchanges({ kind: this.kind, log: tools.log, limits, known: codeOfScp });
    this.#ssh = new SharedSsh(settings, limits);
  }

  stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#transfer({ path, signal, bytes: 0 }, (transfer) => transfer.head());
  }

  async open(path: string, options: ReadOptions = {}): Promise<SourceObject> {
    return new WholeObject(this.kind, path, await this.stat(path, options));
  }

  // biome-ignore lint/correctness/useYield: there is nothing to give
  async *list(path: string): AsyncIterable<SourceEntry> {
    refuseList(this.kind, path);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    checkedSourcePath(path);
    const ask = { path, signal: options.signal, bytes: null };
    return intoNewFile(file, async (handle) => {
      const stat = await this.#transfer(ask, async (transfer) => {
        const head = await transfer.head();
        const isWhole = await transfer.body(head.sizeBytes, handle);
        return isWhole ? head : fail("SOURCE_TRUNCATED", { path });
      });
      // A file that is written to while it is sent is told by its time alone.
      mustBeSame(path, stat, await this.stat(path, options));
      return stat;
    });
  }

  async close(): Promise<void> {
    this.#exchanges.close();
    this.#ssh.close();
  }

  /** A channel of its own for each file. */
  async #transfer<T>(ask: Watched, work: (transfer: ScpTransfer) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    const at = belowRoot(this.#root, ask.path);
    const command = `scp -p -f ${shellWord(at.startsWith("/") ? at : `./${at}`)}`;
    return this.#exchanges.run(ask, async (watch: Watch) => {
      await this.#turns.take(watch);
      try {
        return await this.#ssh.use(watch, async ({ client }) => {
          const channel: ClientChannel = await promisify(client.exec.bind(client) as Exec)(command);
          const hangUp = () => channel.destroy();
          watch.signal.addEventListener("abort", hangUp, { once: true });
          if (watch.signal.aborted) hangUp();
          try {
            return await work(new ScpTransfer(channel, watch));
          } finally {
            watch.signal.removeEventListener("abort", hangUp);
            channel.destroy();
          }
        });
      } finally {
        this.#turns.leave();
      }
    });
  }
}

/** The form of `exec` without options. */
type Exec = (command: string, done: (error: Error | undefined, channel: ClientChannel) => void) => void;

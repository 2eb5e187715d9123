/** Files by rsync, of a daemon or over SSH: whole ones only. Each thing that is asked is one run of the program. */
import { mkdtemp, open, rename, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "../../contracts/errors.ts";
import { Exchanges } from "./exchanges.ts";
import { checkedFolderPath, checkedSourcePath, childPath, inListOrder, isSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { WholeObject } from "./ranged-object.ts";
import { codeOfRsync, copiedName, PARTIAL, parseListing, RsyncFailure, rsyncCommand, runRsync } from "./rsync-run.ts";
import type { RsyncSettings, SourceTools } from "./settings.ts";
import { Turns } from "./turns.ts";
import { mustBeSame, statOf } from "./versions.ts";
import { limitsOf, type NetworkLimits, type Watch, type Watched } from "./watch.ts";

const PROCESSES_MAX = 4;

export class RsyncSource implements ContentSource {
  readonly kind = "rsync";
  readonly capabilities = { ranges: false, list: true, strongVersion: false };
  readonly #settings: RsyncSettings;
  readonly #limits: NetworkLimits;
  readonly #exchanges: Exchanges;
  readonly #turns: Turns;
  readonly #running = new Set<Promise<unknown>>();

  constructor(settings: RsyncSettings, tools: SourceTools) {
    this.#settings = settings;
    this.#limits = limitsOf(tools, PROCESSES_MAX);
    this.#turns = new Turns(this.#limits.connectionsMax);
    // The program does not say when it is connected: until it says anything both times count.
    const idleTimeoutMs = this.#limits.connectTimeoutMs + this.#limits.idleTimeoutMs;
    const limits = { ...this.#limits, idleTimeoutMs };
    this.#exchanges = new Exchanges({ kind: this.kind, log: tools.log, limits, known: codeOfRsync });
  }

  stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#attempt({ path, signal, bytes: 0 }, async (watch) => {
      const [found] = parseListing(await this.#run(this.#command(".", true), [path], watch));
      return found?.kind === "file" ? found.stat : fail("SOURCE_NOT_FOUND", { path });
    });
  }

  async open(path: string, options: ReadOptions = {}): Promise<SourceObject> {
    return new WholeObject(this.kind, path, await this.stat(path, options));
  }

  async *list(path: string, { signal }: ReadOptions = {}): AsyncIterable<SourceEntry> {
    checkedFolderPath(path);
    const text = await this.#exchanges.run({ path, signal, bytes: null }, (watch) => this.#listing(path, watch));
    const entries = parseListing(text).flatMap(({ name, kind, stat: { sizeBytes } }): SourceEntry[] => {
      if (!isSourcePath(name) || kind === "other") return [];
      return [{ path: childPath(path, name), kind, sizeBytes: kind === "file" ? sizeBytes : null }];
    });
    yield* inListOrder(entries);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    await this.stat(path, options); // a folder would be made, and a FIFO waited for
    await (await open(file, "wx")).close(); // it is ours from now on
    const folder = await mkdtemp(`${file}.`);
    try {
      const copied = await this.#attempt({ path, signal: options.signal, bytes: null }, async (watch) => {
        await this.#run(this.#command(folder, false), [path], watch);
        const { size, mtimeMs } = await stat(join(folder, copiedName(path)));
        return statOf(size, Math.floor(mtimeMs / 1000) * 1000); // as a listing has it
      });
      mustBeSame(path, copied, await this.stat(path, options));
      await rename(join(folder, copiedName(path)), file);
      return copied;
    } catch (error) {
      await unlink(file);
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    this.#exchanges.close();
    await Promise.allSettled(this.#running);
  }

  #command(into: string, listOnly: boolean) {
    return rsyncCommand(this.#settings, into, { listOnly, connectTimeoutMs: this.#limits.connectTimeoutMs });
  }

  /** A folder with a link that leads nowhere is listed all the same: its own line says that it is there. */
  async #listing(path: string, watch: Watch): Promise<string> {
    try {
      return await this.#run(this.#command(".", true), [path === "" ? "./" : `${path}/`], watch);
    } catch (error) {
      const isPart = error instanceof RsyncFailure && error.status === PARTIAL;
      if (isPart && parseListing(error.stdout).some(({ name }) => name === ".")) return error.stdout;
      throw error;
    }
  }

  async #run(command: ReturnType<typeof rsyncCommand>, paths: readonly string[], watch: Watch): Promise<string> {
    await this.#turns.take(watch);
    const run = runRsync(command, paths, watch);
    this.#running.add(run);
    run.finally(() => this.#running.delete(run)).catch(() => {});
    try {
      return await run;
    } finally {
      this.#turns.leave();
    }
  }

  async #attempt<T>(ask: Watched, work: (watch: Watch) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    return this.#exchanges.run(ask, work);
  }
}

/** Files by rsync, of a daemon or over SSH: whole ones only. Each thing that is asked is one run of the program. */
import { mkdtemp, open, rename, rm, stat, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { fail } from "../../contracts/errors.ts";
import { Exchanges } from "./exchanges.ts";
import { checkedFolderPath, checkedSourcePath, childPath, inListOrder, isSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { WholeObject } from "./ranged-object.ts";
import { codeOfRsync, PARTIAL, parseListing, RsyncFailure, rsyncCommand, runRsync } from "./rsync-run.ts";
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
      const [found] = parseListing(await this.#run(null, path, watch));
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
    checkedSourcePath(path);
    await (await open(file, "wx")).close(); // it is ours from now on
    const folder = await mkdtemp(`${file}.`);
    const copy = join(folder, basename(path));
    try {
      const copied = await this.#attempt({ path, signal: options.signal, bytes: null }, async (watch) => {
        await this.#run(folder, path, watch);
        // A folder was made, anything else but a file left out.
        const found = await stat(copy).catch(() => null);
        if (!found?.isFile()) return fail("SOURCE_NOT_FOUND", { path });
        return statOf(found.size, Math.floor(found.mtimeMs / 1000) * 1000); // as a listing has it
      });
      mustBeSame(path, copied, await this.stat(path, options));
      await rename(copy, file);
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

  /** A folder with a link that leads nowhere is listed all the same: its own line says that it is there. */
  async #listing(path: string, watch: Watch): Promise<string> {
    try {
      return await this.#run(null, path === "" ? "./" : `${path}/`, watch);
    } catch (error) {
      const isPart = error instanceof RsyncFailure && error.status === PARTIAL;
      if (isPart && parseListing(error.stdout).some(({ name }) => name === ".")) return error.stdout;
      throw error;
    }
  }

  async #run(into: string | null, path: string, watch: Watch): Promise<string> {
    const { connectTimeoutMs } = this.#limits;
    await this.#turns.take(watch);
    const run = runRsync(rsyncCommand(this.#settings, { into, path, connectTimeoutMs }), watch);
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
      this.#turns.leave();
    }
  }

  async #attempt<T>(ask: Watched, work: (watch: Watch) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    return this.#exchanges.run(ask, work);
  }
}

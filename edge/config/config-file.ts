/**
 * An operator's edge.json: trusted as it is. It is looked at again when it, or a certificate that it names, changes:
 * by the system's own notice where that comes, and by the files' times in any case. What is applied is always a whole
 * configuration; a bad one is told and changes nothing.
 */
import { type FSWatcher, watch } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Log } from "../../lib/log/log.ts";
import { parseConfigText } from "../fleet/config-text.ts";
import { compileConfig } from "./compile.ts";
import { ConfigRefused, sentenceOf } from "./refused.ts";
import type { Sites } from "./sites.ts";
import { StampedFiles } from "./stamped-files.ts";

const POLL_MS = 2_000;
/** Editors and certbot write in several steps: a look waits for them. */
const SETTLES_MS = 100;

const reasonOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

const load = (path: string, files: StampedFiles, former?: Sites): Sites => {
  let text: string;
  try {
    text = files.readText(path);
  } catch (error) {
    throw new ConfigRefused([{ path: "", message: `the file ${path} can't be read (${reasonOf(error)})` }]);
  }
  return compileConfig(parseConfigText(text), { readText: files.readText, former });
};

/** Reads, checks and compiles a file with the certificates that it names. Throws ConfigRefused. */
export const loadConfigFile = (path: string): Sites => load(path, new StampedFiles());

/** What is wrong with a file, a line each; empty where an edge would start with it. */
export const checkConfigFile = (path: string): string[] => {
  try {
    loadConfigFile(path);
    return [];
  } catch (error) {
    if (error instanceof ConfigRefused) return error.errors.map(sentenceOf);
    throw error;
  }
};

export interface ConfigFileDeps {
  readonly path: string;
  /** Told of each configuration that is to be served from now on, the first one included. */
  readonly apply: (sites: Sites) => void;
  readonly log: Log;
  /** Between looks at the files' times; 2 s unless told. */
  readonly pollMs?: number;
}

export class ConfigFile {
  readonly #deps: ConfigFileDeps;
  readonly #path: string;
  #files = new StampedFiles();
  #sites: Sites | undefined;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSettling = false;
  #working: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(deps: ConfigFileDeps) {
    this.#deps = deps;
    this.#path = resolve(deps.path);
  }

  /** Applies the file and begins to watch it. Throws ConfigRefused when there is nothing good to begin with. */
  start(): void {
    this.#load();
    try {
      this.#watcher = watch(dirname(this.#path), { persistent: false }, () => this.#noticed());
      this.#watcher.on("error", () => this.#watcher?.close()); // the files' times are looked at all the same
    } catch (error) {
      this.#deps.log.debug({ err: error }, "no notices of changed files; their times are looked at");
    }
    this.#lookIn(this.#deps.pollMs ?? POLL_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#watcher?.close();
    await this.#working;
  }

  /** Reads the files again whatever their times say, as a signal asks for; true when they are served now. */
  reload(): boolean {
    return !this.#stopped && this.#tryLoad();
  }

  #noticed(): void {
    if (this.#isSettling) return; // a busy folder must not put the look off
    this.#isSettling = true;
    this.#lookIn(SETTLES_MS);
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#isSettling = false;
      this.#working = this.#look().finally(() => {
        if (!this.#isSettling) this.#lookIn(this.#deps.pollMs ?? POLL_MS);
      });
    }, ms).unref();
  }

  async #look(): Promise<void> {
    if ((await this.#files.haveChanged()) && !this.#stopped) this.#tryLoad();
  }

  #tryLoad(): boolean {
    const { log } = this.#deps;
    try {
      this.#load();
      log.info({ path: this.#path, siteCount: this.#sites?.all.length }, "the changed configuration is served");
      return true;
    } catch (error) {
      const why = error instanceof ConfigRefused ? { errors: error.errors } : { err: error };
      log.error({ path: this.#path, ...why }, "the changed configuration is refused; the former one goes on");
      return false;
    }
  }

  #load(): void {
    this.#files = new StampedFiles(); // what a refused configuration names is watched too: it may be mended
    const sites = load(this.#path, this.#files, this.#sites);
    this.#deps.apply(sites);
    this.#sites = sites;
  }
}

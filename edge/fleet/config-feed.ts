/**
 * Configurations of CDN customers as they come over the bus. One that is believed (signed by the key that counts),
 * newer than what is served, and good as a whole is applied and kept on disk; any other changes nothing, and the fleet
 * is told why. The edge starts from its disk, and goes on for as long as nobody answers.
 *
 * The key that counts is the operator's (EDGE_CONFIG_PUBLIC_KEY), or else the first one that a configuration came with:
 * it is pinned on disk, and from then on no other is believed. Deleting `cdn-config.key` lets the next one be first.
 */
import type { FieldError } from "../../contracts/errors.ts";
import type { PublishedConfig, SignedConfig } from "../../contracts/fleet.ts";
import type { Log } from "../../lib/log/log.ts";
import { compileConfig } from "../config/compile.ts";
import { ConfigRefused } from "../config/refused.ts";
import type { Sites } from "../config/sites.ts";
import { StampedFiles } from "../config/stamped-files.ts";
import { believed, type ConfigStore, claimedRevision, customersIn } from "./signed-config.ts";

const REFRESH_MS = 10_000;
/** Until there is a first one. */
const HURRY_MS = 1_000;
const ERROR_TEXT_MAX = 500; // as the contract takes it
const SAID_MAX = 16; // revisions; more are forgotten and told again

/** What became of a configuration here. */
export interface ConfigAck {
  readonly revision: number;
  readonly applied: boolean;
  readonly errors: readonly FieldError[];
}

export interface ConfigFeedDeps {
  readonly store: ConfigStore;
  /** The newest, or null when `haveRevision` is that; throws when nobody answers. */
  readonly ask: (haveRevision: number) => Promise<SignedConfig | null>;
  /** Throws when nobody listens. */
  readonly acknowledge: (ack: ConfigAck) => Promise<void>;
  /** Told of each configuration that is to be served from now on, in one piece. */
  readonly apply: (sites: Sites) => void;
  /** The operator's word on whom to believe; null: the first one. */
  readonly publicKey: string | null;
  readonly log: Log;
}

const shortened = (errors: readonly FieldError[]): FieldError[] =>
  errors.map(({ path, message }) => ({
    path: path.slice(0, ERROR_TEXT_MAX),
    message: message.slice(0, ERROR_TEXT_MAX),
  }));

export class ConfigFeed {
  readonly #deps: ConfigFeedDeps;
  #sites: Sites | undefined;
  /** What is served, and the certificates that it names as files. */
  #published: PublishedConfig | undefined;
  #files = new StampedFiles();
  /** Undefined: nobody is believed yet; null: nobody can be. */
  #key: string | null | undefined;
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #askAgain = false;
  #silent = false;
  #stopped = false;
  /** What the fleet has not heard yet. */
  #owed: readonly ConfigAck[] = [];
  /** The last word on each revision, so that nothing is said twice. */
  readonly #said = new Map<number, string>();

  constructor(deps: ConfigFeedDeps) {
    this.#deps = deps;
  }

  /** Of what is served; 0 for nothing. */
  get revision(): number {
    return this.#published?.revision ?? 0;
  }

  /** Resolves when there is a configuration from disk, or else when the first question was answered, or not. */
  async start(): Promise<void> {
    await this.#loadKey();
    await this.#loadDisk();
    const first = this.refresh();
    if (this.revision === 0) await first;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#asking;
  }

  /** A newer one can be had, as somebody says. */
  hinted(revision: number): void {
    if (revision > this.revision) void this.refresh();
  }

  /** Asks now; again where a question was under way already: its answer may be older than the reason for this one. */
  refresh(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#askAgain = this.#asking !== undefined;
    this.#asking ??= this.#refresh().finally(() => {
      this.#asking = undefined;
      if (this.#askAgain) void this.refresh();
    });
    return this.#asking;
  }

  async #refresh(): Promise<void> {
    clearTimeout(this.#timer);
    const { ask, acknowledge, log } = this.#deps;
    try {
      await this.#lookAtFiles();
      const signed = await ask(this.revision);
      if (signed) await this.#take(signed);
      for (const ack of this.#owed) await acknowledge(ack);
      this.#owed = [];
      if (this.#silent) log.info("configurations come in again");
      this.#silent = false;
    } catch (error) {
      if (!this.#silent) log.warn({ err: error, revision: this.revision }, "no configuration can be had; going on");
      this.#silent = true;
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.refresh(), this.revision === 0 ? HURRY_MS : REFRESH_MS);
  }

  async #take(signed: SignedConfig): Promise<void> {
    const { log, store } = this.#deps;
    try {
      const revision = await this.#use(signed, this.#key === undefined ? signed.publicKey : this.#key);
      log.info({ revision, siteCount: this.#sites?.all.length }, "a new configuration of CDN customers is served");
      this.#owe({ revision, applied: true, errors: [] });
    } catch (error) {
      if (!(error instanceof ConfigRefused)) throw error;
      this.#refused(claimedRevision(signed), error.errors);
      return;
    }
    // A full disk does not keep the edge from serving.
    await store.write(signed).catch((error: unknown) => {
      log.error({ err: error, path: store.path }, "the configuration can't be kept on disk");
    });
  }

  /** Asked for again and again, as a file that is missing here may come; told once. */
  #refused(revision: number, errors: readonly FieldError[]): void {
    const isNews = this.#owe({ revision, applied: false, errors: shortened(errors) });
    if (isNews) this.#deps.log.error({ revision, errors }, "a configuration is refused; the former one goes on");
  }

  /** Whether this is news. */
  #owe(ack: ConfigAck): boolean {
    const text = JSON.stringify(ack);
    if (this.#said.get(ack.revision) === text) return false;
    if (this.#said.size >= SAID_MAX) this.#said.clear();
    this.#said.set(ack.revision, text);
    if (ack.revision > 0) this.#owed = [...this.#owed.filter(({ revision }) => revision !== ack.revision), ack];
    return true;
  }

  /** Believes, checks, compiles and applies; the revision. Throws ConfigRefused, and then nothing has changed. */
  async #use(signed: SignedConfig, key: string | null): Promise<number> {
    if (key === null) throw new ConfigRefused([{ path: "", message: "this edge can't tell whom to believe" }]);
    const published = believed(signed, key);
    const { revision } = published;
    if (revision <= this.revision) {
      const message = `${revision} is not newer than ${this.revision}, which is served`;
      throw new ConfigRefused([{ path: "revision", message }]);
    }
    const compiled = this.#compile(published);
    await this.#pin(key);
    this.#serve(published, compiled);
    return revision;
  }

  #compile(published: PublishedConfig): { sites: Sites; files: StampedFiles } {
    const files = new StampedFiles();
    const { readText } = files;
    return { sites: compileConfig(customersIn(published), { readText, former: this.#sites }), files };
  }

  #serve(published: PublishedConfig, { sites, files }: { sites: Sites; files: StampedFiles }): void {
    const { apply, log } = this.#deps;
    try {
      apply(sites);
    } catch (error) {
      log.error({ err: error, revision: published.revision }, "bug: a configuration that was checked can't be served");
      throw new ConfigRefused([{ path: "", message: "it can't be served; the log of this edge says why" }]);
    }
    this.#sites = sites;
    this.#files = files;
    this.#published = published;
  }

  /** Certificates are renewed under their names. One that is bad is told, and the former one goes on. */
  async #lookAtFiles(): Promise<void> {
    const { log } = this.#deps;
    const published = this.#published;
    if (!published || !(await this.#files.haveChanged())) return;
    try {
      this.#serve(published, this.#compile(published));
      log.info({ revision: published.revision }, "changed certificate files are served");
      this.#owe({ revision: published.revision, applied: true, errors: [] });
    } catch (error) {
      if (!(error instanceof ConfigRefused)) throw error;
      this.#refused(published.revision, error.errors);
    }
  }

  async #loadKey(): Promise<void> {
    const { publicKey, store, log } = this.#deps;
    if (publicKey !== null) {
      this.#key = publicKey;
      return;
    }
    try {
      this.#key = await store.readKey();
    } catch (error) {
      this.#key = null;
      log.error({ err: error, path: store.keyPath }, "the key that was believed first can't be read; no other will be");
    }
  }

  /** Once, and before anything that it signed is served: a restart must not believe another. */
  async #pin(key: string): Promise<void> {
    if (typeof this.#key === "string") return;
    const { store, log } = this.#deps;
    this.#key = key;
    log.warn({ publicKey: key }, "the first key that a configuration came with is believed from now on");
    await store.writeKey(key).catch((error: unknown) => {
      log.error({ err: error, path: store.keyPath }, "the key can't be kept on disk");
    });
  }

  async #loadDisk(): Promise<void> {
    const { store, log } = this.#deps;
    try {
      const kept = await store.read();
      if (!kept) return;
      // Without a key that can be read, the one that this disk's own copy came with is as good.
      const revision = await this.#use(kept, this.#key ?? kept.publicKey);
      log.info({ revision }, "starting with the configuration on disk");
      this.#owe({ revision, applied: true, errors: [] });
    } catch (error) {
      log.error({ err: error, path: store.path }, "the configuration on disk can't be used; a new one is asked for");
    }
  }
}

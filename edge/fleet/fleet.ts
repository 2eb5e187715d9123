/**
 * What the edge knows of channels and their origins: the newest snapshot that it has heard of, kept on disk. It never
 * goes back to an older one, and goes on with the last one for as long as nobody answers.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Snapshot } from "../../contracts/fleet.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import { type Channels, channelsOf, type KnownChannel, nameOf } from "./channels.ts";
import { readSnapshot, writeSnapshot } from "./snapshot-file.ts";

const REFRESH_MS = 10_000;
/** Until the first snapshot, and at most this often for channels that are asked for and not known. */
const HURRY_MS = 1_000;
/** A viewer waits so long for a channel that may be brand new. */
const MISSED_WAIT_MS = 1_500;

export interface FleetDeps {
  readonly path: string;
  /** The newest snapshot, or null when `haveVersion` is that; throws when nobody answers. */
  readonly ask: (haveVersion: number) => Promise<Snapshot | null>;
  readonly log: Log;
  readonly clock: Clock;
  /** Monotonic. */
  readonly nowMs: () => number;
}

export class Fleet {
  readonly #deps: FleetDeps;
  #channels: Channels = new Map();
  #version = 0;
  #taken: (snapshot: Snapshot) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  #askAgain = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #silent = false;
  #stopped = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  get version(): number {
    return this.#version;
  }
  find(tenant: string, streamId: string): KnownChannel | undefined {
    return this.#channels.get(nameOf(tenant, streamId));
  }

  /** Told of each snapshot that is used from now on. */
  onTaken(taken: (snapshot: Snapshot) => void): void {
    this.#taken = taken;
  }

  /** Resolves when there is a snapshot from disk, or else when the first question has been answered, or not. */
  async start(): Promise<void> {
    await this.#load();
    const first = this.refresh();
    if (this.#version === 0) await first;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#asking;
    await this.#writing;
  }

  /** A newer snapshot can be had, as somebody says. */
  hinted(version: number): void {
    if (version > this.#version) void this.refresh();
  }

  /** Resolves when a question that was put after this call, or nearly so, has its answer; soon where nobody answers. */
  async missed(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await Promise.race([this.#looking, pause(MISSED_WAIT_MS, undefined, { ref: false })]);
  }

  /** Once a second at most, however many wait. */
  async #look(): Promise<void> {
    const dueInMs = this.#askedAtMs + HURRY_MS - this.#deps.nowMs();
    if (dueInMs > 0) await pause(dueInMs, undefined, { ref: false });
    await this.refresh();
  }

  /** Asks now; again where a question was under way already: its answer may be older than the reason for this one. */
  refresh(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#askAgain = this.#asking !== undefined;
    this.#asking ??= this.#refresh().finally(() => {
      this.#asking = undefined;
      if (this.#askAgain && !this.#stopped) void this.refresh();
    });
    return this.#asking;
  }

  async #refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#askedAtMs = this.#deps.nowMs();
    try {
      const snapshot = await this.#deps.ask(this.#version);
      if (this.#silent) this.#deps.log.info("snapshots come in again");
      this.#silent = false;
      if (snapshot && snapshot.version > this.#version) this.#take(snapshot);
    } catch (error) {
      if (!this.#silent)
        this.#deps.log.warn({ err: error, version: this.#version }, "no snapshot can be had; going on");
      this.#silent = true;
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.refresh(), this.#version === 0 ? HURRY_MS : REFRESH_MS);
  }

  async #load(): Promise<void> {
    const { path, log, clock } = this.#deps;
    try {
      const snapshot = await readSnapshot(path);
      if (!snapshot) return;
      this.#use(snapshot);
      const ageMs = clock.nowMs() - Date.parse(snapshot.madeAt);
      log.info({ version: snapshot.version, ageMs }, "starting with the snapshot on disk");
    } catch (error) {
      log.warn({ err: error, path }, "the snapshot on disk can't be used; a new one is asked for");
    }
  }

  #take(snapshot: Snapshot): void {
    this.#use(snapshot);
    const { path, log } = this.#deps;
    log.debug({ version: snapshot.version, channelCount: snapshot.channels.length }, "a new snapshot");
    // One after the other, so that the last one stays. A full disk does not keep the edge from serving.
    this.#writing = this.#writing
      .then(() => writeSnapshot(path, snapshot))
      .catch((error: unknown) => log.error({ err: error, path }, "the snapshot can't be kept on disk"));
  }

  #use(snapshot: Snapshot): void {
    this.#channels = channelsOf(snapshot, this.#channels);
    this.#version = snapshot.version;
    this.#taken(snapshot);
  }
}

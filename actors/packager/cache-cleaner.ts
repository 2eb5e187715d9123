/**
 * Cleans the caches from time to time: what was invalidated, what was not used for too long, and the oldest of a cache
 * above its limit (C-23, C-24). By node-cron, 0–5 s late so that not all nodes clean at once; 30 s after an error; and
 * within seconds after another program has changed the index.
 */
import { randomInt } from "node:crypto";
import { type ScheduledTask, schedule, validate } from "node-cron";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Removed } from "./cache-entry.ts";
import type { CacheIndex } from "./cache-index.store.ts";
import type { CacheStore, CacheUsage } from "./cache-store.ts";

const JITTER_MS = 5000;
const RETRY_MS = 30_000;
const SECOND_MS = 1000;

export interface CleanerOptions {
  readonly stores: readonly CacheStore[];
  readonly index: CacheIndex;
  /** Time between two cleanings, unless `cron` says when. */
  readonly intervalMs: number;
  /** As in a crontab, or with seconds before it. */
  readonly cron: string | null;
  readonly clock: Clock;
  readonly log: Log;
  readonly jitterMs?: number;
  readonly retryMs?: number;
}

/** What a cleaning did to one cache, and what it is now. */
export interface CleanedCache {
  readonly cache: "input" | "segment";
  readonly removed: Removed;
  readonly usage: CacheUsage;
}

/** The cron line of an interval; of one that divides no minute, hour or day, a line that fires more often. */
export const cronOf = (intervalMs: number): string => {
  const seconds = Math.max(1, Math.round(intervalMs / SECOND_MS));
  const minutes = seconds / 60;
  const hours = minutes / 60;
  if (seconds < 60) return 60 % seconds === 0 ? `*/${seconds} * * * * *` : "* * * * * *";
  if (minutes < 60) return Number.isInteger(minutes) && 60 % minutes === 0 ? `*/${minutes} * * * *` : "* * * * *";
  return Number.isInteger(hours) && hours < 24 && 24 % hours === 0 ? `0 */${hours} * * *` : "* * * * *";
};

export class CacheCleaner {
  readonly #options: CleanerOptions;
  #task: ScheduledTask | null = null;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<CleanedCache[]> | null = null;
  #dueMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(options: CleanerOptions) {
    this.#options = options;
  }

  start(): void {
    const { cron, intervalMs, index, log } = this.#options;
    const line = cron ?? cronOf(intervalMs);
    if (!validate(line)) throw new Error(`"${line}" is no cron line`);
    this.#task = schedule(line, () => this.#due(), {
      name: "cache-cleaner",
      unref: true,
      logger: log,
      noOverlap: true,
    });
    index.onOutsideChange(() => this.#soon(0));
  }

  /** Cleans now; who asks while a cleaning runs gets that one's result. */
  runOnce(): Promise<CleanedCache[]> {
    this.#running ??= this.#clean().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#task?.destroy();
    await this.#running?.catch(() => {});
  }

  /** A line that fires more often than the interval is passed over until it is time. */
  #due(): void {
    const { cron, intervalMs, clock, jitterMs = JITTER_MS } = this.#options;
    const nowMs = clock.nowMs();
    if (cron === null && nowMs - this.#dueMs < intervalMs - SECOND_MS / 2) return;
    this.#dueMs = nowMs;
    this.#soon(jitterMs > 0 ? randomInt(jitterMs) : 0);
  }

  #soon(delayMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#runAndRetry(), delayMs).unref();
  }

  async #runAndRetry(): Promise<void> {
    const { log, retryMs = RETRY_MS } = this.#options;
    try {
      await this.runOnce();
    } catch (error) {
      log.error({ err: error, retryMs }, "caches not cleaned");
      this.#soon(retryMs);
    }
  }

  async #clean(): Promise<CleanedCache[]> {
    const { stores, log } = this.#options;
    const cleaned: CleanedCache[] = [];
    for (const store of stores) {
      const removed = await store.clean();
      const usage = store.usage();
      cleaned.push({ cache: store.options.name, removed, usage });
      const level = removed.entryCount > 0 ? "info" : "debug";
      log[level]({ cache: store.options.name, removed, usage }, "cache cleaned");
    }
    return cleaned;
  }
}

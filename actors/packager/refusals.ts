/**
 * What the packager refuses, as its log has it: what a file itself is at fault for once per version, failures of
 * sources and of ours now and then, and everything for who looks for faults (level debug).
 */
import { LRUCache } from "lru-cache";
import { ERRORS, messageOf } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import type { Log } from "../../lib/log/log.ts";

const FILES_MAX = 1000;
const FAILURE_MS = 10_000;
const LINES_MAX = 50; // in that time, whatever is asked for: a source that is away fails for every address

export interface RefusalLogOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Of a file that is open. */
  readonly versionOf: (path: string) => string | undefined;
}

export class RefusalLog {
  readonly #options: RefusalLogOptions;
  /** When something was said. */
  readonly #saidMs = new LRUCache<string, number>({ max: FILES_MAX });
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lineCount = 0;

  constructor(options: RefusalLogOptions) {
    this.#options = options;
  }

  /** Notes a refusal of an address. */
  note(address: string, { code, data = {} }: Refusal): void {
    const { log, versionOf } = this.#options;
    const { status } = ERRORS[code];
    const isNews = status === 415 || status >= 500;
    if (!isNews && !log.isLevelEnabled("debug")) return; // most of them, and on the path of viewers
    const { path } = data;
    const version = data.version ?? (typeof path === "string" ? versionOf(path) : undefined);
    const reason = messageOf(code, data);
    const key = [code, path, version, status === 415 ? reason : ""].join("\n");
    const level = isNews && this.#isToBeSaid(key, status) ? "warn" : "debug";
    log[level]({ path: address, code, reason }, `caught ${status} for ${address}`);
  }

  #isToBeSaid(key: string, status: number): boolean {
    const nowMs = this.#options.clock.nowMs();
    const saidMs = this.#saidMs.get(key);
    if (saidMs !== undefined && (status === 415 || nowMs - saidMs < FAILURE_MS)) return false;
    if (nowMs - this.#sinceMs >= FAILURE_MS) {
      this.#sinceMs = nowMs;
      this.#lineCount = 0;
    }
    if (this.#lineCount >= LINES_MAX) return false;
    this.#lineCount += 1;
    this.#saidMs.set(key, nowMs);
    return true;
  }
}

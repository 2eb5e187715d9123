/**
 * What is remembered of origins that failed: they are left out for a while and asked again in the background, so that
 * no viewer waits for a dead one twice.
 *
 *   up ── failure ──► down (for 1 s, 2 s, 4 s, 5 s, 5 s …) ── that time is over ──► due ── a probe is sent ──► probing
 *   any ── an answer ──► up          probing ── failure ──► down, for longer
 *
 * Time comes in as an argument (monotonic ms).
 */
import { LRUCache } from "lru-cache";

const DOWN_MS_FIRST = 1_000;
const DOWN_MS_MAX = 5_000;
/** A probe that never ends counts as failed after this. */
const PROBE_MS_MAX = 10_000;
/** Addresses that are remembered; an address that falls out counts as up. */
const REMEMBERED_MAX = 20_000;

interface Trouble {
  failureCount: number;
  dueAtMs: number;
  probeEndsAtMs: number;
}

/** Keys are whatever fails as one: a stream's folder on a streamer, or the streamer's whole listener. */
export class Health {
  readonly #troubles = new LRUCache<string, Trouble>({ max: REMEMBERED_MAX });

  isUp(key: string): boolean {
    return !this.#troubles.has(key);
  }

  succeeded(key: string): void {
    this.#troubles.delete(key);
  }

  /** Failures of requests that were sent while it was up count as one. */
  failed(key: string, nowMs: number): void {
    const before = this.#troubles.get(key);
    if (before && nowMs < before.dueAtMs) return;
    const failureCount = (before?.failureCount ?? 0) + 1;
    const downMs = Math.min(DOWN_MS_FIRST * 2 ** (failureCount - 1), DOWN_MS_MAX);
    this.#troubles.set(key, { failureCount, dueAtMs: nowMs + downMs, probeEndsAtMs: 0 });
  }

  /** When it may be asked again; 0 for one that is up. */
  dueAtMs(key: string): number {
    return this.#troubles.get(key)?.dueAtMs ?? 0;
  }

  /** True once per time that it was down: the caller sends the probe and reports how it went. */
  takeProbe(key: string, nowMs: number): boolean {
    const trouble = this.#troubles.get(key);
    if (!trouble || nowMs < trouble.dueAtMs || nowMs < trouble.probeEndsAtMs) return false;
    trouble.probeEndsAtMs = nowMs + PROBE_MS_MAX;
    return true;
  }
}

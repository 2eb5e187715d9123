/** A token bucket: so many requests per second are sent, and none while the other side asked for a pause. */
import type { Clock } from "../clock.ts";

/** Requests that wait; more of them are refused, so that a flood does not grow into memory. */
const WAITING_MAX = 1_000;

export interface RateOptions {
  readonly perSecond: number;
  readonly clock: Clock;
  /** Rejects when the signal fires. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class Rate {
  readonly #options: RateOptions;
  /** When the next token is due; in the past: there are tokens in the bucket. */
  #nextMs: number;
  #heldUntilMs = 0;
  #waiting = 0;

  constructor(options: RateOptions) {
    this.#options = options;
    this.#nextMs = options.clock.nowMs() - 1_000;
  }

  /** Nothing is sent before then. */
  holdUntil(atMs: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, atMs);
    this.#nextMs = Math.max(this.#nextMs, atMs);
  }

  /** Resolves when a request may go out; false where too many wait already. */
  async take(signal: AbortSignal): Promise<boolean> {
    const { perSecond, clock, pause } = this.#options;
    if (this.#waiting >= WAITING_MAX) return false;
    const stepMs = 1_000 / perSecond;
    const nowMs = clock.nowMs();
    // The bucket holds what one second gives.
    const dueMs = Math.max(this.#nextMs, nowMs - 1_000 + stepMs);
    this.#nextMs = dueMs + stepMs;
    if (dueMs <= nowMs) return true;
    this.#waiting += 1;
    try {
      await pause(dueMs - nowMs, signal);
      // A pause that was asked for meanwhile holds for those who wait as well.
      const heldMs = this.#heldUntilMs - clock.nowMs();
      if (heldMs > 0) await pause(heldMs, signal);
      return true;
    } finally {
      this.#waiting -= 1;
    }
  }
}

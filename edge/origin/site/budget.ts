/** Retries and hedges of a site, bounded: an origin that is dead or slow must not get twice its load. */

const SHARE = 0.2; // of the requests
const FLOOR_PER_SECOND = 10; // a site with few requests may retry all of them
const TOKENS_MAX = 100;

export class RetryBudget {
  #tokens = FLOOR_PER_SECOND;
  #filledAtMs: number;

  /** Monotonic ms. */
  constructor(nowMs: number) {
    this.#filledAtMs = nowMs;
  }

  /** A request of a viewer's came. */
  earn(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + SHARE);
  }

  /** Whether one more request may be sent on top. */
  spend(nowMs: number): boolean {
    const earned = (FLOOR_PER_SECOND * Math.max(0, nowMs - this.#filledAtMs)) / 1_000;
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + earned);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

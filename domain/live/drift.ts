/**
 * Follows a source clock that runs a little fast or slow, by moving the wall clock of stream time (`residualMs`)
 * slowly; the anchor's offset, and with it every name, stays for ever. Broadcast clocks are within ±30 ppm (ISO/IEC
 * 13818-1 §2.4.2.1: 27 MHz ± 810 Hz), cheap ones within ±100.
 */
const SLEW_PPM_MAX = 200; // twice the worst clock; a jump of 0.6 s would take 50 minutes, so it is never followed
const QUIET_MS = 5_000; // after a hole nothing is made up for

export class DriftFilter {
  #residualMs: number;
  #lastMs: number | undefined;

  constructor(residualMs: number) {
    this.#residualMs = residualMs;
  }

  get residualMs(): number {
    return this.#residualMs;
  }

  /** Takes a new anchor's. */
  reset(residualMs: number): void {
    this.#residualMs = residualMs;
    this.#lastMs = undefined;
  }

  /**
   * One arrival: stream time `streamTicks` came at `nowMs`. Moves towards it by at most 200 ppm of the time since the
   * last one, so jitter cancels out and the residual settles at the median of arrivals.
   */
  observe(streamTicks: number, nowMs: number): number {
    const sinceMs = this.#lastMs === undefined ? 0 : Math.min(Math.max(nowMs - this.#lastMs, 0), QUIET_MS);
    this.#lastMs = nowMs;
    const limitMs = (sinceMs * SLEW_PPM_MAX) / 1e6;
    const errorMs = nowMs - (streamTicks / 90 + this.#residualMs);
    this.#residualMs += Math.min(limitMs, Math.max(-limitMs, errorMs));
    return this.#residualMs;
  }
}

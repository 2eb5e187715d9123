/** When a stream whose ffmpeg ended is tried again: at once, then after 0.5 s … 10 s. Pure. */

const DELAYS_MS = [0, 500, 1_000, 2_000, 5_000, 10_000];
/** So many runs in a row that gave nothing, and the stream counts as failed. */
const FAILED_RUNS = 5;
/** A run that gave media for so long was a good one: the next failure is retried at once. */
const GOOD_RUN_MS = 10_000;

export class Retries {
  #failedRuns = 0;
  #atMs = 0;

  /** A run has ended; `lastSampleMs` may lie before its begin: it gave nothing. True: the stream counts as failed. */
  ended({ startedMs, lastSampleMs, nowMs }: { startedMs: number; lastSampleMs: number; nowMs: number }): boolean {
    if (lastSampleMs - startedMs >= GOOD_RUN_MS) this.#failedRuns = 0;
    this.#atMs = nowMs + (DELAYS_MS[Math.min(this.#failedRuns, DELAYS_MS.length - 1)] ?? 0);
    this.#failedRuns += 1;
    return lastSampleMs < startedMs && this.#failedRuns >= FAILED_RUNS;
  }
  isDue(nowMs: number): boolean {
    return nowMs >= this.#atMs;
  }
  forget(): void {
    this.#failedRuns = 0;
  }
}

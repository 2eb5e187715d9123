/** Bit rates of a rendition's segments. The peak only grows, in steps, so that playlists made from it don't flap. */

const STEP = 1.1;
/** A minute of 4 s segments. */
const MEAN_SEGMENTS = 15;

export class RateMeter {
  #peakBps = 0;
  #averageBps = 0;

  /** Of the busiest segment ever, rounded up to a power of 1.1: changes seldom, and never back. */
  get peakBps(): number {
    if (this.#peakBps === 0) return 0;
    return Math.ceil(STEP ** Math.ceil(Math.log(this.#peakBps) / Math.log(STEP)));
  }
  /** Moving mean of about a minute. */
  get averageBps(): number {
    return Math.round(this.#averageBps);
  }

  segment(byteLength: number, seconds: number): void {
    const bps = (byteLength * 8) / seconds;
    this.#peakBps = Math.max(this.#peakBps, bps);
    this.#averageBps = this.#averageBps === 0 ? bps : this.#averageBps + (bps - this.#averageBps) / MEAN_SEGMENTS;
  }
}

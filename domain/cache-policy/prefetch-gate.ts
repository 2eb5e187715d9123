/**
 * Whether prefetching pays: closed when too many prefetched bytes leave without having been asked for. While closed,
 * one of `PROBES` still passes, so that it is seen when the viewers change.
 */

/** One in eight: viewers who leave or switch cost 7 % in the model of the traces, and what pays ends near 20 %. */
const CLOSE_ABOVE = 1 / 8;
/** Apart from where it closes, so that it doesn't flap. */
const OPEN_BELOW = 1 / 12;
const PROBES = 16;
/** A mean over about so many objects; nothing is judged before a quarter of them. */
const MEMORY = 2_048;
const JUDGED_FROM = MEMORY / 4;

export class PrefetchGate {
  #used = 0;
  #unused = 0;
  #attempts = 0;
  #isOpen = true;

  get isOpen(): boolean {
    return this.#isOpen;
  }
  /** Share of the prefetched objects that nobody asked for, lately. */
  get waste(): number {
    const sum = this.#used + this.#unused;
    return sum === 0 ? 0 : this.#unused / sum;
  }

  /** May one more be prefetched now? Each call counts as an attempt. */
  mayPass(): boolean {
    if (this.#isOpen) return true;
    this.#attempts += 1;
    return this.#attempts % PROBES === 0;
  }

  used(): void {
    this.#used += 1;
    this.#judge();
  }

  unused(): void {
    this.#unused += 1;
    this.#judge();
  }

  #judge(): void {
    const sum = this.#used + this.#unused;
    if (sum < JUDGED_FROM) return;
    if (this.waste > CLOSE_ABOVE) this.#isOpen = false;
    if (this.waste < OPEN_BELOW) this.#isOpen = true;
    if (sum < MEMORY) return;
    this.#used /= 2;
    this.#unused /= 2;
  }
}

/** So many at once; the others wait their turn, in order, each within its own watch. */
import type { Watch } from "./watch.ts";

export class Turns {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Each turn that was taken is left once. */
  async take(watch: Watch): Promise<void> {
    if (this.#taken < this.#max) {
      this.#taken += 1;
      return;
    }
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn.resolve);
    try {
      await watch.race(turn.promise);
    } catch (error) {
      const place = this.#waiting.indexOf(turn.resolve);
      // Not there any more: its turn came in the same moment, and is the next one's.
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.leave();
      throw error;
    }
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#taken -= 1;
  }
}

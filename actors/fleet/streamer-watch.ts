/** Tells reports of streamers that may change a snapshot from the thousands that don't. Pure. */
import type { StreamerReported } from "../../contracts/streamer.ts";

const STREAMERS_MAX = 100_000;

export class StreamerWatch {
  readonly #words = new Map<string, string>();

  /** True when the streamer is new, has moved, or begins or ends to drain. */
  isNews({ nodeId, ordinal, baseUrl, draining }: StreamerReported): boolean {
    const key = `${nodeId}/${ordinal}`;
    const word = `${baseUrl} ${draining}`;
    if (this.#words.get(key) === word) return false;
    // Names of nodes that came and went pile up very slowly; forgetting all of them costs one look at the database.
    if (this.#words.size >= STREAMERS_MAX) this.#words.clear();
    this.#words.set(key, word);
    return true;
  }
}

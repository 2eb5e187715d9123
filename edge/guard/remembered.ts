/**
 * Tokens whose signature was right. Two generations: when the young one is full it becomes the old one, and what is
 * asked for again moves back; so a hit changes nothing, and no more than twice the limit is held.
 */
import type { ParsedToken } from "../../domain/signed-url/token.ts";

export class Remembered {
  readonly #max: number;
  #young = new Map<string, ParsedToken>();
  #old = new Map<string, ParsedToken>();

  /** `max`: of a generation. */
  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): ParsedToken | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.set(key, old);
    return old;
  }

  set(key: string, token: ParsedToken): void {
    if (this.#young.size >= this.#max) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, token);
  }
}

/** What requests meant, by how they were written: two generations, so that it is bounded without a list of uses. */

const GENERATION_MAX = 32_768; // × about 400 bytes × 2: 25 MB

export class Aliases<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  get(host: string, target: string): T | undefined {
    const name = host + target;
    const found = this.#young.get(name);
    if (found !== undefined) return found;
    const older = this.#old.get(name);
    if (older !== undefined) this.#put(name, older);
    return older;
  }

  set(host: string, target: string, value: T): void {
    this.#put(host + target, value);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  #put(name: string, value: T): void {
    if (this.#young.size >= GENERATION_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, value);
  }
}

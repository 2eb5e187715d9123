/** Writes wait here, one runs at a time. Bounded in bytes and in number: a slow disk refuses work, it hoards none. */

/** Something to be written. `run` must not reject. */
export interface Write {
  /** The key that a removal of it calls off; undefined for what is nobody's. */
  readonly key: string | undefined;
  /** Memory that it holds while it waits. */
  readonly sizeBytes: number;
  isCalledOff: boolean;
  run(): Promise<void>;
}

const WRITES_MAX = 1_024;

export class WriteQueue {
  readonly #bytesMax: number;
  readonly #waiting: Write[] = [];
  #current: Write | undefined;
  #heldBytes = 0;
  #idle: Promise<void> = Promise.resolve();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Takes it, unless there is no room. One that holds no memory always has room. */
  add(write: Write): boolean {
    const isFull = this.#heldBytes + write.sizeBytes > this.#bytesMax || this.#waiting.length >= WRITES_MAX;
    if (isFull && write.sizeBytes > 0) return false;
    this.#heldBytes += write.sizeBytes;
    this.#waiting.push(write);
    if (!this.#current) this.#idle = this.#run();
    return true;
  }

  /** Calls off what waits, or runs, under a key: it may still be written, but it must not count. */
  callOff(key: string): void {
    if (this.#current?.key === key) this.#current.isCalledOff = true;
    for (const write of this.#waiting) if (write.key === key) write.isCalledOff = true;
  }

  /** Resolves when nothing is left to be written. */
  async idle(): Promise<void> {
    while (this.#current) await this.#idle;
  }

  async #run(): Promise<void> {
    for (this.#current = this.#waiting.shift(); this.#current; this.#current = this.#waiting.shift()) {
      await this.#current.run();
      this.#heldBytes -= this.#current.sizeBytes;
    }
  }
}

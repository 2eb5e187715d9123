/** Reading of what many ask for at the same moment. */

export interface Reading<T> {
  readonly read: () => Promise<T>;
  /** Keeps what was read; not called for what was begun before `forget`. */
  readonly keep: (read: T) => void;
}

/** Each thing is read once however many ask for it meanwhile; what a purge came between is not kept. */
export class Once<T> {
  readonly #going = new Map<string, Promise<T>>();

  /** Begins a reading, or joins the one that goes on. */
  take(name: string, { read, keep }: Reading<T>): Promise<T> {
    const joined = this.#going.get(name);
    if (joined) return joined;
    const reading = this.#run(read, (value) => {
      if (this.#going.get(name) === reading) keep(value);
    }).finally(() => {
      if (this.#going.get(name) === reading) this.#going.delete(name);
    });
    this.#going.set(name, reading);
    return reading;
  }

  /** Who asks from now on gets what is read from now on. */
  forget(): void {
    this.#going.clear();
  }

  async #run(read: () => Promise<T>, done: (value: T) => void): Promise<T> {
    const value = await read();
    done(value);
    return value;
  }
}

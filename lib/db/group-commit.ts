/**
 * Rows of requests that come together go into the database together: while one statement is under way, what comes waits
 * and makes up the next one. A lone request waits for nobody; a thousand at once cost a few transactions.
 */
export interface GroupCommitOptions<T> {
  /** Writes them all or none. */
  readonly write: (group: string, items: readonly T[]) => Promise<void>;
  /** Of one statement. */
  readonly itemsMax: number;
  /** Of those that wait; what comes then is refused by `full`. */
  readonly waitingMax: number;
  readonly full: (group: string) => Error;
}

interface Waiting<T> {
  readonly item: T;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class GroupCommit<T> {
  readonly #options: GroupCommitOptions<T>;
  /** Of groups that are being written. */
  readonly #queues = new Map<string, Waiting<T>[]>();

  constructor(options: GroupCommitOptions<T>) {
    this.#options = options;
  }

  /** Resolves once the item's transaction has committed; rejects with what its statement failed with. */
  add(group: string, item: T): Promise<void> {
    const queue = this.#queues.get(group);
    if (queue && queue.length >= this.#options.waitingMax) return Promise.reject(this.#options.full(group));
    return new Promise((done, failed) => {
      const waiting: Waiting<T> = { item, done, failed };
      if (queue) {
        queue.push(waiting);
        return;
      }
      this.#queues.set(group, [waiting]);
      // What comes in the same turn of the event loop goes along.
      setImmediate(() => void this.#run(group));
    });
  }

  async #run(group: string): Promise<void> {
    const { itemsMax, write } = this.#options;
    for (let queue = this.#queues.get(group); queue && queue.length > 0; queue = this.#queues.get(group)) {
      const taken = queue.splice(0, itemsMax);
      try {
        await write(
          group,
          taken.map(({ item }) => item),
        );
        for (const { done } of taken) done();
      } catch (error) {
        for (const { failed } of taken) failed(error);
      }
    }
    this.#queues.delete(group);
  }
}

/** Offers batches upstream: the oldest first, one at a time, until it is taken; what waits is on disk. */
import type { AccountBatch } from "../../domain/accounting/batch.ts";
import type { Log } from "../../lib/log/log.ts";

/** Resolves when the batch was taken for good. The same batch may come again: its receiver tells by its numbers. */
export type Deliver = (batch: AccountBatch) => Promise<void>;

export interface CourierOptions {
  readonly deliver: Deliver;
  /** The batch needn't be kept any longer. */
  readonly done: (sequence: number) => Promise<void>;
  readonly log: Log;
  readonly monotonicMs: () => number;
}

const DELIVER_MS = 10_000;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 60_000;

const inTime = (delivering: Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not taken within ${DELIVER_MS} ms`)), DELIVER_MS);
    timer.unref();
    delivering.then(resolve, reject).finally(() => clearTimeout(timer));
  });

export class Courier {
  readonly #options: CourierOptions;
  #isBusy = false;
  #isStopped = false;
  #failures = 0;
  #notBeforeMs = 0;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Delivers what `first` gives until there is nothing left or one is not taken; the next try waits 1, 2, 4 … 60 s. */
  offer(first: () => AccountBatch | undefined): void {
    if (this.#isBusy || this.#options.monotonicMs() < this.#notBeforeMs) return;
    this.#isBusy = true;
    void this.#deliverAll(first).finally(() => {
      this.#isBusy = false;
    });
  }

  async #deliverAll(first: () => AccountBatch | undefined): Promise<void> {
    const { deliver, done, log, monotonicMs } = this.#options;
    for (let batch = first(); batch && !this.#isStopped; batch = first()) {
      try {
        await inTime(Promise.resolve(batch).then(deliver));
        if (this.#isStopped) return;
        await done(batch.sequence);
        this.#failures = 0;
      } catch (error) {
        if (this.#failures === 0) log.warn({ err: error, sequence: batch.sequence }, "accounts: not taken upstream");
        this.#notBeforeMs = monotonicMs() + Math.min(RETRY_MS * 2 ** this.#failures, RETRY_MS_MAX);
        this.#failures = Math.min(this.#failures + 1, 30);
        return;
      }
    }
  }
}

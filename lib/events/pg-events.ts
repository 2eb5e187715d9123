/** Delivery straight from the outbox: what a single process, or nodes without NATS, use. */
import type { z } from "zod";
import type { Fact } from "../../contracts/kit.ts";
import type { Database } from "../db/database.ts";
import type { Listener } from "../db/listener.ts";
import type { Log } from "../log/log.ts";
import { PgWorker } from "./pg-worker.ts";
import { type Depth, type EventBus, type EventHandler, handlerOf, RETRY_POLICY, type RetryPolicy } from "./port.ts";
import { TodoStore } from "./todo.store.ts";
import { wakeOn } from "./wake.ts";

export interface PgEventsOptions {
  readonly db: Database;
  readonly log: Log;
  readonly policy?: Partial<RetryPolicy>;
}

export const pgEvents = (options: PgEventsOptions): EventBus => new PgEvents(options);

class PgEvents implements EventBus {
  readonly #store: TodoStore;
  readonly #wake: Listener;
  readonly #log: Log;
  readonly #policy: RetryPolicy;
  readonly #workers = new Map<string, PgWorker>();
  #started = false;

  constructor({ db, log, policy }: PgEventsOptions) {
    this.#store = new TodoStore(db);
    this.#log = log;
    this.#policy = { ...RETRY_POLICY, ...policy };
    // Whoever does not want this fact looks once for nothing.
    this.#wake = wakeOn(db.url, () => {
      for (const worker of this.#workers.values()) worker.wake();
    });
  }

  async subscribe<F extends Fact>(
    consumer: string,
    facts: readonly F[],
    handler: EventHandler<z.output<F["payload"]>>,
  ): Promise<void> {
    if (this.#workers.has(consumer)) throw new Error(`bug: the consumer ${consumer} subscribes twice`);
    await this.#store.register(
      consumer,
      facts.map((fact) => fact.name),
    );
    const worker = new PgWorker({
      consumer,
      handler: handlerOf(facts, handler as EventHandler<never>),
      store: this.#store,
      policy: this.#policy,
      log: this.#log,
    });
    this.#workers.set(consumer, worker);
    if (this.#started) worker.start();
  }

  async start(): Promise<void> {
    this.#started = true;
    await this.#wake.start();
    for (const worker of this.#workers.values()) worker.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#wake.stop(), ...[...this.#workers.values()].map((worker) => worker.stop())]);
  }

  depths(): Promise<Depth[]> {
    return this.#store.depths();
  }
}

/**
 * Delivers one consumer's events from the outbox: takes the first events of some keys (a lane each), runs the lanes
 * side by side and the events of a lane one after the other, and stops a lane at the event that failed. A lane that
 * ends makes room for another one.
 */
import type { Log } from "../log/log.ts";
import { type EventHandler, type FactEvent, isPassing, pauseAfter, type RetryPolicy, reasonOf } from "./port.ts";
import { LANES_MAX, type TodoStore } from "./todo.store.ts";

const POLL_MS = 1_000;
const SEEN_EVERY_MS = 60_000;
const OUTAGE_PAUSES_MS = [250, 1_000, 2_000, 5_000] as const;
const STOP_DEADLINE_MS = 10_000;

export interface PgWorkerOptions {
  readonly consumer: string;
  readonly handler: EventHandler;
  readonly store: TodoStore;
  readonly policy: RetryPolicy;
  readonly log: Log;
}

export class PgWorker {
  readonly #options: PgWorkerOptions;
  #stopping = false;
  #woken = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;
  #seenAtMs = 0;
  #outages = 0;
  readonly #lanes = new Set<Promise<void>>();

  constructor(options: PgWorkerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** There may be something to take. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.wake();
    await Promise.race([this.#loop, new Promise((resolve) => setTimeout(resolve, STOP_DEADLINE_MS).unref())]);
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#woken = false;
      try {
        await this.#saySeen();
        const full = await this.#takeLanes();
        this.#outages = 0;
        if (!full) await this.#idle(POLL_MS);
        else await Promise.race(this.#lanes);
      } catch (error) {
        await this.#outage(error);
      }
    }
    await Promise.all(this.#lanes);
  }

  async #outage(error: unknown): Promise<void> {
    const { consumer, log } = this.#options;
    if (this.#outages === 0) log.warn({ err: error, consumer }, "events can't be taken at the moment");
    const pauseMs = OUTAGE_PAUSES_MS[Math.min(this.#outages++, OUTAGE_PAUSES_MS.length - 1)]!;
    this.#woken = false;
    await this.#idle(pauseMs);
  }

  async #saySeen(): Promise<void> {
    if (performance.now() - this.#seenAtMs < SEEN_EVERY_MS && this.#seenAtMs > 0) return;
    await this.#options.store.seen(this.#options.consumer);
    this.#seenAtMs = performance.now();
  }

  async #idle(ms: number): Promise<void> {
    if (this.#woken || this.#stopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** True if there is no room for more, or there may be more to take at once. */
  async #takeLanes(): Promise<boolean> {
    const { consumer, store, policy } = this.#options;
    const room = LANES_MAX - this.#lanes.size;
    if (room === 0) return true;
    const lanes = lanesOf(await store.take(consumer, room, policy.silenceMs));
    for (const lane of lanes) {
      const running: Promise<void> = this.#lane(lane).finally(() => {
        this.#lanes.delete(running);
        this.wake(); // the rest of this key, and room for others
      });
      this.#lanes.add(running);
    }
    return lanes.length === room;
  }

  async #lane(lane: readonly FactEvent[]): Promise<void> {
    const { consumer, log, policy, store } = this.#options;
    // A handler may take longer than the others are willing to wait in silence.
    const ids = lane.map((event) => event.id);
    const beat = setInterval(() => store.hold(consumer, ids, policy.silenceMs).catch(() => {}), policy.silenceMs / 3);
    const { handled, failure } = await this.#handle(lane);
    clearInterval(beat);
    const rest = ids.slice(handled.length + (failure ? 1 : 0));
    // Backwards: as long as the first one is not settled, nobody else takes the key.
    const steps = [
      ...(rest.length > 0 ? [() => store.release(consumer, rest)] : []),
      ...(failure ? [() => this.#fail(failure.event, failure.error)] : []),
      ...(handled.length > 0 ? [() => store.done(consumer, handled)] : []),
    ];
    try {
      const untilMs = performance.now() + policy.silenceMs / 2;
      for (const step of steps) await this.#insist(step, untilMs);
    } catch (error) {
      // They come again when the silence is over.
      log.warn({ err: error, consumer }, "the outcome of events could not be written");
    }
  }

  /** Over a short outage of the database: what is not written is handled again. */
  async #insist(step: () => Promise<void>, untilMs: number): Promise<void> {
    for (;;) {
      try {
        await step();
        return;
      } catch (error) {
        if (!isPassing(error) || this.#stopping || performance.now() > untilMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, OUTAGE_PAUSES_MS[0]));
      }
    }
  }

  async #handle(
    lane: readonly FactEvent[],
  ): Promise<{ handled: number[]; failure?: { event: FactEvent; error: unknown } }> {
    const handled: number[] = [];
    for (const event of lane) {
      if (this.#stopping) break;
      try {
        await this.#options.handler(event);
        handled.push(event.id);
      } catch (error) {
        return { handled, failure: { event, error } };
      }
    }
    return { handled };
  }

  async #fail(event: FactEvent, error: unknown): Promise<void> {
    const { consumer, store, policy, log } = this.#options;
    const counts = !isPassing(error);
    const dead = counts && event.attempt >= policy.attemptsMax;
    const outcome = { pauseMs: pauseAfter(policy, event.attempt), error: reasonOf(error), dead, counts };
    await store.failed(consumer, event.id, outcome);
    log[dead ? "error" : "warn"]({ err: error, consumer, eventId: event.id, fact: event.name, dead }, "a fact failed");
    // Not left to the poll: its pause may be shorter. Another process may as well be the one that takes it.
    setTimeout(() => this.wake(), outcome.pauseMs).unref();
  }
}

/** The events of each key, in order. */
function lanesOf(events: readonly FactEvent[]): FactEvent[][] {
  const lanes = new Map<string, FactEvent[]>();
  for (const event of events) {
    const lane = lanes.get(event.key);
    if (lane) lane.push(event);
    else lanes.set(event.key, [event]);
  }
  return [...lanes.values()];
}

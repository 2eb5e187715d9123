/** Reads one lane of one consumer: one message after the other, each until it is handled or dead. */
import { setTimeout as pause } from "node:timers/promises";
import { type Consumer, type ConsumerMessages, JSONCodec, type JsMsg } from "nats";
import type { Log } from "../log/log.ts";
import { type EventHandler, type FactEvent, isPassing, pauseAfter, type RetryPolicy, reasonOf } from "./port.ts";

/** A fact as it travels. */
export type Carried = Omit<FactEvent, "attempt">;
export const carriedCodec = JSONCodec<Carried>();

export interface LaneOptions {
  readonly consumer: string;
  /** Finds the durable consumer, and makes it again when NATS has lost it. */
  readonly find: () => Promise<Consumer>;
  readonly handler: EventHandler;
  readonly bury: (event: Carried, attempt: number, reason: string) => Promise<void>;
  readonly policy: RetryPolicy;
  readonly log: Log;
}

const WAIT_MS = 10_000;
const OUTAGE_PAUSES_MS = [250, 1_000, 2_000, 5_000] as const;

export class JetStreamLane {
  readonly #options: LaneOptions;
  readonly #stop = new AbortController();
  #waiting: ConsumerMessages | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when the handler that runs has come to its end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#waiting?.stop();
    await this.#loop;
  }

  async #run(): Promise<void> {
    let source: Consumer | undefined;
    for (let outages = 0; !this.#stop.signal.aborted; ) {
      try {
        source ??= await this.#options.find();
        const message = await this.#next(source);
        outages = 0;
        if (message) await this.#deliver(message);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const { consumer, log } = this.#options;
        if (outages === 0) log.warn({ err: error, consumer }, "facts can't be read from NATS at the moment");
        source = undefined;
        await this.#sleep(OUTAGE_PAUSES_MS[Math.min(outages++, OUTAGE_PAUSES_MS.length - 1)]!);
      }
    }
  }

  async #next(source: Consumer): Promise<JsMsg | undefined> {
    const messages = await source.fetch({ max_messages: 1, expires: WAIT_MS });
    this.#waiting = messages;
    if (this.#stop.signal.aborted) messages.stop();
    for await (const message of messages) return message;
    return undefined;
  }

  async #deliver(message: JsMsg): Promise<void> {
    const { policy } = this.#options;
    const beat = setInterval(() => message.working(), policy.silenceMs / 3);
    try {
      await this.#untilSettled(message);
    } finally {
      clearInterval(beat);
    }
  }

  /** Failures are tried again here, with the message in hand: its lane waits, and no other process gets at it. */
  async #untilSettled(message: JsMsg): Promise<void> {
    const { consumer, handler, bury, log, policy } = this.#options;
    const event = carriedCodec.decode(message.data);
    for (let attempt = message.info.redeliveryCount; ; ) {
      try {
        await handler({ ...event, attempt });
        message.ack();
        return;
      } catch (error) {
        const counts = !isPassing(error);
        const dead = counts && attempt >= policy.attemptsMax;
        log[dead ? "error" : "warn"](
          { err: error, consumer, eventId: event.id, fact: event.name, dead },
          "a fact failed",
        );
        if (dead) {
          await bury(event, attempt, reasonOf(error));
          message.term();
          return;
        }
        await this.#sleep(pauseAfter(policy, attempt));
        if (this.#stop.signal.aborted) {
          message.nak();
          return;
        }
        if (counts) attempt++;
      }
    }
  }

  async #sleep(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#stop.signal }).catch(() => {});
  }
}

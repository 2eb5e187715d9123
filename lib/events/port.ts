/**
 * Facts that must not be lost. A fact is a row in the transaction of the state that it announces (the outbox), so one
 * that is rolled back is never heard of. Two carriers deliver: pgEvents straight from the outbox, jetStreamEvents by
 * way of NATS.
 *
 * Both promise: at least once (handlers are idempotent); facts of one key in the order of their commits, also over
 * retries, restarts and several processes of one consumer; a fact that fails for good is put aside as dead and does not
 * hold up the others. A consumer hears the facts that were published after it subscribed for the first time; one that
 * wants further facts takes a new name, for processes of the version before would swallow them.
 */
import type { z } from "zod";
import { codeOf, ERRORS } from "../../contracts/errors.ts";
import type { Fact } from "../../contracts/kit.ts";
import type { Tx } from "../db/database.ts";

export interface FactEvent<P = unknown> {
  /** Grows within a key. */
  readonly id: number;
  readonly name: string;
  readonly key: string;
  readonly payload: P;
  /** 1 at the first try. */
  readonly attempt: number;
}

/** Throwing a catalogue error that may be retried (DATABASE_DOWN …) is no fault of the fact: it is tried for ever. */
export type EventHandler<P = unknown> = (event: FactEvent<P>) => Promise<void>;

export interface Depth {
  readonly consumer: string;
  readonly waiting: number;
  readonly dead: number;
}

export interface EventBus {
  /** Before or after `start`. `consumer` names one reader across all processes: each fact goes to one of them. */
  subscribe<F extends Fact>(
    consumer: string,
    facts: readonly F[],
    handler: EventHandler<z.output<F["payload"]>>,
  ): Promise<void>;
  start(): Promise<void>;
  /** Lets handlers that run come to their end (for 10 s); facts that were not begun go to other processes. */
  stop(): Promise<void>;
  depths(): Promise<Depth[]>;
}

/** How often and when a fact that failed is tried again. */
export interface RetryPolicy {
  /** Tries before a fact is dead. */
  readonly attemptsMax: number;
  /** Pause after the first, second, … failure; the last one stays. */
  readonly pausesMs: readonly number[];
  /** A process that took a fact and says nothing for so long has lost it to the others. */
  readonly silenceMs: number;
}
export const RETRY_POLICY: RetryPolicy = {
  attemptsMax: 8, // about a minute in all
  pausesMs: [200, 1_000, 2_000, 5_000, 10_000, 20_000],
  silenceMs: 30_000,
};

const PAYLOAD_BYTES_MAX = 256 * 1024; // NATS refuses messages over 1 MB

/** Writes a fact into the outbox; it is told when `tx` commits. Facts of one `key` keep their order. */
export async function publishFact<P extends z.ZodType>(
  tx: Tx,
  fact: Fact<P>,
  key: string,
  payload: z.input<P>,
): Promise<number> {
  const text = JSON.stringify(fact.payload.parse(payload));
  if (Buffer.byteLength(text) > PAYLOAD_BYTES_MAX) throw new Error(`bug: the fact ${fact.name} is too large`);
  const { rows } = await tx.query<{ id: number }>("select publish_event($1, $2, $3) as id", [fact.name, key, text]);
  return rows[0]!.id;
}

export const pauseAfter = (policy: RetryPolicy, attempt: number): number =>
  policy.pausesMs[Math.min(attempt, policy.pausesMs.length) - 1] ?? 0;

/** The error came from something that is away for the moment, not from the fact. */
export const isPassing = (error: unknown): boolean => {
  const code = codeOf(error);
  return code !== undefined && ERRORS[code].retry;
};

/** Checks a payload against the contract of its fact, as written by this or another version. */
export const handlerOf =
  (facts: readonly Fact[], handler: EventHandler<never>) =>
  async (event: FactEvent): Promise<void> => {
    const fact = facts.find((candidate) => candidate.name === event.name);
    // A version before wanted it.
    if (!fact) return;
    await handler({ ...event, payload: fact.payload.parse(event.payload) as never });
  };

const ERROR_CHARACTERS_MAX = 500;
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, ERROR_CHARACTERS_MAX);

/** What the exchanges and connections of HTTP/2 and the listener know of each other. */
import type { RawExchange } from "./exchange.ts";
import type { H2Connection } from "./h2-connection.ts";
import type { Refusal } from "./problem.ts";
import type { Deadlines } from "./raw-deadlines.ts";
import type { RawLimits } from "./raw-limits.ts";

/** An exchange as the listener sees it, whatever version it came by. */
export interface AnsweredExchange extends RawExchange {
  /** Of HTTP/1; that of HTTP/2 counts as 1.1. */
  readonly httpMinor: number;
  /** Of the answer's body. */
  readonly sentBytes: number;
  /** Monotonic. */
  readonly startedMs: number;
  /** Of the answer's head and of what frames its body. */
  readonly headBytes: number;
  /** Monotonic: when the answer's head was written; 0 before. */
  readonly answeredMs: number;
  /** Whether an answer was begun that nobody ended. */
  readonly isOpen: boolean;
  /** The answer can't be finished. */
  cut(): void;
  /** Answers in place of a handler that takes too long; what it answers after that is for nobody. */
  giveUp(refusal: Refusal): void;
}

/** What an HTTP/2 connection needs of its listener. */
export interface H2Host {
  readonly limits: RawLimits;
  readonly deadlines: Deadlines;
  /** Has the exchange answered, now or later. */
  dispatch(exchange: AnsweredExchange): void;
  /** It did not answer, or did not go on with its answer, in time. */
  overdue(exchange: AnsweredExchange): void;
  /** The exchange is over; `isWhole` when its answer was sent. */
  note(exchange: AnsweredExchange, isWhole: boolean): void;
  /** What came was no request, or the connection can't go on. */
  refused(connection: H2Connection, refusal: Refusal): void;
  /** Bytes that were sent and belong to no exchange. */
  sentBeside(sizeBytes: number): void;
  closed(connection: H2Connection): void;
}

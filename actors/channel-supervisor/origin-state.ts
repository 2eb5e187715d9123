/** What the supervisor knows of one origin, and what to do about it: plain values in and out. */
import { z } from "zod";
import { Failure, OriginStatus } from "../../contracts/channel.ts";
import { StreamState } from "../../contracts/streamer.ts";

/**
 * What is on the streamer, as far as we know:
 * none (nothing of ours), maybe (a command of ours got no clear answer), ours (accepted or adopted),
 * foreign (a stream of that name which is not ours: never touched).
 */
export const Remote = z.enum(["none", "maybe", "ours", "foreign"]);
export type Remote = z.output<typeof Remote>;

/** One origin in `channel_runtime.observed`: what others may know; from `remote` on, the supervisor's own memory. */
export const OriginObserved = z.object({
  status: OriginStatus,
  playbackUrl: z.string().nullable(),
  message: z.string().nullable(),
  failure: Failure.nullable(),
  /** The row asks for its removal, and nothing of it is on the streamer any more. */
  gone: z.boolean(),
  /** The row's generation that all this is about; 0: nothing was tried yet. */
  generation: z.int(),
  state: StreamState.or(z.literal("unreachable")).nullable(),
  observedAtMs: z.number(),
  remote: Remote,
  /** The last payload that was sent. */
  sent: z.looseObject({ url: z.string() }).nullable(),
  /** Whether its source was said to be trusted; null: not known, or nothing that the streamer is told. */
  sentTrusted: z.boolean().nullable().default(null),
  /** Which streamer it was sent to: a streamer entry that is changed to another address has nothing of ours. */
  target: z.string().nullable(),
  /** Until then a streamer that went silent in a command may still carry it out. */
  unclearUntilMs: z.number(),
});
export type OriginObserved = z.output<typeof OriginObserved>;

export const Observed = z.object({ origins: z.record(z.string(), OriginObserved).default({}) });
export type Observed = z.output<typeof Observed>;

export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 10_000;
/** How long until the n-th try after a failure, 0-based: 0.5, 1, 2, 4, 8, 10, 10 … s. */
export const backoffMs = (failureCount: number): number =>
  Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failureCount, 10));

/** A node that has not carried out a command within three requests' time has dropped it. */
export const unclearMsOf = (requestDeadlineMs: number): number => 3 * requestDeadlineMs;

/** Nothing is known. `unclearMs`: so long may a command of an earlier owner still take effect; 0: there was none. */
export const unknownOrigin = (nowMs: number, unclearMs: number): OriginObserved => ({
  status: "pending",
  playbackUrl: null,
  message: null,
  failure: null,
  gone: false,
  generation: 0,
  state: null,
  observedAtMs: nowMs,
  remote: unclearMs > 0 ? "maybe" : "none",
  sent: null,
  sentTrusted: null,
  target: null,
  unclearUntilMs: unclearMs > 0 ? nowMs + unclearMs : 0,
});

export type Step = "push" | "remove" | "restart" | "check" | "none";

export interface Situation {
  /** The origin shall run: its row is wanted, and so is its channel. */
  readonly wanted: boolean;
  readonly remote: Remote;
  /** What it runs is what the rows say now. */
  readonly upToDate: boolean;
  /** The streamer's own word on the stream, where it gives one. */
  readonly reported: "missing" | "olderEpoch" | "dead" | "fine" | null;
  readonly restart: boolean;
  /** Try now, whatever the back-off says. */
  readonly force: boolean;
  readonly retryDue: boolean;
  readonly checkDue: boolean;
}

/** The one step that brings an origin nearer to what the rows want. */
export const nextStep = (now: Situation): Step => {
  const mayTry = now.force || now.retryDue;
  if (!now.wanted) return (now.remote === "ours" || now.remote === "maybe") && mayTry ? "remove" : "none";
  if (now.remote !== "ours" || !now.upToDate) return mayTry ? "push" : "none";
  if (now.restart) return "restart";
  // A supervisor of an older epoch started it: the streamer learns ours by an idempotent start.
  if (now.reported === "olderEpoch" || now.reported === "missing") return mayTry ? "push" : "none";
  if (now.reported === "dead") return mayTry ? "restart" : "none";
  return now.checkDue || now.force ? "check" : "none";
};

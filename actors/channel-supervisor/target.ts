/** What a supervisor does to one origin, whatever kind of streamer it is on. */
import type { StreamReport } from "../../contracts/streamer.ts";
import type { Payload } from "../../domain/payload/payload.ts";
import type { Remote } from "./origin-state.ts";

/** Why a streamer did not do what it was told. `status`: the HTTP status it answered, 0 where none came. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

export interface Command {
  readonly payload: Payload;
  /** What is on the streamer as far as we know, and the payload that we sent there last. */
  readonly remote: Remote;
  readonly sent: Payload | null;
  /** A command that got no answer may still be carried out. */
  readonly unclear: boolean;
}

export interface PushOutcome {
  readonly remote: Remote;
  /** Null: accepted. */
  readonly refusal: Refusal | null;
  /** Where the streamer says. */
  readonly state: StreamReport["state"] | null;
  /** The streamer went silent: it may still carry the command out. */
  readonly unclear: boolean;
}

export interface RemoveOutcome {
  readonly remote: Remote;
  /** Null: nothing of ours is there any more. */
  readonly refusal: Refusal | null;
}

export type CheckOutcome =
  | { readonly found: "same" | "missing" | "different" }
  | { readonly found: "unreachable"; readonly refusal: Refusal };

export interface Target {
  /** Tells one streamer at one address from another. */
  readonly key: string;
  push(command: Command): Promise<PushOutcome>;
  remove(command: Command): Promise<RemoveOutcome>;
  restart(command: Command): Promise<PushOutcome>;
  check(payload: Payload): Promise<CheckOutcome>;
}

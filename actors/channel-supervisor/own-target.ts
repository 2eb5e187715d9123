/** An origin on a streamer of ours: commands over the bus, each with the lease epoch of its sender. */

import type { z } from "zod";
import { codeOf, ERRORS, type ErrorCode, type FieldError } from "../../contracts/errors.ts";
import type { Ask } from "../../contracts/kit.ts";
import { restartStream, type StreamSpec, startStream, stopStream } from "../../contracts/streamer.ts";
import type { Payload } from "../../domain/payload/payload.ts";
import type { CheckOutcome, Command, PushOutcome, Refusal, RemoveOutcome, Target } from "./target.ts";

/** Sends an ask to one node (lib/actor `sendTo` with the broker and node filled in). */
export type AskNode = <I extends z.ZodType, O extends z.ZodType>(
  ask: Ask<I, O>,
  params: z.input<I>,
) => Promise<z.output<O>>;

export interface OwnTargetOptions {
  readonly nodeId: string;
  readonly ordinal: number;
  readonly leaseEpoch: number;
  readonly ask: AskNode;
  /** The spec around the payload, as the rows have it now. */
  readonly spec: () => Omit<StreamSpec, "payload">;
}

/** Nobody got the command. */
const NOT_REACHED: readonly ErrorCode[] = ["STARTING"];
/** Nobody answered: the HTTP status of a failures entry is 0 then. */
const NO_ANSWER: readonly ErrorCode[] = ["STARTING", "DEADLINE_PASSED", "BUS_DOWN"];

const FIELDS_TOLD_MAX = 3;
/** With the fields that were wrong: the catalogue's sentence does not say which. */
const messageOf = (error: unknown): string => {
  const { message, data } = error as Error & { data?: { errors?: readonly FieldError[] } };
  const fields = (data?.errors ?? []).slice(0, FIELDS_TOLD_MAX).map((field) => `${field.path}: ${field.message}`);
  return fields.length === 0 ? message : `${message} ${fields.join("; ")}`;
};

const refusalOf = (error: unknown): Refusal & { code: ErrorCode } => {
  const code = codeOf(error);
  // What is not in the catalogue is a bug, and no refusal of a streamer.
  if (code === undefined) throw error;
  const silent = NO_ANSWER.includes(code);
  const message = silent ? "the streamer node does not answer" : messageOf(error);
  return { code, status: silent ? 0 : ERRORS[code].status, message };
};

export class OwnTarget implements Target {
  readonly key: string;
  readonly #options: OwnTargetOptions;

  constructor(options: OwnTargetOptions) {
    this.#options = options;
    this.key = `castellan ${options.nodeId}/${options.ordinal}`;
  }

  async push({ payload, remote }: Command): Promise<PushOutcome> {
    const { ask, spec, ordinal, leaseEpoch } = this.#options;
    try {
      const { state } = await ask(startStream, { ordinal, leaseEpoch, spec: { ...spec(), payload } });
      return { remote: "ours", refusal: null, state, unclear: false };
    } catch (error) {
      return this.#refused(error, remote);
    }
  }

  async restart(command: Command): Promise<PushOutcome> {
    const { ask, spec, ordinal, leaseEpoch } = this.#options;
    const { tenant, streamId } = spec();
    try {
      const { state } = await ask(restartStream, { ordinal, leaseEpoch, tenant, streamId });
      return { remote: "ours", refusal: null, state, unclear: false };
    } catch (error) {
      if (codeOf(error) === "STREAM_NOT_FOUND") return this.push(command);
      return this.#refused(error, command.remote);
    }
  }

  async remove({ remote }: Command): Promise<RemoveOutcome> {
    if (remote === "none") return { remote, refusal: null };
    const { ask, spec, ordinal, leaseEpoch } = this.#options;
    const { tenant, streamId } = spec();
    try {
      await ask(stopStream, { ordinal, leaseEpoch, tenant, streamId });
      return { remote: "none", refusal: null };
    } catch (error) {
      const { status, message } = refusalOf(error);
      return { remote, refusal: { status, message } };
    }
  }

  /** Our streamers report by themselves. */
  check(_payload: Payload): Promise<CheckOutcome> {
    return Promise.resolve({ found: "same" });
  }

  #refused(error: unknown, before: Command["remote"]): PushOutcome {
    const { code, status, message } = refusalOf(error);
    const had = before === "ours" || before === "maybe" ? before : "none";
    const remote = status === 0 && !NOT_REACHED.includes(code) && had === "none" ? "maybe" : had;
    return { remote, refusal: { status, message }, state: null, unclear: false };
  }
}

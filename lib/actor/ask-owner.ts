import type { z } from "zod";
import { codeOf, Fault } from "../../contracts/errors.ts";
import type { Ask } from "../../contracts/kit.ts";
import { attempt, deadlineOf, type Meta, measured, parseInput, pause, type Via } from "./contract.ts";
import type { Directory } from "./directory.ts";
import { isNodeGone, isNotThere } from "./faults.ts";

export interface Owners {
  /** The call that is being answered, or the broker. */
  readonly broker: Via;
  readonly directory: Directory;
  readonly kind: string;
}

const RETRY_MIN_MS = 10;
const RETRY_MAX_MS = 250;

/**
 * `send` to the owner of the ask's key. While the key has no owner, or its owner is just gone, it is tried again within
 * the ask's deadline; then ACTOR_MOVED. Also ACTOR_MOVED, at once, where nobody wants such a key.
 */
export const askOwner = <I extends z.ZodType, O extends z.ZodType>(
  owners: Owners,
  ask: Ask<I, O>,
  ...[params, meta]: [params: z.input<I>, meta?: Meta]
): Promise<z.output<O>> =>
  measured(owners.broker, ask, () => askUntil(owners, ask, params, meta)) as Promise<z.output<O>>;

const askUntil = async (owners: Owners, ask: Ask, params: unknown, meta?: Meta): Promise<unknown> => {
  const { broker, directory, kind } = owners;
  if (!ask.key) throw new Error(`bug: ${ask.name} has no key`);
  const endsAt = performance.now() + deadlineOf(broker, ask, meta);
  const key = ask.key(parseInput(ask.input, params));
  for (let delayMs = RETRY_MIN_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_MS)) {
    const nodeId = await directory.locate(kind, key);
    const timeoutMs = Math.floor(endsAt - performance.now());
    if (nodeId === undefined || timeoutMs < 1) throw new Fault("ACTOR_MOVED", { key: `${kind} ${key}` });
    if (nodeId !== null) {
      try {
        return await attempt(broker, { ask, params, timeoutMs, meta, nodeId });
      } catch (error) {
        const gone = ask.retriable ? isNodeGone(error) : isNotThere(error);
        if (!gone && codeOf(error) !== "ACTOR_MOVED") throw error;
        directory.forget(kind, key);
      }
    }
    await pause(Math.min(delayMs, Math.max(1, timeoutMs)));
  }
};

/**
 * The contract layer: actors speak to each other only through `send`, `sendTo` and `announce`, and answer through
 * `answer` and `on`. A call carries its tenant, request id and what is left of its deadline; the callee checks the
 * input and its own result against the contract; only catalogue errors come back.
 */
import type { ActionSchema, CallingOptions, Context, ServiceBroker } from "moleculer";
import type { z } from "zod";
import { Fault, fail } from "../../contracts/errors.ts";
import type { Ask, Fact } from "../../contracts/kit.ts";
import { fieldErrors } from "../field-errors.ts";
import { histogram } from "../metrics/metrics.ts";
import { faultOf, isLate, isNodeGone, isNotThere } from "./faults.ts";
import type { FromContract } from "./tenant-guard.ts";

/** What goes along with every call, set once where it enters the platform. */
export interface Meta {
  tenantId?: string;
  /** The tenant's slug. */
  tenant?: string;
  /** Read it as `call.requestID`. */
  requestId?: string;
  scopes?: readonly string[];
  /** A deadline shorter than the ask's own, in ms from now. */
  deadlineMs?: number;
}
/** The call that is being answered (or the fact that is being handled). */
export type Call = Context<unknown, Meta>;
export type Via = Call | ServiceBroker;

// 20 + 40 + … + 640 ms = 1.3 s: a rolling restart, or a peer that has not heard of a new node yet
const RESENDS_MAX = 6;
const RESEND_DELAY_MS = 20;

const askSeconds = histogram({
  name: "castellan_ask_seconds",
  help: "Time from sending an ask to its answer, as the asker sees it.",
  labels: ["ask", "code"],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25],
});

/** The checked input, or BAD_INPUT with a complaint per field in `data.errors`. */
export const parseInput = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : fail("BAD_INPUT", { errors: fieldErrors(parsed.error) });
};

const logBug = (call: Call, name: string, error: unknown): void => {
  const { requestID: requestId } = call;
  call.broker.logger.error(
    { err: error, requestId, tenant: call.meta.tenant, ask: name },
    `${name} failed unexpectedly`,
  );
};

/** The fault to answer with; what is not in the catalogue is a bug: logged here, once, and told to nobody. */
const faultToAnswer = (call: Call, name: string, error: unknown): Fault => {
  const fault = faultOf(error, name, call.broker);
  if (fault) return fault;
  logBug(call, name, error);
  return new Fault("INTERNAL", { requestId: call.requestID });
};

/** The action that answers an ask. `run` gets checked input; its result is checked too, and cut to the contract. */
export const answer = <I extends z.ZodType, O extends z.ZodType>(
  ask: Ask<I, O>,
  run: (input: z.output<I>, call: Call) => Promise<z.input<O>> | z.input<O>,
): ActionSchema => ({
  // Always set: an action without a visibility counts as reachable from outside.
  visibility: ask.rest ? "published" : "public",
  handler: async (call: Call): Promise<z.output<O>> => {
    // Parsed here and not by Moleculer's `params`: those are deep-cloned, and shipped to every node.
    const input = parseInput(ask.input, call.params);
    try {
      const result = ask.result.safeParse(await run(input, call));
      if (result.success) return result.data;
      throw new Error(`bug: ${ask.name} answers what its contract does not have`, { cause: result.error });
    } catch (error) {
      throw faultToAnswer(call, ask.name, error);
    }
  },
});

/** Handlers of a broadcast hint, to be spread into a service's `events`. They never throw: an error is logged. */
export const on = <P extends z.ZodType>(
  fact: Fact<P>,
  run: (payload: z.output<P>, call: Call) => Promise<void> | void,
): Record<string, { handler(call: Call): Promise<void> }> => ({
  [fact.name]: {
    handler: async (call) => {
      try {
        await run(fact.payload.parse(call.params), call);
      } catch (error) {
        logBug(call, fact.name, error);
      }
    },
  },
});

/** The tenant that a call is made for; TENANT_MISSING without one. */
export const tenantOf = (call: Call): { tenantId: string; tenant: string } => {
  const { tenantId, tenant } = call.meta;
  return tenantId && tenant ? { tenantId, tenant } : fail("TENANT_MISSING");
};

const isCall = (via: Via): via is Call => "meta" in via;
export const brokerOf = (via: Via): ServiceBroker => (isCall(via) ? via.broker : via);

/** What is left of a call's deadline in ms, 0 or less when it has passed; Infinity where it has none. */
export const leftMs = (via: Via): number => {
  if (!isCall(via)) return Number.POSITIVE_INFINITY;
  // Set by Moleculer's timeout middleware when the call arrives; not in its types.
  const { options, startHrTime } = via as Call & { startHrTime: [number, number] | null };
  if (!options.timeout) return Number.POSITIVE_INFINITY;
  if (!startHrTime) return options.timeout;
  const [seconds, nanoseconds] = process.hrtime(startHrTime);
  return options.timeout - seconds * 1e3 - nanoseconds / 1e6;
};

/** How long an ask sent now may take: its own deadline, or less where its caller has less left. */
export const deadlineOf = (via: Via, ask: Pick<Ask, "deadlineMs">, meta?: Meta): number =>
  Math.floor(Math.min(ask.deadlineMs, meta?.deadlineMs ?? ask.deadlineMs, leftMs(via)));

/** What goes along: the caller's, where `given` does not say otherwise. The request id has a field of its own. */
const carriedMeta = (via: Via, given: Meta = {}): Meta => {
  const base: Meta = isCall(via) ? via.meta : {};
  const { tenantId = base.tenantId, tenant = base.tenant, scopes = base.scopes } = given;
  const carried: Meta = {};
  if (tenantId !== undefined) carried.tenantId = tenantId;
  if (tenant !== undefined) carried.tenant = tenant;
  if (scopes !== undefined) carried.scopes = scopes;
  return carried;
};

/** What is used of Moleculer's context tracker and is not in its types (0.15.2, pinned). */
interface Tracker {
  readonly _trackedContexts: Call[];
}

/** Moleculer counts a call to another node as running until its answer comes: a lost one would hold up a stop. */
const untrack = (broker: ServiceBroker, call: Call): void => {
  const { _trackedContexts: tracked } = broker as unknown as Tracker;
  const index = tracked.indexOf(call);
  if (index >= 0) tracked.splice(index, 1);
};

interface Attempt {
  readonly ask: Ask;
  readonly params: unknown;
  readonly timeoutMs: number;
  readonly meta?: Meta | undefined;
  readonly nodeId?: string | undefined;
}
/**
 * One call over Moleculer. Not `ctx.call`: that copies the callee's whole meta into its caller's, and so a callee could
 * make its caller another tenant.
 */
export const attempt = (via: Via, { ask, params, timeoutMs, meta, nodeId }: Attempt): Promise<unknown> => {
  const broker = brokerOf(via);
  const options: CallingOptions & FromContract = {
    timeout: timeoutMs,
    meta: carriedMeta(via, meta),
    fromContract: true,
  };
  if (meta?.requestId !== undefined) options.requestID = meta.requestId;
  if (nodeId !== undefined) options.nodeID = nodeId;
  if (isCall(via)) {
    const levelMax = broker.options.maxCallLevel ?? 0;
    if (levelMax > 0 && via.level >= levelMax) {
      return Promise.reject(new Error(`bug: asks are ${levelMax} deep at ${ask.name}`));
    }
    options.parentCtx = via;
  }
  const calling = broker.call(ask.name, params ?? {}, options);
  const { ctx } = calling as typeof calling & { readonly ctx?: Call };
  return calling.catch((error: unknown) => {
    if (ctx && isLate(error)) untrack(broker, ctx);
    throw error;
  });
};

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for an answer and keeps its time; what was thrown becomes a fault, and a bug stays what it is. */
export const measured = async <T>(via: Via, ask: Ask, run: () => Promise<T>): Promise<T> => {
  const startedAt = performance.now();
  let code = "OK";
  try {
    return await run();
  } catch (error) {
    const fault = faultOf(error, ask.name, brokerOf(via));
    code = fault?.code ?? "BUG";
    throw fault ?? error;
  } finally {
    askSeconds.observe({ ask: ask.name, code }, (performance.now() - startedAt) / 1e3);
  }
};

const sendUntil = async (via: Via, to: Omit<Attempt, "timeoutMs">): Promise<unknown> => {
  const endsAt = performance.now() + deadlineOf(via, to.ask, to.meta);
  for (let resends = 0; ; resends += 1) {
    const timeoutMs = Math.floor(endsAt - performance.now());
    if (timeoutMs < 1) return fail("DEADLINE_PASSED", { what: to.ask.name });
    try {
      return await attempt(via, { ...to, timeoutMs });
    } catch (error) {
      const again = to.ask.retriable ? isNodeGone(error) : isNotThere(error);
      if (!again || resends >= RESENDS_MAX) throw error;
      await pause(RESEND_DELAY_MS * 2 ** resends);
    }
  }
};

/**
 * Sends an ask and waits for its answer, at most for the ask's deadline and what is left of the caller's.
 * `via`: the call that is being answered (its tenant and request id go along) or the broker (with `meta`).
 * Throws a Fault; a call that nobody has started on is sent again, a retriable one also when its node died.
 */
export const send = <I extends z.ZodType, O extends z.ZodType>(
  via: Via,
  ask: Ask<I, O>,
  params: z.input<I>,
  meta?: Meta,
): Promise<z.output<O>> =>
  // The callee has checked its result against the contract; parsing it again here would only cost.
  measured(via, ask, () => sendUntil(via, { ask, params, meta })) as Promise<z.output<O>>;

/** `send` to the actor of one node (node-bound actors). */
export const sendTo = <I extends z.ZodType, O extends z.ZodType>(
  via: Via,
  nodeId: string,
  ask: Ask<I, O>,
  ...[params, meta]: [params: z.input<I>, meta?: Meta]
): Promise<z.output<O>> =>
  measured(via, ask, () => sendUntil(via, { ask, params, meta, nodeId })) as Promise<z.output<O>>;

/** Broadcasts a hint to every node; it may be lost. What must not be lost goes through the outbox (lib/events). */
export const announce = <P extends z.ZodType>(via: Via, fact: Fact<P>, payload: z.input<P>, meta?: Meta): void => {
  const requestID = meta?.requestId ?? (isCall(via) ? via.requestID : undefined);
  const options = { meta: carriedMeta(via, meta), ...(requestID ? { requestID } : {}) };
  brokerOf(via)
    .broadcast(fact.name, payload, options)
    .catch(() => {}); // Moleculer has logged it, and a hint may be lost
};

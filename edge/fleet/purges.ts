/** Purges that the fleet wants: done here, and acknowledged to the node that waits for it. */
import type { ServiceBroker } from "moleculer";
import type { z } from "zod";
import { type ErrorCode, Fault } from "../../contracts/errors.ts";
import { acknowledgePurge, type EdgePurge, edgePurgeWanted } from "../../contracts/fleet.ts";
import { on, sendTo } from "../../lib/actor/contract.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Purge } from "../cache/purges/purge-table.ts";
import type { Sites } from "../config/sites.ts";
import { purgeOf } from "../node/admin.ts";

export interface PurgesDeps {
  readonly log: Log;
  /** Before it is, there is nobody to tell. */
  readonly isOpen: () => boolean;
  /** What is served now. */
  readonly sites: () => Sites | undefined;
  /** Resolves when it counts for good. */
  readonly purge: (purge: Purge) => Promise<void>;
}
interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

const MESSAGE_MAX = 500; // as the contract takes it

const failureOf = (error: unknown): Failure => {
  const { code, message, data } = error instanceof Fault ? error : new Fault("INTERNAL");
  const errors = (data.errors ?? []) as readonly { readonly path: string; readonly message: string }[]; // of BAD_INPUT
  const complaints = errors.map((one) => `${one.path} ${one.message}`.trim()).join("; ");
  return { code, message: (complaints || message).slice(0, MESSAGE_MAX) };
};

const NO_SITE = { path: "hostname", message: "is no site of this edge" };

const purged = async (
  wanted: z.output<typeof EdgePurge>,
  { log, isOpen, sites: served, purge }: PurgesDeps,
): Promise<Failure | null> => {
  try {
    if (!isOpen()) throw new Fault("STARTING", { what: "The edge" });
    const sites = served();
    if (!sites) throw new Fault("BAD_INPUT", { errors: [NO_SITE] });
    const target = purgeOf(wanted, sites);
    await purge(target);
    log.info({ purge: target }, "purged");
    return null;
  } catch (error) {
    const failure = failureOf(error);
    log.error({ err: error, purge: wanted }, "a purge that the fleet wants is not done");
    return failure;
  }
};

/** Purges whatever is announced until the returned function is called. */
export const listenForPurges = (broker: ServiceBroker, deps: PurgesDeps): (() => Promise<void>) => {
  const service = broker.createService({
    name: "edge-purge",
    events: {
      ...on(edgePurgeWanted, async ({ purgeId, replyTo, purge }) => {
        const failure = await purged(purge, deps);
        await sendTo(broker, replyTo, acknowledgePurge, { purgeId, nodeId: broker.nodeID, failure }).catch(
          // Whoever wanted it has named this edge as silent.
          (error: unknown) => deps.log.warn({ err: error, purgeId }, "a purge can't be acknowledged"),
        );
      }),
    },
  });
  return () => broker.destroyService(service);
};

/**
 * Tells every edge what to purge, and gathers what each of them says. Edges are told by a fact and answer by an ask, to
 * the node that wants to know: asks stay a graph without a cycle.
 */
import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { Fault } from "../../contracts/errors.ts";
import { type acknowledgePurge, type EdgePurge, edgePurgeWanted, type purgeEdges } from "../../contracts/fleet.ts";
import { announce, brokerOf, leftMs, type Via } from "../../lib/actor/contract.ts";

type Answer = z.output<(typeof purgeEdges)["result"]>;
type Acknowledged = z.output<(typeof acknowledgePurge)["input"]>;

/** A sync of a disk takes milliseconds, one under load seconds. */
const WAIT_MS = 6_000;
const ANSWER_MS = 500; // of the asker's deadline, to answer in

/** What is used of Moleculer's registry and is not in its types (0.15.2, pinned). */
interface Registry {
  readonly events: { getAllEndpoints(name: string): readonly { readonly id: string }[] };
}
/** Ids of the edges that are there. */
export const edgesOn = (via: Via): string[] => {
  const registry = brokerOf(via).registry as unknown as Registry;
  return registry.events.getAllEndpoints(edgePurgeWanted.name).map(({ id }) => id);
};

interface Waiting {
  readonly said: (ack: Acknowledged) => void;
}

export class EdgePurges {
  readonly #waiting = new Map<string, Waiting>();

  /** An edge that is on the bus and says nothing in time is among the failures: it may still serve what was purged. */
  async purgeAll(via: Via, purge: z.output<typeof EdgePurge>): Promise<Answer> {
    const silent = new Set(edgesOn(via));
    const answer: Answer = { data: { nodes: [] }, failures: [] };
    if (silent.size === 0) return answer;
    const purgeId = randomUUID();
    const all = Promise.withResolvers<void>();
    const said = ({ nodeId, failure }: Acknowledged): void => {
      if (!silent.delete(nodeId)) return;
      if (failure) answer.failures.push({ nodeId, ...failure });
      else answer.data.nodes.push({ nodeId });
      if (silent.size === 0) all.resolve();
    };
    this.#waiting.set(purgeId, { said });
    const timer = setTimeout(all.resolve, Math.max(0, Math.min(WAIT_MS, leftMs(via) - ANSWER_MS)));
    announce(via, edgePurgeWanted, { purgeId, replyTo: brokerOf(via).nodeID, purge });
    await all.promise;
    clearTimeout(timer);
    this.#waiting.delete(purgeId);
    const { code, message } = new Fault("DEADLINE_PASSED", { what: edgePurgeWanted.name });
    for (const nodeId of silent) answer.failures.push({ nodeId, code, message });
    return answer;
  }

  /** What an edge says of a purge; too late it is of no interest. */
  acknowledge(ack: Acknowledged): void {
    this.#waiting.get(ack.purgeId)?.said(ack);
  }
}

import type { ServiceBroker, ServiceSchema } from "moleculer";
import { z } from "zod";
import { fact } from "../../contracts/kit.ts";
import { on } from "./contract.ts";

/** Broadcast by the node that found others dead (placement.ts): long before heartbeats are missed. */
export const nodesDied = fact("actor.nodesDied", z.object({ nodeIds: z.array(z.string()) }));

/** What is used of Moleculer's registry and is not in its types (0.15.2, pinned). */
interface Registry {
  readonly registry: { readonly nodes: { disconnected(nodeId: string, unexpected: boolean): void } };
}

/** Part of every broker: calls that wait for a dead node fail at once. A living one is back at its next heartbeat. */
export const deadNodesService = (broker: ServiceBroker): ServiceSchema => ({
  name: "actor-nodes",
  events: {
    ...on(nodesDied, ({ nodeIds }) => {
      const { nodes } = (broker as unknown as Registry).registry;
      for (const nodeId of nodeIds) if (nodeId !== broker.nodeID) nodes.disconnected(nodeId, true);
    }),
  },
});

/** Which nodes answer an ask: for node-bound actors that are all to be told the same. */
import type { Ask } from "../../contracts/kit.ts";
import { brokerOf, type Via } from "./contract.ts";

/** What is used of Moleculer's registry and is not in its types (0.15.2, pinned). */
interface Registry {
  getActionEndpoints(
    name: string,
  ): { readonly endpoints: readonly { readonly id: string; readonly isAvailable: boolean }[] } | undefined;
}

/** Ids of the nodes that answer it and are there, in order. */
export const nodesOf = (via: Via, { name }: Pick<Ask, "name">): string[] => {
  const registry = brokerOf(via).registry as unknown as Registry;
  const endpoints = registry.getActionEndpoints(name)?.endpoints ?? [];
  return endpoints
    .filter(({ isAvailable }) => isAvailable)
    .map(({ id }) => id)
    .sort();
};

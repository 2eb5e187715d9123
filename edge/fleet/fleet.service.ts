/** The edge's one door to the bus: it asks for snapshots and hears that there are new ones. */
import type { ServiceBroker } from "moleculer";
import { getSnapshot, type Snapshot, snapshotMade } from "../../contracts/fleet.ts";
import { on, send } from "../../lib/actor/contract.ts";

/** Of a broker that is started. */
export const askSnapshot =
  (broker: ServiceBroker) =>
  async (haveVersion: number): Promise<Snapshot | null> =>
    (await send(broker, getSnapshot, { haveVersion })).snapshot;

/** Calls back on every hint until the returned function is called. */
export const listenForHints = (broker: ServiceBroker, hinted: (version: number) => void): (() => Promise<void>) => {
  const service = broker.createService({
    name: "edge-fleet",
    events: { ...on(snapshotMade, ({ version }) => hinted(version)) },
  });
  return () => broker.destroyService(service);
};

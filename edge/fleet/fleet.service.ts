/** The edge's one door to the bus: it asks for snapshots and hears that there are new ones. */
import type { ServiceBroker } from "moleculer";
import {
  acknowledgeConfig,
  configPublished,
  getEdgeSnapshot,
  getMediaAdmission,
  getSnapshot,
  type SignedConfig,
  type Snapshot,
  snapshotMade,
} from "../../contracts/fleet.ts";
import { sessionsRevoked } from "../../contracts/playback.ts";
import { on, send } from "../../lib/actor/contract.ts";
import { type AskAdmission, entriesIn } from "../../lib/crypto/admission-news.ts";
import type { ConfigAck } from "./config-feed.ts";

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

/** The same for configurations of CDN customers: null where the edge has the newest. */
export const askConfig =
  (broker: ServiceBroker) =>
  async (haveRevision: number): Promise<SignedConfig | null> =>
    (await send(broker, getEdgeSnapshot, { haveRevision })).signed;

/** Says what became of a configuration here. */
export const acknowledgeTo =
  (broker: ServiceBroker, nodeId: string) =>
  async ({ revision, applied, errors }: ConfigAck): Promise<void> => {
    await send(broker, acknowledgeConfig, { nodeId, revision, applied, errors: [...errors] });
  };

/** Calls back whenever a configuration is published, until the returned function is called. */
export const listenForConfigs = (broker: ServiceBroker, hinted: (revision: number) => void): (() => Promise<void>) => {
  const service = broker.createService({
    name: "edge-config",
    events: { ...on(configPublished, ({ revision }) => hinted(revision)) },
  });
  return () => broker.destroyService(service);
};

/** Who is let in to stored media. */
export const askAdmission =
  (broker: ServiceBroker): AskAdmission =>
  (after) =>
    send(broker, getMediaAdmission, { after });

/** Calls back when sessions are revoked, with what `revocationBytes` made, until the returned function is called. */
export const listenForRevocations = (
  broker: ServiceBroker,
  hinted: (entries: Uint8Array) => void,
): (() => Promise<void>) => {
  const heard = ({ entries }: { readonly entries: string }): void => hinted(entriesIn(entries));
  const service = broker.createService({ name: "edge-admission", events: { ...on(sessionsRevoked, heard) } });
  return () => broker.destroyService(service);
};

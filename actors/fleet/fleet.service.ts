import type { ServiceBroker, ServiceSchema } from "moleculer";
import { channelChanged, channelDeleted } from "../../contracts/channel.ts";
import {
  acknowledgeConfig,
  acknowledgePurge,
  configPublished,
  getConfig,
  getEdgeSnapshot,
  getMediaAdmission,
  getSnapshot,
  listAccounts,
  listConfigAcks,
  publishConfig,
  purgeEdges,
  purgePackagers,
  rollbackConfig,
  snapshotMade,
  takeAccounts,
} from "../../contracts/fleet.ts";
import { mediaAdmission } from "../../contracts/playback.ts";
import { streamerReported } from "../../contracts/streamer.ts";
import { announce, answer, on, send } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import type { Log } from "../../lib/log/log.ts";
import { EdgeAccounts } from "./accounts.ts";
import { CdnConfigs } from "./cdn.ts";
import { Fleet } from "./fleet.ts";
import { purgeAll } from "./purge.ts";
import { EdgePurges } from "./purge-edges.ts";
import { StreamerWatch } from "./streamer-watch.ts";

export interface FleetServiceDeps {
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whatever was missed is found out by then. */
const REFRESH_MS = 15_000;
/** The registry writes down a streamer's report at about the time at which we hear of it. */
const REPORT_SETTLES_MS = [300, 2_500] as const;

/** What is asked about CDN customers. */
const cdnActions = (cdn: CdnConfigs) => ({
  publishConfig: answer(publishConfig, async (input) => ({ data: await cdn.publish(input) })),
  rollbackConfig: answer(rollbackConfig, async (input) => ({ data: await cdn.rollback(input) })),
  getConfig: answer(getConfig, async ({ revision }) => ({ data: await cdn.get(revision) })),
  configAcks: answer(listConfigAcks, (input) => cdn.acks(input)),
  edgeSnapshot: answer(getEdgeSnapshot, async ({ haveRevision }) => ({ signed: await cdn.signedAfter(haveRevision) })),
  acknowledgeConfig: answer(acknowledgeConfig, async (ack) => {
    await cdn.acknowledge(ack);
    return {};
  }),
});

/** What edges are told to forget, and what they counted. */
const edgeActions = (purges: EdgePurges, accounts: EdgeAccounts) => ({
  purgeEdges: answer(purgeEdges, (purge, call) => purges.purgeAll(call, purge)),
  acknowledgePurge: answer(acknowledgePurge, (ack) => {
    purges.acknowledge(ack);
    return {};
  }),
  takeAccounts: answer(takeAccounts, async (batch) => ({ admission: await accounts.take(batch) })),
  accounts: answer(listAccounts, (input) => accounts.list(input)),
});

/** Wiring of the fleet actor: contract ↔ behaviour, and what makes it look at the rows again. */
export const fleetService = ({ broker, db, events, clock, log }: FleetServiceDeps): ServiceSchema => {
  const fleet = new Fleet({ db, clock, log, made: (version) => announce(broker, snapshotMade, { version }) });
  const cdn = new CdnConfigs({ db, clock, published: (revision) => announce(broker, configPublished, { revision }) });
  const accounts = new EdgeAccounts({ db, clock, log });
  const watch = new StreamerWatch();
  const timers = new Set<NodeJS.Timeout>();
  const refresh = (): Promise<void> =>
    fleet.refresh().catch((error: unknown) => log.warn({ err: error }, "no snapshot could be made; tried again later"));
  const refreshIn = (ms: number): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      void refresh();
    }, ms);
    timers.add(timer);
  };
  const forgetOld = (): Promise<void> =>
    accounts.forgetOld().catch((error: unknown) => log.warn({ err: error }, "old accounts are not forgotten yet"));
  let regular: NodeJS.Timeout | undefined;

  return {
    name: "fleet",
    actions: {
      ...cdnActions(cdn),
      ...edgeActions(new EdgePurges(), accounts),
      purgePackagers: answer(purgePackagers, (targets, call) => purgeAll(call, targets)),
      mediaAdmission: answer(getMediaAdmission, (since, call) => send(call, mediaAdmission, since)),
      snapshot: answer(getSnapshot, async ({ haveVersion }) => ({ snapshot: await fleet.snapshotFor(haveVersion) })),
    },
    events: on(streamerReported, (report) => {
      if (watch.isNews(report)) for (const ms of REPORT_SETTLES_MS) refreshIn(ms);
    }),
    async started() {
      // One of the control nodes hears each fact; it counts up, and the others look when they are asked.
      await events.subscribe("fleet", [channelChanged, channelDeleted], () => fleet.refresh());
      regular = setInterval(() => void Promise.all([refresh(), forgetOld()]), REFRESH_MS);
      await refresh();
    },
    stopped() {
      clearInterval(regular);
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
};

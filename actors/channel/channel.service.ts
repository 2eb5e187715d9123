import type { ServiceBroker, ServiceSchema } from "moleculer";
import {
  addOrigin,
  createChannel,
  deleteChannel,
  getChannel,
  getPlayback,
  listChannels,
  patchChannel,
  removeOrigin,
  replaceChannel,
  restartChannel,
  startChannel,
  stopChannel,
} from "../../contracts/channel.ts";
import { channelObserved, settleChannel } from "../../contracts/channel-supervisor.ts";
import { askOwner } from "../../lib/actor/ask-owner.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Directory } from "../../lib/actor/directory.ts";
import type { Placement } from "../../lib/actor/placement.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import type { Log } from "../../lib/log/log.ts";
import { Channels } from "./channel.ts";
import { Creation, type Settle, type Who } from "./creation.ts";
import { Heard } from "./heard.ts";
import { applyObserved, SUPERVISOR } from "./observation.ts";
import { probeCastis } from "./probe.ts";
import { rounds } from "./rounds.ts";
import { streamerRegistryService } from "./streamer-registry.service.ts";
import { StreamerRegistry } from "./streamer-registry.ts";

export interface ChannelDeps {
  readonly config: { readonly edgePublicUrl: string; readonly allowPrivateSources: readonly string[] };
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly events: EventBus;
  readonly placement: Pick<Placement, "incarnation">;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly log: Log;
}

const whoOf = (call: Call): Who => ({ ...tenantOf(call), requestId: call.requestID ?? undefined });
/** Wiring of the channel actor, with the streamer registry that is part of it: contract ↔ behaviour, timers. */
export const channelServices = (deps: ChannelDeps): ServiceSchema[] => {
  const { broker, directory, db, clock, log, config, events } = deps;
  const { allowPrivateSources, edgePublicUrl } = config;
  const settle: Settle = async ({ requestId, ...who }, order) => {
    const meta = { ...who, ...(requestId === undefined ? {} : { requestId }) };
    const params = { tenantId: who.tenantId, ...order };
    return (await askOwner({ broker, directory, kind: SUPERVISOR }, settleChannel, params, meta)).origins;
  };
  const heard = new Heard(clock);
  const sources = { allowPrivateSources };
  const creation = new Creation({ db, log, settle, sources, incarnation: () => deps.placement.incarnation });
  const channels = new Channels({ db, settle, sources, edgePublicUrl, heard: (...of) => heard.live(...of) });
  const probe = probeCastis(new OutgoingAgents(allowPrivateSources));
  const registry = new StreamerRegistry({ db, clock, sources, probe });
  const timers = rounds({ db, log, creation, registry });
  return [
    {
      name: "channel",
      actions: {
        create: answer(createChannel, (input, call) => creation.create(whoOf(call), input)),
        list: answer(listChannels, (input, call) => channels.list(whoOf(call), input)),
        get: answer(getChannel, (input, call) => channels.get(whoOf(call), input)),
        replace: answer(replaceChannel, (input, call) => channels.replace(whoOf(call), input)),
        patch: answer(patchChannel, (input, call) => channels.patch(whoOf(call), input)),
        delete: answer(deleteChannel, (input, call) => channels.delete(whoOf(call), input)),
        start: answer(startChannel, (input, call) => channels.start(whoOf(call), input)),
        stop: answer(stopChannel, (input, call) => channels.stop(whoOf(call), input)),
        restart: answer(restartChannel, (input, call) => channels.restart(whoOf(call), input)),
        addOrigin: answer(addOrigin, (input, call) => channels.addOrigin(whoOf(call), input)),
        removeOrigin: answer(removeOrigin, (input, call) => channels.removeOrigin(whoOf(call), input)),
        playback: answer(getPlayback, (input, call) => channels.playback(whoOf(call), input)),
      },
      async started() {
        await events.subscribe("channel", [channelObserved], async ({ payload }) => {
          await db.tenantTx(payload.tenantId, (tx) => applyObserved(tx, payload));
        });
        timers.start();
      },
      stopped: () => timers.stop(),
    },
    streamerRegistryService(registry, heard),
  ];
};

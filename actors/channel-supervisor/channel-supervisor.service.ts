import type { ServiceBroker, ServiceSchema } from "moleculer";
import { settleChannel } from "../../contracts/channel-supervisor.ts";
import { streamerReported } from "../../contracts/streamer.ts";
import { on, sendTo } from "../../lib/actor/contract.ts";
import { type KeyContext, KeyedHost } from "../../lib/actor/keyed-host.ts";
import type { Placement } from "../../lib/actor/placement.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import type { Log } from "../../lib/log/log.ts";
import { CASTIS_PACE, type CastisPace } from "./castis-client.ts";
import { ChannelSupervisor } from "./channel-supervisor.ts";
import { Reports } from "./reports.ts";

export interface ChannelSupervisorDeps {
  readonly config: { readonly allowPrivateSources: readonly string[] };
  readonly broker: ServiceBroker;
  readonly db: Database;
  /** Not started yet: the host registers with it. */
  readonly placement: Placement;
  readonly clock: Clock;
  readonly log: Log;
  readonly castis?: CastisPace;
}

const NAME = "channel-supervisor";

/** `<tenantId>:<channelId>`, as `supervisorKey` makes it. */
const refOf = (key: string): { tenantId: string; channelId: number } => {
  const [, tenantId, channelId] = /^([0-9a-f-]{36}):([1-9]\d*)$/.exec(key) ?? [];
  if (tenantId === undefined) throw new Error(`bug: ${JSON.stringify(key)} is no key of a channel`);
  return { tenantId, channelId: Number(channelId) };
};

/**
 * Wiring of the channel supervisor: one keyed actor per channel, all in one service. To be made before the placement
 * starts, which hands it its channels.
 */
export const channelSupervisorService = (deps: ChannelSupervisorDeps): ServiceSchema => {
  const { broker, db, placement, clock, log, config } = deps;
  const castis = { ...(deps.castis ?? CASTIS_PACE), agents: new OutgoingAgents(config.allowPrivateSources) };
  const reports = new Reports();
  const create = ({ key, leaseEpoch, alive }: KeyContext) =>
    new ChannelSupervisor(
      {
        ...{ db, clock, log, reports, castis },
        ask: ({ nodeId, meta }, ask, params) => sendTo(broker, nodeId, ask, params, meta),
      },
      { ...refOf(key), leaseEpoch, alive },
    );
  const host = new KeyedHost<ChannelSupervisor>({ placement, kind: NAME, create });
  return {
    name: NAME,
    actions: {
      settle: host.answer(settleChannel, (actor, { push, restart }, call) =>
        actor.settle({ push, restart, requestId: call.requestID ?? undefined }),
      ),
    },
    events: on(streamerReported, (report) => reports.hear(report, clock.nowMs())),
  };
};

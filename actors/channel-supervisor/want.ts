/** From rows to what a runner works with: the payload, the streamer as a target, its last word, the playback URL. */
import type { z } from "zod";
import type { Ask } from "../../contracts/kit.ts";
import type { Anchor } from "../../contracts/streamer.ts";
import { buildPayload } from "../../domain/payload/payload.ts";
import { playbackUrlOf } from "../../domain/payload/playback-url.ts";
import type { Meta } from "../../lib/actor/contract.ts";
import type { CastisHow } from "./castis-client.ts";
import { CastisTarget } from "./castis-target.ts";
import type { Claim, WantedChannel, WantedOrigin } from "./channel-supervisor.store.ts";
import type { Want } from "./origin-runner.ts";
import { OwnTarget } from "./own-target.ts";
import { type Reports, streamIn } from "./reports.ts";
import type { Target } from "./target.ts";

/** Sends an ask to the streamers of one node. */
export type AskStreamer = <I extends z.ZodType, O extends z.ZodType>(
  to: { readonly nodeId: string; readonly meta: Meta },
  ask: Ask<I, O>,
  params: z.input<I>,
) => Promise<z.output<O>>;

export interface ChannelContext {
  readonly channel: WantedChannel;
  readonly tenantId: string;
  readonly leaseEpoch: number;
  readonly reports: Reports;
  readonly castis: CastisHow;
  readonly alive: () => boolean;
  readonly ask: <I extends z.ZodType, O extends z.ZodType>(
    nodeId: string,
    ask: Ask<I, O>,
    params: z.input<I>,
  ) => Promise<z.output<O>>;
  readonly anchor: () => Anchor | null;
  readonly heldByOther: (claim: Omit<Claim, "tenantId">) => Promise<boolean>;
}

export const wantOf = (context: ChannelContext, row: WantedOrigin): Want => {
  const { channel, reports } = context;
  const { tenant, streamId, ingestConfig, transcodeConfig } = channel;
  const { nodeId, ordinal } = row;
  const removal = channel.deleted || row.wanted === "absent";
  return {
    row,
    run: !removal && channel.wanted === "running",
    removal,
    tenant,
    streamId,
    // Rows without any URL are refused when they are written; an empty one is refused by every streamer.
    payload: buildPayload({ ingestConfig, transcodeConfig, ingestUrl: row.ingestUrl }) ?? { url: "" },
    target: targetOf(context, row),
    playbackUrl: playbackUrlOf(row.playbackUrlTemplate, { base: row.publicUrl ?? row.baseUrl, tenant, streamId }),
    heard:
      nodeId === null || ordinal === null
        ? null
        : () => {
            const heard = reports.last({ nodeId, ordinal });
            return { heard, stream: heard && streamIn(heard, { tenant, streamId }) };
          },
  };
};

const targetOf = ({ channel, ...context }: ChannelContext, row: WantedOrigin): Target => {
  const { tenantId, leaseEpoch, ask, anchor, heldByOther, alive, castis } = context;
  const { id: channelId, tenant, streamId, loopStartedAtMs: loopStartedAt } = channel;
  const { nodeId, ordinal, baseUrl, credential, sourceTrusted: trusted, nodeTrusted } = row;
  if (nodeId === null || ordinal === null)
    return new CastisTarget({
      node: { baseUrl, credential, trusted: nodeTrusted },
      ...castis,
      streamId,
      alive,
      heldByOther: () => heldByOther({ originId: row.id, streamId, baseUrl }),
    });
  return new OwnTarget({
    nodeId,
    ordinal,
    leaseEpoch,
    ask: (order, params) => ask(nodeId, order, params),
    spec: () => ({
      ...{ tenantId, tenant, streamId, channelId, trusted, loopStartedAt },
      anchor: loopStartedAt === null ? anchor() : null,
    }),
  });
};

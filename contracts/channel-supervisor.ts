/**
 * The live owner of one channel: brings what streamers run to what the rows want. Keyed by `<tenantId>:<channelId>`.
 */
import { z } from "zod";
import { Failure, OriginStatus } from "./channel.ts";
import { ask, fact } from "./kit.ts";

const Ref = z.object({ tenantId: z.uuid(), channelId: z.int().positive() });
export const supervisorKey = (ref: { tenantId: string; channelId: number }): string =>
  `${ref.tenantId}:${ref.channelId}`;

const OriginOutcome = z.object({
  originId: z.int(),
  streamerId: z.int(),
  status: OriginStatus,
  playbackUrl: z.string().nullable(),
  /** Present where the streamer did not take (or give up) the stream. */
  failure: Failure.nullable(),
});
export type OriginOutcome = z.output<typeof OriginOutcome>;

/** Reads the rows again and pushes what differs, all origins in parallel; answers when each has answered or failed. */
export const settleChannel = ask("channel-supervisor.settle", {
  input: Ref.extend({
    /** Origins whose payload changed or that are to be restarted; others are left alone if they run. */
    push: z.array(z.int()).default([]),
    restart: z.boolean().default(false),
  }),
  result: z.object({ leaseEpoch: z.int(), origins: z.array(OriginOutcome) }),
  deadlineMs: 20_000,
  errors: ["ACTOR_MOVED", "CHANNEL_NOT_FOUND"],
  retriable: true,
  key: supervisorKey,
});

/** Durable (outbox), written with channel_runtime: what the owner sees of a channel's origins has changed. */
export const channelObserved = fact(
  "channel.observed",
  Ref.extend({
    leaseEpoch: z.int(),
    origins: z.array(
      z.object({
        originId: z.int(),
        status: OriginStatus,
        playbackUrl: z.string().nullable(),
        message: z.string().nullable(),
        /** The origin's row asks for its removal, and the streamer has confirmed it. */
        gone: z.boolean(),
      }),
    ),
  }),
);
export type ChannelObserved = z.output<typeof channelObserved.payload>;

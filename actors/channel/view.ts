/** From rows to what clients of the API see. */
import type { z } from "zod";
import type { Channel, ChannelOrigin, LiveStatus, Streamer } from "../../contracts/channel.ts";
import type { ChannelRow, OriginRow } from "./channel.store.ts";
import type { StreamerRow } from "./streamer-registry.store.ts";

export type Live = z.output<typeof LiveStatus>;

const originView = (origin: OriginRow, live: Live | null | undefined): ChannelOrigin => {
  const { id, channelId, streamerId, ingestUrl, streamId, playbackUrl, status, message } = origin;
  const shown = { id, channelId, streamerId, ingestUrl, streamId, playbackUrl, status, message };
  return live === undefined ? shown : { ...shown, live };
};

/** Origins that are to go are not shown any more. `liveOf`: only where one channel is asked for. */
export const channelView = (
  channel: ChannelRow,
  origins: readonly OriginRow[],
  liveOf?: ReadonlyMap<number, Live>,
): Channel => {
  const { id, sid, name, quality, streamId, sourceType, ingestConfig, transcodeConfig, status, version } = channel;
  return {
    ...{ id, sid, name, quality, streamId, sourceType, ingestConfig, transcodeConfig, status },
    origins: origins
      .filter((origin) => origin.channelId === id && origin.wanted === "present")
      .map((origin) => originView(origin, liveOf && (liveOf.get(origin.id) ?? null))),
    version,
    createdAt: channel.createdAt.toISOString(),
    updatedAt: channel.updatedAt.toISOString(),
  };
};

/** Five reports of one each 2 s: a streamer of ours that is silent for longer is offline. */
export const OFFLINE_AFTER_MS = 10_000;

const healthOf = (streamer: StreamerRow, nowMs: number): Streamer["health"] => {
  const { kind, lastSeenAt, reachable, draining } = streamer;
  if (kind === "castis") return reachable === null ? "unknown" : reachable ? "online" : "offline";
  if (lastSeenAt === null) return "unknown";
  if (nowMs - lastSeenAt.getTime() > OFFLINE_AFTER_MS) return "offline";
  return draining ? "draining" : "online";
};

/** One of ours that reports. */
export const isRunning = (streamer: StreamerRow, nowMs: number): boolean =>
  streamer.kind === "castellan" && ["online", "draining"].includes(healthOf(streamer, nowMs));

export const streamerView = (streamer: StreamerRow, nowMs: number): Streamer => {
  const { id, name, kind, baseUrl, hasCredential, playbackUrlTemplate, streamsMax, streamCount } = streamer;
  return {
    ...{ id, name, kind, baseUrl, hasCredential, playbackUrlTemplate, streamsMax, streamCount },
    platform: streamer.tenantId === null,
    health: healthOf(streamer, nowMs),
    lastSeenAt: streamer.lastSeenAt?.toISOString() ?? null,
    createdAt: streamer.createdAt.toISOString(),
  };
};

/** From rows to what clients of the API see, and the opaque cursors of lists. */
import type { z } from "zod";
import type { Channel, ChannelOrigin, LiveStatus, Streamer } from "../../contracts/channel.ts";
import { fail } from "../../contracts/errors.ts";
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

/** One row more than the page was asked for, to know whether there is a next one. */
export const pageOf = <Row extends { id: number }>(
  list: string,
  rows: readonly Row[],
  limit: number,
): { rows: readonly Row[]; nextCursor: string | null } => {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, nextCursor: rows.length > limit && last ? cursorAfter(list, last.id) : null };
};

const cursorAfter = (list: string, id: number): string => Buffer.from(`${list}:${id}`).toString("base64url");

/** The id that a cursor of this list stands after; 0 for the first page. */
export const idAfter = (list: string, cursor: string | undefined): number => {
  if (cursor === undefined) return 0;
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  const id = /^([a-z]+):([1-9]\d{0,14})$/.exec(text);
  // Only what we gave out: base64url is lenient when it is read.
  if (id?.[1] !== list || cursorAfter(list, Number(id[2])) !== cursor) return fail("BAD_CURSOR");
  return Number(id[2]);
};

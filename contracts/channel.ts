/**
 * Channels, their origins and the streamer registry, as clients of the REST API see them (playback document). Pool
 * actor.
 */
import { z } from "zod";
import type { ErrorCode } from "./errors.ts";
import { ChannelId, Instant, NextCursor, OriginId, Page, StreamerId, StreamId } from "./ids.ts";
import { ask, fact } from "./kit.ts";
import { IngestConfig, StreamState, TranscodeConfig } from "./streamer.ts";

export const SourceType = z.enum(["udp", "pl", "http", "hls", "srt", "rtmp"]);
export const ChannelStatus = z.enum(["pending", "active", "degraded", "failed", "stopped"]);
export const OriginStatus = z.enum(["pending", "active", "failed", "stopped", "conflict"]);

const NAME_MAX = 200;
const ORIGINS_MAX = 16;
const Name = z.string().trim().min(1).max(NAME_MAX);

export const OriginInput = z.strictObject({
  streamerId: StreamerId,
  ingestUrl: z.string().min(1).max(2000).optional(),
});

const ChannelFields = {
  name: Name,
  /** DVB service id; joins EIT later. */
  sid: z.int().min(0).max(65_535).nullish(),
  /** Free label: SD, HD, FHD, UHD. */
  quality: z.string().max(20).nullish(),
  sourceType: SourceType,
  ingestConfig: IngestConfig,
  transcodeConfig: TranscodeConfig.nullish(),
};

export const LiveStatus = z.object({
  state: StreamState.or(z.literal("unreachable")),
  observedAt: Instant,
  lastSegmentNumber: z.int().nullable(),
  startCount: z.int().nullable(),
  message: z.string().nullable(),
});

export const ChannelOrigin = z.object({
  id: z.int(),
  channelId: z.int(),
  streamerId: z.int(),
  ingestUrl: z.string().nullable(),
  streamId: StreamId,
  playbackUrl: z.string().nullable(),
  status: OriginStatus,
  /** Why it is not active. */
  message: z.string().nullable(),
  /** Only where one channel is asked for. */
  live: LiveStatus.nullish(),
});
export type ChannelOrigin = z.output<typeof ChannelOrigin>;

export const Channel = z.object({
  id: z.int(),
  sid: z.int().nullable(),
  name: z.string(),
  quality: z.string().nullable(),
  streamId: StreamId,
  sourceType: SourceType,
  ingestConfig: IngestConfig,
  transcodeConfig: TranscodeConfig.nullable(),
  status: ChannelStatus,
  origins: z.array(ChannelOrigin),
  version: z.int(),
  createdAt: Instant,
  updatedAt: Instant,
});
export type Channel = z.output<typeof Channel>;

/** One origin that did not take the stream. `status`: the HTTP status it answered, 0 where none came. */
export const Failure = z.object({ streamerId: z.int(), status: z.int(), message: z.string() });
export type Failure = z.output<typeof Failure>;

const tag = "channels";
const Ref = { channelId: ChannelId };
/** Filled by the gateway from the principal: such a key may name private addresses. */
const Trusted = { trusted: z.boolean().default(false) };
const IfVersion = { ifVersion: z.int().optional() };
const WRITE_DEADLINE_MS = 25_000; // the slowest castis node gets 10 s, its check 5 s, its rollback 5 s

const written = z.object({ data: Channel, failures: z.array(Failure) });
const SOURCE_ERRORS = ["SOURCE_TYPE_MISMATCH", "SOURCE_URL_REFUSED"] as const;

export const createChannel = ask("channel.create", {
  input: z.strictObject({
    ...ChannelFields,
    origins: z.array(OriginInput).max(ORIGINS_MAX),
    ...Trusted,
    /** The request's Idempotency-Key: a repeat after a crash finds its channel by it. */
    idempotencyKey: z.string().max(255).optional(),
  }),
  result: written,
  deadlineMs: WRITE_DEADLINE_MS,
  errors: [
    ...([
      "NO_ORIGINS",
      "CHANNEL_SLUG_EMPTY",
      "CHANNEL_SLUG_TAKEN",
      "CHANNEL_SLUG_LEAVING",
      ...SOURCE_ERRORS,
      "ALL_ORIGINS_FAILED",
    ] as const),
    // Deleted before it was made; or nobody owns it, and nothing of it is kept.
    ...(["CHANNEL_NOT_FOUND", "ACTOR_MOVED"] as const),
  ],
  rest: {
    method: "POST",
    path: "/channels",
    status: 201,
    scope: "channel:write",
    tag,
    idempotent: true,
    summary: "Create a channel and fan it out to its origins; 201 means accepted, not yet playable.",
  },
});
export const listChannels = ask("channel.list", {
  input: z.strictObject({ ...Page, status: ChannelStatus.optional() }),
  result: z.object({ data: z.array(Channel), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { method: "GET", path: "/channels", scope: "channel:read", tag, summary: "List channels, oldest first." },
});
export const getChannel = ask("channel.get", {
  input: z.strictObject(Ref),
  result: z.object({ data: Channel }),
  deadlineMs: 5_000,
  errors: ["CHANNEL_NOT_FOUND"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/channels/:channelId",
    scope: "channel:read",
    tag,
    versioned: true,
    summary: "One channel with the live status of its origins.",
  },
});
export const replaceChannel = ask("channel.replace", {
  input: z.strictObject({
    ...Ref,
    ...ChannelFields,
    origins: z.array(OriginInput).max(ORIGINS_MAX),
    ...Trusted,
    ...IfVersion,
  }),
  result: written,
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["CHANNEL_NOT_FOUND", "NO_ORIGINS", ...SOURCE_ERRORS, "VERSION_CONFLICT"],
  rest: {
    method: "PUT",
    path: "/channels/:channelId",
    scope: "channel:write",
    tag,
    versioned: true,
    summary: "Replace a channel; only the origins that the change touches are pushed again.",
  },
});
export const patchChannel = ask("channel.patch", {
  input: z.strictObject({
    ...Ref,
    name: Name.optional(),
    sid: ChannelFields.sid,
    quality: ChannelFields.quality,
    sourceType: SourceType.optional(),
    /** Merge patch (RFC 7396): null removes a key. */
    ingestConfig: z.record(z.string(), z.unknown()).optional(),
    transcodeConfig: z.record(z.string(), z.unknown()).nullish(),
    origins: z.array(OriginInput).max(ORIGINS_MAX).optional(),
    ...Trusted,
    ...IfVersion,
  }),
  result: written,
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["CHANNEL_NOT_FOUND", "NO_ORIGINS", ...SOURCE_ERRORS, "VERSION_CONFLICT"],
  rest: {
    method: "PATCH",
    path: "/channels/:channelId",
    scope: "channel:write",
    tag,
    versioned: true,
    summary: "Change fields of a channel (RFC 7396); a rename keeps the stream id.",
  },
});
export const deleteChannel = ask("channel.delete", {
  input: z.strictObject({ ...Ref, ...IfVersion }),
  /** `leftovers`: origins that could not be reached; removing them is retried until it succeeds. */
  result: z.object({ data: z.object({ id: z.int(), leftovers: z.array(Failure) }) }),
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["CHANNEL_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    method: "DELETE",
    path: "/channels/:channelId",
    scope: "channel:write",
    tag,
    versioned: true,
    summary: "Delete a channel and its streams on every origin.",
  },
});

const lifecycle = (verb: "start" | "stop" | "restart", summary: string, more: readonly ErrorCode[] = []) =>
  ask(`channel.${verb}`, {
    input: z.strictObject(Ref),
    result: written,
    deadlineMs: WRITE_DEADLINE_MS,
    errors: ["CHANNEL_NOT_FOUND", ...more],
    rest: { method: "POST", path: `/channels/:channelId/${verb}`, scope: "channel:write", tag, summary },
  });
export const startChannel = lifecycle("start", "Start a stopped channel on all its origins.");
export const stopChannel = lifecycle("stop", "Stop a channel on all its origins; its rows stay.");
export const restartChannel = lifecycle("restart", "Restart the media processes of a channel.", ["ACTOR_MOVED"]);

export const addOrigin = ask("channel.addOrigin", {
  input: z.strictObject({ ...Ref, ...OriginInput.shape, ...Trusted }),
  result: written,
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["CHANNEL_NOT_FOUND", "STREAMER_NOT_FOUND", "ORIGIN_TAKEN", ...SOURCE_ERRORS],
  rest: {
    method: "POST",
    path: "/channels/:channelId/origins",
    status: 201,
    scope: "channel:write",
    tag,
    idempotent: true,
    summary: "Add one origin; the others run on untouched.",
  },
});
export const removeOrigin = ask("channel.removeOrigin", {
  input: z.strictObject({ ...Ref, originId: OriginId }),
  result: written,
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["CHANNEL_NOT_FOUND", "ORIGIN_NOT_FOUND", "LAST_ORIGIN"],
  rest: {
    method: "DELETE",
    path: "/channels/:channelId/origins/:originId",
    scope: "channel:write",
    tag,
    summary: "Remove one origin; the others run on untouched.",
  },
});

export const Playback = z.object({
  channelId: z.int(),
  streamId: StreamId,
  status: ChannelStatus,
  /** Through the edge: one URL that fails over between origins. */
  hls: z.string(),
  dash: z.string(),
  origins: z.array(
    z.object({
      originId: z.int(),
      streamerId: z.int(),
      status: OriginStatus,
      hls: z.string().nullable(),
      dash: z.string().nullable(),
    }),
  ),
});
export const getPlayback = ask("channel.playback", {
  input: z.strictObject(Ref),
  result: z.object({ data: Playback }),
  deadlineMs: 5_000,
  errors: ["CHANNEL_NOT_FOUND"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/channels/:channelId/playback",
    scope: "channel:read",
    tag,
    summary: "Where to play a channel: through the edge, and from each origin.",
  },
});

export const Streamer = z.object({
  id: z.int(),
  name: z.string(),
  /** castellan: our own node, registered by itself; castis: reached by HTTP. */
  kind: z.enum(["castellan", "castis"]),
  baseUrl: z.string(),
  /** The registering tenant does not own it: the platform does. */
  platform: z.boolean(),
  hasCredential: z.boolean(),
  /** `{base}`, `{tenant}` and `{streamId}` are filled in (P-12). */
  playbackUrlTemplate: z.string(),
  health: z.enum(["online", "offline", "draining", "unknown"]),
  streamsMax: z.int().nullable(),
  streamCount: z.int(),
  lastSeenAt: Instant.nullable(),
  createdAt: Instant,
});
export type Streamer = z.output<typeof Streamer>;

const StreamerFields = {
  name: Name,
  baseUrl: z.url({ protocol: /^https?$/ }).max(500),
  /** Bearer token for the node; write-only. Only what a header can carry. */
  credential: z
    .string()
    .regex(/^[\x21-\x7e]{1,1000}$/, "must be 1 to 1000 visible ASCII characters")
    .nullish(),
  playbackUrlTemplate: z.string().max(1000).optional(),
  streamsMax: z.int().min(1).max(100_000).nullish(),
};
const streamers = "streamers";

export const createStreamer = ask("streamer-registry.create", {
  input: z.strictObject({
    ...StreamerFields,
    kind: z.literal("castis").default("castis"),
    /** The platform's own, for all tenants to use; needs platform:admin. */
    platform: z.boolean().default(false),
    ...Trusted,
  }),
  result: z.object({ data: Streamer }),
  deadlineMs: 5_000,
  errors: ["STREAMER_TAKEN", "SOURCE_URL_REFUSED", "SCOPE_MISSING"],
  rest: {
    method: "POST",
    path: "/streamers",
    status: 201,
    scope: "streamer:write",
    tag: streamers,
    idempotent: true,
    summary: "Register a castis node; our own streamers register themselves.",
  },
});
export const listStreamers = ask("streamer-registry.list", {
  input: z.strictObject(Page),
  result: z.object({ data: z.array(Streamer), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/streamers",
    scope: "streamer:read",
    tag: streamers,
    summary: "List streamers with health and capacity.",
  },
});
export const getStreamer = ask("streamer-registry.get", {
  input: z.strictObject({ streamerId: StreamerId }),
  result: z.object({ data: Streamer }),
  deadlineMs: 5_000,
  errors: ["STREAMER_NOT_FOUND"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/streamers/:streamerId",
    scope: "streamer:read",
    tag: streamers,
    summary: "One streamer.",
  },
});
export const patchStreamer = ask("streamer-registry.patch", {
  input: z.strictObject({
    streamerId: StreamerId,
    name: Name.optional(),
    baseUrl: StreamerFields.baseUrl.optional(),
    credential: StreamerFields.credential,
    playbackUrlTemplate: StreamerFields.playbackUrlTemplate,
    streamsMax: StreamerFields.streamsMax,
    ...Trusted,
  }),
  result: z.object({ data: Streamer }),
  deadlineMs: 5_000,
  errors: ["STREAMER_NOT_FOUND", "STREAMER_TAKEN", "STREAMER_NOT_YOURS", "SOURCE_URL_REFUSED"],
  rest: {
    method: "PATCH",
    path: "/streamers/:streamerId",
    scope: "streamer:write",
    tag: streamers,
    summary: "Change a castis node's entry (RFC 7396).",
  },
});
export const deleteStreamer = ask("streamer-registry.delete", {
  input: z.strictObject({ streamerId: StreamerId }),
  result: z.object({ data: z.object({ id: z.int() }) }),
  deadlineMs: 5_000,
  errors: ["STREAMER_NOT_FOUND", "STREAMER_IN_USE", "STREAMER_ONLINE", "STREAMER_NOT_YOURS"],
  rest: {
    method: "DELETE",
    path: "/streamers/:streamerId",
    scope: "streamer:write",
    tag: streamers,
    summary: "Remove a streamer that no channel uses; what deleted channels left on it is given up.",
  },
});

const Changed = z.object({ tenantId: z.uuid(), channelId: z.int(), version: z.int() });
/** Durable (outbox): rows of a channel or of its origins changed, or it is gone. */
export const channelChanged = fact("channel.changed", Changed);
/** Durable (outbox): the same for its removal. */
export const channelDeleted = fact("channel.deleted", Changed);

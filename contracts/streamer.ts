/** What a streamer node answers and announces. Node-bound: it lives where its bytes are and is called by node id. */
import { z } from "zod";
import { StreamId, TenantId, TenantSlug } from "./ids.ts";
import { ask, fact } from "./kit.ts";

/** Which streamer of a node: 0-based; a node runs `STREAMERS` of them on consecutive ports. */
const Ordinal = z.int().min(0).max(63);

/** `<n>ms` or `<n>s`, as the playback document writes durations ("4000ms"). */
export const DurationText = z.string().regex(/^\d{1,7}(?:\.\d{1,3})?(?:ms|s)$/, "a duration such as 4000ms or 4s");

/**
 * How a source is taken in (playback document, P-08, P-09). Keys that we don't know are kept and passed on to castis
 * nodes.
 */
export const IngestConfig = z.looseObject({
  /** Wins over an origin's `ingestUrl` when present. */
  url: z.string().min(1).max(2000).optional(),
  /** Segment duration; 1s to 10s (what lies outside is cut to that), default 4000ms. */
  chunkDuration: DurationText.optional(),
  /** Part (CMAF chunk) duration; 40ms to 2s, default 200ms. */
  fragmentDuration: DurationText.optional(),
  /** Input loss after this long shows the slate; 100ms to 60s, default 500ms. */
  netTimeout: DurationText.optional(),
  /** Drop what an older run left before the start. */
  forceClean: z.boolean().optional(),
});

export const Rung = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9-]{1,20}$/)
    .optional(),
  /** Luma samples; even. */
  width: z.int().min(64).max(7680).multipleOf(2).optional(),
  height: z.int().min(36).max(4320).multipleOf(2),
  /** Peak rate in kbit/s. */
  videoKbps: z.int().min(50).max(100_000),
});

/** A named profile or an inline ladder (P-11). Keys that we don't know are kept and passed on to castis nodes. */
export const TranscodeConfig = z.looseObject({
  profile: z.enum(["auto", "hd", "sd", "low"]).optional(),
  ladder: z.array(Rung).min(1).max(8).optional(),
  preset: z.enum(["ultrafast", "superfast", "veryfast", "faster", "fast"]).optional(),
  /** kbit/s of the AAC audio; default 96. */
  audioKbps: z.int().min(24).max(512).optional(),
  /** Frames per second of the output; the source's when absent. */
  frameRate: z.number().min(5).max(120).optional(),
});

/** Both configurations in one, `url` filled in: what a streamer checks before it runs a stream. */
export const StreamPayload = z.looseObject({
  ...TranscodeConfig.shape,
  ...IngestConfig.shape,
  url: z.string().min(1).max(2000),
});

/**
 * Ties source timestamps to names (design §6): stream time S = unwrapped PTS + `offsetTicks`, in 90 kHz ticks;
 * wall clock of S in ms = S / 90 + `residualMs`. `anchorEpoch` grows at every re-anchoring.
 */
export const Anchor = z.object({
  offsetTicks: z.int(),
  residualMs: z.number(),
  firstSegmentNumber: z.int().min(0),
  frameRateNum: z.int().positive(),
  frameRateDen: z.int().positive(),
  anchorEpoch: z.int().min(1),
});
export type Anchor = z.output<typeof Anchor>;

export const StreamState = z.enum(["starting", "live", "slate", "backoff", "failed", "stopped"]);

/**
 * What a streamer is told to run; the payload is exactly what a castis node would get in its POST body (P-04, P-08).
 */
export const StreamSpec = z.object({
  tenantId: TenantId,
  tenant: TenantSlug,
  streamId: StreamId,
  channelId: z.int().positive(),
  /** ingestConfig merged with transcodeConfig, `url` filled in. */
  payload: z.looseObject({ url: z.string() }),
  /** Absent until the channel's first origin has proposed one; never used by `pl:///` loops. */
  anchor: Anchor.nullable(),
  /** Wall clock of stream time 0 of a `pl:///` loop, ms since 1970; null for other sources. */
  loopStartedAt: z.number().nullable(),
  /** The tenant's private-address rule does not apply (key with platform:admin). */
  trusted: z.boolean().default(false),
});
export type StreamSpec = z.output<typeof StreamSpec>;

const Command = z.object({ ordinal: Ordinal, leaseEpoch: z.int().min(0) });
const StreamRef = Command.extend({ tenant: TenantSlug, streamId: StreamId });

export const startStream = ask("streamer.start", {
  input: Command.extend({ spec: StreamSpec }),
  /** `changed` is false when the very same spec ran already. */
  result: z.object({ state: StreamState, changed: z.boolean() }),
  deadlineMs: 5_000,
  errors: ["STALE_EPOCH", "STREAMER_FULL", "SOURCE_URL_REFUSED", "PLAYLIST_NOT_FOUND", "SHUTTING_DOWN"],
  retriable: true,
});
export const stopStream = ask("streamer.stop", {
  input: StreamRef,
  result: z.object({ stopped: z.boolean() }),
  deadlineMs: 5_000,
  errors: ["STALE_EPOCH"],
  retriable: true,
});
/** Kill and start again, at once, whatever its back-off says. */
export const restartStream = ask("streamer.restart", {
  input: StreamRef,
  result: z.object({ state: StreamState }),
  deadlineMs: 5_000,
  errors: ["STALE_EPOCH", "STREAM_NOT_FOUND"],
});
/** Gives a running stream the channel's anchor (first or moved). */
export const setAnchor = ask("streamer.anchor", {
  input: StreamRef.extend({ anchor: Anchor }),
  result: z.object({ anchorEpoch: z.int() }),
  deadlineMs: 2_000,
  errors: ["STALE_EPOCH", "STREAM_NOT_FOUND"],
  retriable: true,
});

export const StreamReport = z.object({
  tenant: TenantSlug,
  streamId: StreamId,
  channelId: z.int().nullable(),
  state: StreamState,
  leaseEpoch: z.int(),
  anchorEpoch: z.int().nullable(),
  firstSegmentNumber: z.int().nullable(),
  lastSegmentNumber: z.int().nullable(),
  /** How often ffmpeg was started. */
  startCount: z.int(),
  /** Present while the stream needs a first or a moved anchor; repeated in every report until one came. */
  anchorProposal: Anchor.nullable(),
  /** The residual as this origin's slow filter sees it now. */
  residualMs: z.number().nullable(),
  /** sha-256 of each init segment by rendition name: equal on all origins of a channel, or they can't be mixed. */
  initHashes: z.record(z.string(), z.string()),
  message: z.string().nullable(),
});
export type StreamReport = z.output<typeof StreamReport>;

/**
 * Broadcast every 2 s per streamer and at once when a stream changes its state or proposes an anchor. A hint: may be
 * lost.
 */
export const streamerReported = fact(
  "streamer.reported",
  z.object({
    nodeId: z.string(),
    ordinal: Ordinal,
    name: z.string(),
    /** Where its listener is reached inside the platform: `http://host:port`. */
    baseUrl: z.string(),
    publicUrl: z.string(),
    streamsMax: z.int(),
    draining: z.boolean(),
    streams: z.array(StreamReport),
  }),
);
export type StreamerReported = z.output<typeof streamerReported.payload>;

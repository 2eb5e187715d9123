/** News of transcodes. The transcoder hears of sources by `content.sourceAttached` and is asked nothing. */
import { z } from "zod";
import { TenantId } from "./ids.ts";
import { fact } from "./kit.ts";

const Transcode = { tenantId: TenantId, titleId: z.uuid(), revision: z.int().positive() };

/** What ffprobe says of the source; truth for the catalog. */
export const MediaFacts = z.object({
  durationSeconds: z.number().positive(),
  width: z.int().positive().nullable(),
  height: z.int().positive().nullable(),
  videoCodec: z.string().nullable(),
  dynamicRange: z.enum(["sdr", "hdr10", "hlg"]).nullable(),
  frameRate: z.number().positive().nullable(),
  audioLanguages: z.array(z.string()),
  subtitleLanguages: z.array(z.string()),
  /** What of the source is left out, and why, for people: subtitles that are pictures, sound of an unknown codec. */
  notes: z.array(z.string()).optional(),
});
export type MediaFacts = z.output<typeof MediaFacts>;

export const transcodeStarted = fact("transcode.started", z.object({ ...Transcode, media: MediaFacts }));
/** The beginning can be played; the rest follows. */
export const transcodePlayable = fact("transcode.playable", z.object(Transcode));
export const transcodeComplete = fact(
  "transcode.complete",
  z.object({
    ...Transcode,
    rungs: z.array(z.object({ name: z.string(), width: z.int(), height: z.int(), bitsPerSecond: z.int() })),
  }),
);
export const transcodeFailed = fact(
  "transcode.failed",
  z.object({ ...Transcode, code: z.string(), reason: z.string().max(1_000) }),
);
/** Pictures of a title, keys in the buckets `thumbnails` and `trailers`. */
export const transcodePictures = fact(
  "transcode.pictures",
  z.object({
    ...Transcode,
    posters: z.array(z.object({ path: z.string(), width: z.int(), height: z.int(), atSeconds: z.number() })),
    storyboardPath: z.string().nullable(),
    /** Muted, in `trailers`. */
    previewPath: z.string().nullable(),
    trailerPath: z.string().nullable(),
  }),
);

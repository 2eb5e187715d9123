/**
 * What there is of a title to play: `set.json` in the bucket `segments`, at `{contentId}/set.json`. The transcoder
 * writes it and the packager reads it, so that a packager needs no catalog. Paths are keys of the same bucket unless
 * told.
 */
import { z } from "zod";

/** Key frames lie on multiples of so many seconds of every rung, and chunks on multiples of the segment. */
export const GOP_SECONDS = 2;
export const SEGMENT_SECONDS = 6;

export const Encryption = z.enum(["aes-128", "cbcs", "cenc", "none"]);
export type Encryption = z.output<typeof Encryption>;

const Key = z.string().min(1).max(500);
const Language = z.string().regex(/^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}$/);

/** A rung: video with every audio track. One MP4 once it is complete; until then the chunks that are finished. */
export const SetRung = z.object({
  /** `4k`, `1080p`, `720p`, `480p`, and with `-hevc` the second set; a source under 480p: `source`. */
  name: z
    .string()
    .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/)
    .max(40),
  codec: z.enum(["h264", "hevc"]),
  width: z.int().positive(),
  height: z.int().positive(),
  /** Of the video, never exceeded over a segment's length. */
  maxBitsPerSecond: z.int().positive(),
  dynamicRange: z.enum(["sdr", "hdr10", "hlg"]),
  /** Null while it grows. */
  path: Key.nullable(),
  /**
   * In order, from 0 s on without a hole: MP4s with video alone, cut on the segment grid. Empty once it is complete.
   */
  chunks: z.array(z.object({ path: Key, frameCount: z.int().positive() })),
});
export type SetRung = z.output<typeof SetRung>;

export const SetAudio = z.object({
  language: Language,
  name: z.string().max(200),
  channels: z.int().positive(),
  isDefault: z.boolean(),
});
export const SetSubtitles = z.object({
  /** 0-based: part of addresses. */
  id: z.int().min(0),
  language: Language,
  name: z.string().max(200),
  isForced: z.boolean(),
  isDefault: z.boolean(),
  /** For the deaf and hard of hearing: also what captions in the picture became. */
  isSdh: z.boolean(),
  /** Whole WebVTT. */
  path: Key,
});

export const ContentSet = z.object({
  format: z.literal(1),
  contentId: z.uuid(),
  tenantId: z.uuid(),
  /** Grows with each transcode of the title. */
  revision: z.int().positive(),
  /** `growing`: what is there plays as an event (RFC 8216 §4.3.3.5), and more follows. */
  state: z.enum(["growing", "complete"]),
  encryption: Encryption,
  durationSeconds: z.number().positive(),
  /** Frames of a whole rung. */
  frameCount: z.int().positive(),
  /** As a fraction: 24000/1001. */
  frameRate: z.object({ num: z.int().positive(), den: z.int().positive() }),
  rungs: z.array(SetRung).min(1).max(20),
  /** The tracks of every rung, in their order. While it grows they are in the file `audioPath`, whole. */
  audio: z.array(SetAudio).max(32),
  audioPath: Key.nullable(),
  subtitles: z.array(SetSubtitles).max(64),
  /** WebVTT with `#xywh=` fragments, in the bucket `thumbnails`; its sprites lie beside it. Null: not made yet. */
  storyboardPath: Key.nullable(),
});
export type ContentSet = z.output<typeof ContentSet>;

export const setPath = (contentId: string): string => `${contentId}/set.json`;
/** There (any content) while the title may be played without a session; written and removed by the catalog. */
export const publicMarkPath = (contentId: string): string => `${contentId}/public.json`;

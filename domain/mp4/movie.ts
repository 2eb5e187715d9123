/**
 * What is known of an MP4 once its boxes are read (ISO/IEC 14496-12). Sample tables stay compact: nothing here grows
 * with the media, and a segment's samples are expanded when they are asked for.
 */

/** A file (or anything else) whose bytes can be had by range; `bytes.length` is always what was asked for. */
export interface RangeReader {
  readonly sizeBytes: number;
  readonly read: (offset: number, lengthBytes: number) => Promise<Buffer>;
}

/** Samples in decode order, as typed arrays. */
export interface Samples {
  /** 0-based number of the first one in its track. */
  readonly first: number;
  readonly count: number;
  readonly size: Uint32Array;
  /** Where each begins in the file. */
  readonly offset: Float64Array;
  /** `count + 1` entries in the track's timescale, before the edit list; the last one is the end of the last sample. */
  readonly dts: Float64Array;
  readonly compositionOffset: Int32Array;
  /** 1: a sync sample (§8.6.2). */
  readonly sync: Uint8Array;
}

/** The sample table of one track (§8.6, §8.7; for fragmented files §8.8), asked instead of expanded. */
export interface SampleTable {
  readonly sampleCount: number;
  /** Decode time at which the last sample ends. */
  readonly endDts: number;
  /** 0-based numbers of the sync samples; null: each sample is one. */
  readonly syncSamples: Uint32Array | null;
  /** Bytes of memory that this table holds on to. */
  readonly heapBytes: number;
  /** Decode time of a sample; `dtsOf(sampleCount)` is `endDts`. */
  dtsOf(sample: number): number;
  /** Composition time of a sample, before the edit list. */
  ptsOf(sample: number): number;
  /** The first sample whose decode time is at or after `dts`; `sampleCount` when there is none. */
  sampleAt(dts: number): number;
  /** Expands the samples from `first` up to `end`, exclusive. */
  samples(first: number, end: number): Samples;
  /** Sum of their sizes, without expanding them. */
  sizeBytes(first: number, end: number): number;
}

interface CodecBase {
  /** Type of the sample entry: `avc1`, `hvc1`, `mp4a`, … */
  readonly fourcc: string;
  /** RFC 6381 text for CODECS, `avc1.64001f`. */
  readonly codecs: string;
  /** The whole sample entry box, as it goes into the `stsd` of an init segment. */
  readonly sampleEntry: Buffer;
}
export interface VideoCodec extends CodecBase {
  readonly kind: "video";
  /** Luma samples as coded in the sample entry. */
  readonly width: number;
  readonly height: number;
  /** Bytes of a NAL unit's length prefix: 1, 2 or 4; 0 for codecs without NAL units. */
  readonly nalLengthBytes: number;
  /** VPS, SPS, PPS in the order in which they are sent in band, without start codes. */
  readonly parameterSets: readonly Buffer[];
  /** Horizontal to vertical size of a sample (`pasp`), 1:1 where not told. */
  readonly sampleAspectRatio: readonly [number, number];
}
export interface AudioCodec extends CodecBase {
  readonly kind: "audio";
  readonly sampleRate: number;
  readonly channelCount: number;
  /** AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of AAC; null for others. */
  readonly audioSpecificConfig: Buffer | null;
  /** Samples per access unit where the codec fixes them (1,024 for AAC LC, 1,536 for AC-3); 0 otherwise. */
  readonly samplesPerFrame: number;
}
/** Timed text: `tx3g`, `wvtt`, `stpp`, `c608`. */
export interface TextCodec extends CodecBase {
  readonly kind: "text";
}
export type Codec = VideoCodec | AudioCodec | TextCodec;

export interface Track<C extends Codec = Codec> {
  /** `track_ID`. */
  readonly id: number;
  readonly codec: C;
  readonly timescale: number;
  /** Presentation time = composition time + shift: what the edit list (§8.6.6) does to the track, in its timescale. */
  readonly shift: number;
  /** BCP 47 tag, from `elng` or `mdhd`; `und` where not told. */
  readonly language: string;
  /** Name of the track (`hdlr` or `udta`), empty where not told. */
  readonly name: string;
  /** Clockwise degrees by which the picture is to be turned: 0, 90, 180, 270 (matrix of `tkhd`). */
  readonly rotation: number;
  /** `tkhd` of the track, for its matrix and display size. */
  readonly trackHeader: Buffer;
  readonly table: SampleTable;
}
export type VideoTrack = Track<VideoCodec>;
export type AudioTrack = Track<AudioCodec>;
export type TextTrack = Track<TextCodec>;

/** Tracks that can be served, in the file's order; others (hints, timecodes, data, unknown codecs) are left out. */
export interface Movie {
  readonly video: readonly VideoTrack[];
  readonly audio: readonly AudioTrack[];
  readonly text: readonly TextTrack[];
  /** Sample entries that were left out: for logs and clear refusals. */
  readonly ignored: readonly string[];
  /** Of those, pictures and sound that a viewer misses: `track 2 (soun): alac`. */
  readonly unserved: readonly string[];
  /** Of the longest served track, after edit lists. */
  readonly durationSeconds: number;
  /** Bytes of memory that the index holds on to. */
  readonly heapBytes: number;
}

export type MovieProblem = "unsupported" | "damaged";
/** The file can't be served, through no fault of ours. */
export class MovieError extends Error {
  readonly problem: MovieProblem;
  constructor(problem: MovieProblem, message: string) {
    super(message);
    this.name = "MovieError";
    this.problem = problem;
  }
}

/** Sample tables made by hand, for tests of what is decided from them. */
import type { AudioTrack, Movie, Samples, SampleTable, VideoTrack } from "../mp4/movie.ts";

export interface HandMadeTable {
  readonly durationTicks: number;
  readonly sampleCount: number;
  /** 0-based numbers of the key frames; null: all. */
  readonly keys: readonly number[] | null;
  readonly compositionOffset?: (sample: number) => number;
}

export const handMadeTable = ({
  durationTicks,
  sampleCount,
  keys,
  compositionOffset = () => 0,
}: HandMadeTable): SampleTable => ({
  sampleCount,
  endDts: sampleCount * durationTicks,
  syncSamples: keys && Uint32Array.from(keys),
  heapBytes: 0,
  dtsOf: (sample) => sample * durationTicks,
  ptsOf: (sample) => sample * durationTicks + compositionOffset(sample),
  sampleAt: (dts) => Math.max(0, Math.min(sampleCount, Math.ceil(dts / durationTicks))),
  samples: (first, end): Samples => ({
    first,
    count: end - first,
    size: new Uint32Array(end - first).fill(100),
    offset: Float64Array.from({ length: end - first }, (_, index) => (first + index) * 100),
    dts: Float64Array.from({ length: end - first + 1 }, (_, index) => (first + index) * durationTicks),
    compositionOffset: Int32Array.from({ length: end - first }, (_, index) => compositionOffset(first + index)),
    sync: Uint8Array.from({ length: end - first }, (_, index) => (keys?.includes(first + index) === false ? 0 : 1)),
  }),
  sizeBytes: (first, end) => (end - first) * 100,
});

const COMMON = { shift: 0, language: "und", name: "", rotation: 0, trackHeader: Buffer.alloc(0) } as const;

export const videoTrack = (timescale: number, table: SampleTable, shift = 0): VideoTrack => ({
  ...COMMON,
  id: 1,
  timescale,
  shift,
  table,
  codec: {
    kind: "video",
    fourcc: "avc1",
    codecs: "avc1.64001f",
    sampleEntry: Buffer.alloc(0),
    width: 1280,
    height: 720,
    nalLengthBytes: 4,
    parameterSets: [],
    sampleAspectRatio: [1, 1],
  },
});

export const audioTrack = (timescale: number, table: SampleTable, shift = 0): AudioTrack => ({
  ...COMMON,
  id: 2,
  timescale,
  shift,
  table,
  codec: {
    kind: "audio",
    fourcc: "mp4a",
    codecs: "mp4a.40.2",
    sampleEntry: Buffer.alloc(0),
    sampleRate: timescale,
    channelCount: 2,
    audioSpecificConfig: null,
    samplesPerFrame: 1024,
  },
});

export const movieOf = (video: readonly VideoTrack[], audio: readonly AudioTrack[]): Movie => ({
  video,
  audio,
  text: [],
  ignored: [],
  unserved: [],
  durationSeconds: 0,
  heapBytes: 0,
});

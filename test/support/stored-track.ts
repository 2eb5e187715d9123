/** A stored file laid out by hand: tracks of the live encoder, their samples where a test wants them. */
import type { Sample } from "../../domain/mp4/fragment.ts";
import type { Codec, Samples, SampleTable, Track } from "../../domain/mp4/movie.ts";
import { childrenOf, findBox } from "../../domain/mp4/walk.ts";
import type { Track as EncodedTrack } from "./lavfi.ts";

/** Bytes of a file without any box, and the tracks in it. */
export interface StoredFile {
  readonly bytes: Buffer;
  readonly tracks: readonly Track[];
}

const box = (init: Buffer, path: readonly string[]): Buffer => {
  const found = findBox(init, path, 0);
  if (!found) throw new Error(`no ${path.join("/")}`);
  return found;
};

const codecOf = ({ init, info }: EncodedTrack): Codec => {
  const stsd = box(init, ["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
  const [entry] = childrenOf(stsd, 16);
  if (!entry) throw new Error("no sample entry");
  const base = { fourcc: entry.type, codecs: info.codec, sampleEntry: Buffer.from(entry.box) };
  if (info.kind === "audio") {
    const { sampleRate, channelCount } = info;
    return { ...base, kind: "audio", sampleRate, channelCount, audioSpecificConfig: null, samplesPerFrame: 1024 };
  }
  const { width, height } = info;
  return { ...base, kind: "video", width, height, nalLengthBytes: 4, parameterSets: [], sampleAspectRatio: [1, 1] };
};

/** Samples of a slice of a track, as a table would give them. */
const samplesOf = (list: readonly Sample[], offsets: readonly number[], first: number): Samples => {
  const last = list.at(-1);
  return {
    first,
    count: list.length,
    size: Uint32Array.from(list, ({ data }) => data.length),
    offset: Float64Array.from(offsets),
    dts: Float64Array.from([...list.map(({ dts }) => dts), last ? last.dts + last.duration : 0]),
    compositionOffset: Int32Array.from(list, ({ compositionOffset }) => compositionOffset),
    sync: Uint8Array.from(list, ({ key }) => Number(key)),
  };
};

const tableOf = (list: readonly Sample[], offsets: readonly number[]): SampleTable => {
  const all = samplesOf(list, offsets, 0);
  return {
    sampleCount: list.length,
    endDts: all.dts[list.length] ?? 0,
    syncSamples: Uint32Array.from(list.flatMap(({ key }, index) => (key ? [index] : []))),
    heapBytes: 0,
    dtsOf: (sample) => all.dts[sample] ?? 0,
    ptsOf: (sample) => (all.dts[sample] ?? 0) + (all.compositionOffset[sample] ?? 0),
    sampleAt: (dts) => list.filter((sample) => sample.dts < dts).length,
    samples: (first, end) => samplesOf(list.slice(first, end), offsets.slice(first, end), first),
    sizeBytes: (first, end) => list.slice(first, end).reduce((sum, { data }) => sum + data.length, 0),
  };
};

/** Where samples stand in the file. */
export interface Layout {
  /** Samples of a track that stand together before the other track's turn. */
  readonly chunkSamples?: number;
  /** Foreign bytes in front of each chunk. */
  readonly gapBytes?: number;
}

/** Interleaves tracks by time, in chunks. */
export const storedFile = (encoded: readonly EncodedTrack[], layout: Layout = {}): StoredFile => {
  const { chunkSamples = 1, gapBytes = 0 } = layout;
  const pieces = encoded.flatMap(({ samples, info }, track) =>
    samples.map((sample, index) => {
      const leader = samples[index - (index % chunkSamples)] ?? sample;
      return { track, index, data: sample.data, time: leader.dts / info.timescale, starts: index % chunkSamples === 0 };
    }),
  );
  pieces.sort((a, b) => a.time - b.time || a.track - b.track || a.index - b.index);
  const offsets = encoded.map(() => [] as number[]);
  const bytes: Buffer[] = [];
  let at = 0;
  for (const { track, index, data, starts } of pieces) {
    const gap = Buffer.alloc(starts ? gapBytes : 0, 0xee);
    bytes.push(gap, data);
    const list = offsets[track];
    if (list) list[index] = at + gap.length;
    at += gap.length + data.length;
  }
  return {
    bytes: Buffer.concat(bytes),
    tracks: encoded.map((track, index) => ({
      id: index + 1,
      codec: codecOf(track),
      timescale: track.info.timescale,
      shift: 0,
      language: "und",
      name: "",
      rotation: 0,
      trackHeader: Buffer.from(box(track.init, ["moov", "trak", "tkhd"])),
      table: tableOf(track.samples, offsets[index] ?? []),
    })),
  };
};

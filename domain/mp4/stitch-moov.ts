/** `ftyp`, `moov` and the header of `mdat` of a stitched movie (ISO/IEC 14496-12). */
import { box, fullBox, uint16s, uint32s } from "./box-writer.ts";
import { MATRIX, media, trackHeaderTail } from "./init-segment.ts";
import { packedLanguage } from "./language.ts";
import { withoutRates } from "./stitch-config.ts";
import type { Layout, Runs } from "./stitch-layout.ts";
import { greatestDivisor, type StitchedSamples, type StitchedTrack } from "./stitch-samples.ts";
import { childrenOf } from "./walk.ts";

const UINT32_MAX = 2 ** 32 - 1;
/** What `moov` may take before 32-bit offsets are not enough. */
const HEAD_BYTES_MAX = 2 ** 28;
const IN_MOVIE = 0x2; // §8.3.2.3
const ENABLED_IN_MOVIE = 0x3;

const uint64s = (...values: readonly number[]): Buffer =>
  uint32s(...values.flatMap((value) => [Math.floor(value / 2 ** 32), value % 2 ** 32]));

/** A table of any length: a call takes some ten thousand arguments at most. */
const table32 = (values: ArrayLike<number>): Buffer => {
  const out = Buffer.alloc(values.length * 4);
  for (let index = 0; index < values.length; index += 1) out.writeUInt32BE(values[index]!, index * 4);
  return out;
};

/** Numbers of 64 bits where one does not fit into 32, and the version that says so. */
const wide = (...values: readonly number[]): { readonly version: number; readonly words: (value: number) => Buffer } =>
  values.some((value) => value > UINT32_MAX) ? { version: 1, words: uint64s } : { version: 0, words: uint32s };

/** A table of pairs, equal neighbours as one: `stts`, `ctts`. */
const runLengths = (type: string, count: number, at: (sample: number) => number): Buffer => {
  const pairs: number[] = [];
  let [length, value] = [0, 0];
  for (let sample = 0; sample < count; sample += 1) {
    const next = at(sample);
    if (length > 0 && next !== value) {
      pairs.push(length, value);
      length = 0;
    }
    value = next;
    length += 1;
  }
  if (length > 0) pairs.push(length, value);
  return fullBox({ type }, uint32s(pairs.length / 2), table32(pairs));
};

const compositionOffsets = ({ count, compositionOffset }: StitchedSamples): Buffer[] =>
  compositionOffset.every((offset) => offset === 0)
    ? []
    : [runLengths("ctts", count, (sample) => compositionOffset[sample]!)];

/** §8.6.2: no box where each sample is one. */
const syncSamples = ({ count, sync }: StitchedSamples): Buffer[] => {
  if (sync.every((one) => one === 1)) return [];
  const numbers: number[] = [];
  for (let sample = 0; sample < count; sample += 1) if (sync[sample] === 1) numbers.push(sample + 1);
  return [fullBox({ type: "stss" }, uint32s(numbers.length), table32(numbers))];
};

const sizes = ({ count, size }: StitchedSamples): Buffer => fullBox({ type: "stsz" }, uint32s(0, count), table32(size));

/** §8.7.4. */
const samplesToChunk = (runs: Runs): Buffer => {
  const entries: number[] = [];
  let before = 0;
  for (let index = 0; index < runs.length; index += 1) {
    const count = runs.sampleCount(index);
    if (count !== before) entries.push(index + 1, count, 1);
    before = count;
  }
  return fullBox({ type: "stsc" }, uint32s(entries.length / 3), table32(entries));
};

/** Of the whole file: whether its offsets take 64 bits. */
interface Size {
  readonly isLarge: boolean;
}

const entryBytes = ({ isLarge }: Size): number => (isLarge ? 8 : 4);

/** §8.7.5, without the offsets: they are known once all of the head is. */
const chunkOffsets = (runs: Runs, size: Size): Buffer =>
  fullBox({ type: size.isLarge ? "co64" : "stco" }, uint32s(runs.length), Buffer.alloc(runs.length * entryBytes(size)));

/** Fills them in: they are the end of each `trak`. */
const placeChunks = (moov: Buffer, { runs }: Layout, mediaAt: number, size: Size): void => {
  const traks = [...childrenOf(moov)].filter(({ type }) => type === "trak");
  for (const [track, { box: trak }] of traks.entries()) {
    const own = runs[track]!;
    let at = trak.length - own.length * entryBytes(size);
    for (let index = 0; index < own.length; index += 1, at += entryBytes(size)) {
      const offset = mediaAt + own.offset(index);
      if (size.isLarge) trak.writeUInt32BE(Math.floor(offset / 2 ** 32), at);
      trak.writeUInt32BE(offset % 2 ** 32, at + entryBytes(size) - 4);
    }
  }
};

const sampleTable = ({ like, samples }: StitchedTrack, runs: Runs, size: Size): Buffer => {
  const { codec } = like;
  const entry = codec.kind === "video" ? withoutRates(codec.sampleEntry) : codec.sampleEntry;
  return box(
    "stbl",
    fullBox({ type: "stsd" }, uint32s(1), entry),
    runLengths("stts", samples.count, (sample) => samples.dts[sample + 1]! - samples.dts[sample]!),
    ...compositionOffsets(samples),
    ...syncSamples(samples),
    samplesToChunk(runs),
    sizes(samples),
    chunkOffsets(runs, size),
  );
};

/** Ticks of the media that are shown: all behind the edit's beginning. */
const shownTicks = ({ endTicks, emptyTicks }: StitchedTrack): number => Math.max(0, endTicks - emptyTicks);

/** In the movie's timescale, rounded up: rounded down, a reader would leave the last sample out. */
const inMovie = (ticks: number, timescale: number, movie: number): number => Math.ceil((ticks * movie) / timescale);

const durationOf = (track: StitchedTrack, movie: number): number =>
  inMovie(track.emptyTicks, track.timescale, movie) + inMovie(shownTicks(track), track.timescale, movie);

/** §8.6.6. */
const edits = (track: StitchedTrack, movie: number): Buffer[] => {
  const { emptyTicks, mediaTicks, timescale } = track;
  if (emptyTicks === 0 && mediaTicks === 0) return [];
  const shown = inMovie(shownTicks(track), timescale, movie);
  const empty = inMovie(emptyTicks, timescale, movie);
  const { version, words } = wide(shown, empty, mediaTicks);
  // An empty edit has the media time −1.
  const first = version === 1 ? [uint32s(UINT32_MAX, UINT32_MAX)] : [uint32s(UINT32_MAX)];
  const entries = [
    ...(empty > 0 ? [words(empty), ...first, uint16s(1, 0)] : []),
    ...[words(shown), words(mediaTicks), uint16s(1, 0)],
  ];
  return [box("edts", fullBox({ type: "elst", version }, uint32s(empty > 0 ? 2 : 1), ...entries))];
};

const trackHeader = (track: StitchedTrack, id: number, { movie, flags }: { movie: number; flags: number }): Buffer => {
  const duration = durationOf(track, movie);
  const { version, words } = wide(duration);
  const times = [words(0), words(0), uint32s(id, 0), words(duration)];
  return fullBox({ type: "tkhd", version, flags }, ...times, trackHeaderTail(track.like));
};

const mediaHeader = ({ like, samples, timescale }: StitchedTrack): Buffer => {
  const duration = samples.dts[samples.count]!;
  const { version, words } = wide(duration);
  const times = [words(0), words(0), uint32s(timescale), words(duration)];
  return fullBox({ type: "mdhd", version }, ...times, uint16s(packedLanguage(like.language), 0));
};

const movieHeader = (tracks: readonly StitchedTrack[], movie: number): Buffer => {
  const duration = Math.max(...tracks.map((track) => durationOf(track, movie)));
  const { version, words } = wide(duration);
  return fullBox(
    { type: "mvhd", version },
    ...[words(0), words(0), uint32s(movie), words(duration)],
    uint32s(0x10000),
    uint16s(0x100, 0),
    uint32s(0, 0),
    MATRIX,
    Buffer.alloc(24),
    uint32s(tracks.length + 1),
  );
};

/** One in which times of every track are exact, where it fits into 32 bits with room for durations. */
const movieTimescale = (tracks: readonly StitchedTrack[]): number => {
  const common = tracks.reduce((all, { timescale }) => (all / greatestDivisor(all, timescale)) * timescale, 1);
  return common < 2 ** 31 ? common : (tracks[0]?.timescale ?? 1);
};

/** As ffmpeg does: of several sound tracks the first is the one that is played. */
const flagsOf = (tracks: readonly StitchedTrack[], index: number): number => {
  const isFirst = tracks.findIndex(({ like }) => like.codec.kind === tracks[index]?.like.codec.kind) === index;
  return isFirst ? ENABLED_IN_MOVIE : IN_MOVIE;
};

const moov = (tracks: readonly StitchedTrack[], { runs }: Layout, size: Size): Buffer => {
  const movie = movieTimescale(tracks);
  const traks = tracks.map((track, index) => {
    const header = trackHeader(track, index + 1, { movie, flags: flagsOf(tracks, index) });
    const table = sampleTable(track, runs[index]!, size);
    return box("trak", header, ...edits(track, movie), media(track.like, mediaHeader(track), table));
  });
  return box("moov", movieHeader(tracks, movie), ...traks);
};

const fileType = ({ like }: StitchedTrack): Buffer => {
  const brands = /^avc/.test(like.codec.fourcc) ? "isomiso2avc1mp41" : "isomiso2mp41";
  return box("ftyp", Buffer.from("isom"), uint32s(0x200), Buffer.from(brands));
};

const mediaBoxHeader = (mediaBytes: number): Buffer => {
  const isLarge = mediaBytes + 8 > UINT32_MAX;
  const size = isLarge ? uint32s(1) : uint32s(mediaBytes + 8);
  return Buffer.concat([size, Buffer.from("mdat"), ...(isLarge ? [uint64s(mediaBytes + 16)] : [])]);
};

/** All that comes before the media. */
export const stitchedHead = (tracks: readonly [StitchedTrack, ...StitchedTrack[]], layout: Layout): Buffer => {
  const mediaBytes = layout.extents.lengthBytes;
  const size = { isLarge: mediaBytes + HEAD_BYTES_MAX > UINT32_MAX };
  const [ftyp, mdat] = [fileType(tracks[0]), mediaBoxHeader(mediaBytes)];
  const index = moov(tracks, layout, size);
  const mediaAt = ftyp.length + index.length + mdat.length;
  placeChunks(index, layout, mediaAt, size);
  return Buffer.concat([ftyp, index, mdat]);
};

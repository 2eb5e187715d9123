/**
 * Bit rates of what is sent, with all that containers add, out of the index alone. Segments are counted as those who
 * make them count: all of a short file's; of a long one's the largest and some all along, by which the others are
 * judged.
 */
import { type AudioTrack, MovieError, type Samples, type Track, type VideoTrack } from "../mp4/movie.ts";
import { planFragment } from "../mp4/movie-fragment.ts";
import { countPackets, segmentBytes } from "../ts/packet-count.ts";
import { type TsProgram, tsProgram } from "../ts/program.ts";
import { PACKET_BYTES, PAYLOAD_BYTES } from "../ts/psi.ts";
import type { CutMovie, TrackCuts } from "./plan.ts";
import type { Rates } from "./rendition.ts";

const BITS = 8;
/** Counting a segment takes some 50 µs: files of a minute and a half are counted whole, none takes more than 2 ms. */
const COUNTED_LARGEST = 8;
const COUNTED_ALONG = 8;
/** Payload of transport packets, and what it takes. */
const ROUGH_FACTOR = { ts: PACKET_BYTES / PAYLOAD_BYTES, fmp4: 1 } as const;
/** Segments that are taken together: a second and a half of pictures that are all key frames, 60 a second. */
const RUN_MAX = 96;
/** AES-128 completes a block of 16 bytes at the end of a segment. */
const PADDING_BYTES = 16;
/** What containers add to a sample, roughly. */
const ROUGH_SAMPLE_BYTES = 50;

/** Tracks that are sent together. */
export interface SentStream {
  readonly container: "ts" | "fmp4";
  readonly video: TrackCuts | null;
  readonly audio: TrackCuts | null;
  /** Milliseconds at which segments begin, and the end of the last one. */
  readonly instants: Float64Array;
  /** Of a timed ID3 tag in each segment. */
  readonly tagBytes?: number;
}

/** Milliseconds, as playlists tell them. */
export const toldMs = (values: Float64Array, perSecond: number): Float64Array =>
  values.map((value) => Math.round((value / perSecond) * 1_000));

/**
 * The highest rate of any contiguous segments that last half a target duration to one and a half (RFC 8216bis §4.1):
 * a last segment of one frame makes none by itself. And the mean.
 */
export const ratesOfSizes = (sizes: Float64Array, instants: Float64Array): Rates => {
  let [longest, allBytes] = [0, 0];
  for (let n = 0; n < sizes.length; n += 1) {
    longest = Math.max(longest, instants[n + 1]! - instants[n]!);
    allBytes += sizes[n]!;
  }
  const targetMs = Math.max(1, Math.round(longest / 1_000)) * 1_000;
  let peak = 0;
  for (let first = 0; first < sizes.length; first += 1) {
    let bytes = 0;
    for (let n = first; n < Math.min(sizes.length, first + RUN_MAX); n += 1) {
      const ms = instants[n + 1]! - instants[first]!;
      if (ms > 1.5 * targetMs) break;
      bytes += sizes[n]!;
      if (ms >= targetMs / 2) peak = Math.max(peak, bytes / ms);
    }
  }
  const allMs = instants[sizes.length]! - instants[0]!;
  const average = allMs > 0 ? allBytes / allMs : 0;
  const toBps = (bytesPerMs: number): number => Math.ceil(bytesPerMs * BITS * 1_000);
  return { peakBps: toBps(Math.max(peak, average)), averageBps: toBps(average) };
};

const roughSizes = ({ track, firsts }: TrackCuts, count: number): Float64Array => {
  const sizes = new Float64Array(count);
  for (let segment = 0; segment < count; segment += 1) {
    const [first, end] = [firsts[segment] ?? 0, firsts[segment + 1] ?? 0];
    sizes[segment] = track.table.sizeBytes(first, end) + (end - first) * ROUGH_SAMPLE_BYTES + 1;
  }
  return sizes;
};

/** Segments that are counted: all, or the ones of the highest rates and some at even distances. */
const countedSegments = (sizes: Float64Array, starts: Float64Array): readonly number[] => {
  const all = Array.from(sizes, (_, segment) => segment);
  if (all.length <= COUNTED_LARGEST + COUNTED_ALONG) return all;
  const rates = sizes.map((bytes, segment) => bytes / Math.max(0.001, starts[segment + 1]! - starts[segment]!));
  const limit = rates.toSorted().at(-COUNTED_LARGEST)!;
  const step = Math.ceil(all.length / COUNTED_ALONG);
  return all
    .filter((segment) => segment % step === 0 || rates[segment]! >= limit)
    .slice(-2 * (COUNTED_LARGEST + COUNTED_ALONG)); // where all have one rate
};

type SamplesOf = (cuts: TrackCuts | null) => Samples | null;

const isVideo = (track: Track | undefined): track is VideoTrack => track?.codec.kind === "video";
const isAudio = (track: Track | undefined): track is AudioTrack => track?.codec.kind === "audio";

const programOf = ({ container, video, audio, tagBytes = 0 }: SentStream): TsProgram | null => {
  if (container !== "ts") return null;
  const [picture, sound] = [video?.track, audio?.track];
  const program = tsProgram({
    video: isVideo(picture) ? picture : null,
    audio: isAudio(sound) ? sound : null,
    id3: tagBytes > 0,
  });
  return program.kind === "program" ? program : null; // it is not sent: nobody asks for the rate
};

const exactBytes = (stream: SentStream, program: TsProgram | null, samplesOf: SamplesOf): number => {
  const [video, audio] = [samplesOf(stream.video), samplesOf(stream.audio)];
  if (!program) {
    const tracks = [stream.video, stream.audio].flatMap((cuts) => {
      const samples = samplesOf(cuts);
      return cuts && samples ? [{ track: cuts.track, samples }] : [];
    });
    return planFragment({ tracks, sequenceNumber: 1 }).totalBytes;
  }
  const counts = countPackets(program, { video, audio }, stream.tagBytes ?? 0);
  const known = segmentBytes(counts);
  if (known !== null || !program.video) return known ?? 0;
  // Short lengths become start codes of four bytes: one packet has room for those of a picture.
  const alike = countPackets({ ...program, video: { ...program.video, nalLengthBytes: 4 } }, { video, audio }, 0);
  return (segmentBytes(alike) ?? 0) + (video?.count ?? 0) * PACKET_BYTES;
};

/**
 * Sizes of a stream's segments; those that were not counted (NaN) by what containers add to the others. That is much
 * the same for segments of one length, be they large or small.
 */
const completed = (counted: Float64Array, rough: Float64Array, choose: (added: readonly number[]) => number) => {
  const added = Array.from(counted, (bytes, segment) => bytes - rough[segment]!).filter((one) => !Number.isNaN(one));
  const more = added.length > 0 ? choose(added) : 0;
  return counted.map((bytes, segment) => (Number.isNaN(bytes) ? rough[segment]! + more : bytes) + PADDING_BYTES);
};

const highest = (added: readonly number[]): number => Math.max(...added);
const mean = (added: readonly number[]): number => added.reduce((sum, one) => sum + one, 0) / added.length;

/** What a damaged file can't tell is left out. */
const attempt = <T>(make: () => T, otherwise: T): T => {
  try {
    return make();
  } catch (error) {
    if (error instanceof MovieError) return otherwise;
    throw error;
  }
};

/** Rates of each of these streams of a file. */
export const ratesOf = ({ plan }: Pick<CutMovie, "plan">, streams: readonly SentStream[]): readonly Rates[] => {
  const cutsOf = ({ video, audio }: SentStream) => [video, audio].filter((cuts) => cuts !== null);
  const all = [...new Set(streams.flatMap(cutsOf))];
  const roughOf = new Map(all.map((cuts) => [cuts, roughSizes(cuts, plan.count)]));
  const sum = (parts: readonly TrackCuts[]): Float64Array =>
    new Float64Array(plan.count).map((_, n) => parts.reduce((bytes, cuts) => bytes + roughOf.get(cuts)![n]!, 0));
  const measured = streams.map((stream) => ({
    stream,
    program: programOf(stream),
    counted: new Float64Array(plan.count).fill(Number.NaN),
  }));
  for (const segment of countedSegments(sum(all), plan.starts)) {
    const samples = new Map(
      all.map(({ track, firsts }) => [
        track,
        attempt(() => track.table.samples(firsts[segment] ?? 0, firsts[segment + 1] ?? 0), null),
      ]),
    );
    const samplesOf: SamplesOf = (cuts) => (cuts && samples.get(cuts.track)) ?? null;
    for (const { stream, program, counted } of measured) {
      if (!cutsOf(stream).every((cuts) => samplesOf(cuts) !== null)) continue;
      counted[segment] = attempt(() => exactBytes(stream, program, samplesOf), Number.NaN);
    }
  }
  return measured.map(({ stream, counted }) => {
    const rough = sum(cutsOf(stream)).map((bytes) => bytes * ROUGH_FACTOR[stream.container]);
    const { peakBps } = ratesOfSizes(completed(counted, rough, highest), stream.instants);
    return { peakBps, averageBps: ratesOfSizes(completed(counted, rough, mean), stream.instants).averageBps };
  });
};

/** Parts of any shape: what is stitched has each part's samples, whole, at the times at which the parts show them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { tracksIn } from "../../test/packager/truth.ts";
import { mediaFile, openBytes } from "../../test/support/media-file.ts";
import { seeded } from "../../test/support/seeded.ts";
import type { Movie, Samples, SampleTable, Track, VideoTrack } from "./movie.ts";
import { stitch } from "./stitch.ts";

const ROUNDS = 150;
const SEGMENT_SECONDS = 6;

interface Sample {
  readonly bytes: Buffer;
  readonly offset: number;
  readonly dts: number;
  readonly compositionOffset: number;
  readonly isKey: boolean;
}

/** A table of samples that are listed. */
const tableOf = (list: readonly Sample[], endDts: number): SampleTable => {
  const samples = (first: number, end: number): Samples => {
    const some = list.slice(first, end);
    return {
      first,
      count: some.length,
      size: Uint32Array.from(some, ({ bytes }) => bytes.length),
      offset: Float64Array.from(some, ({ offset }) => offset),
      dts: Float64Array.from([...some.map(({ dts }) => dts), list[end]?.dts ?? endDts]),
      compositionOffset: Int32Array.from(some, ({ compositionOffset }) => compositionOffset),
      sync: Uint8Array.from(some, ({ isKey }) => (isKey ? 1 : 0)),
    };
  };
  return {
    sampleCount: list.length,
    endDts,
    syncSamples: Uint32Array.from(list.keys()).filter((index) => list[index]?.isKey),
    heapBytes: 0,
    dtsOf: (sample) => list[sample]?.dts ?? endDts,
    ptsOf: (sample) => (list[sample]?.dts ?? endDts) + (list[sample]?.compositionOffset ?? 0),
    sampleAt: (dts) => {
      const index = list.findIndex((sample) => sample.dts >= dts);
      return index === -1 ? list.length : index;
    },
    samples,
    sizeBytes: (first, end) => list.slice(first, end).reduce((sum, { bytes }) => sum + bytes.length, 0),
  };
};

type Pick = (count: number) => number;

/** Bytes of a part, filled sample by sample with gaps between some of them. */
class Media {
  readonly chunks: Buffer[] = [];
  bytes = 0;
  readonly #pick: Pick;
  constructor(pick: Pick) {
    this.#pick = pick;
  }
  add(): { readonly bytes: Buffer; readonly offset: number } {
    const gap = Buffer.alloc(this.#pick(4) === 0 ? this.#pick(300) : 0);
    const bytes = randomBytes(1 + this.#pick(3000));
    this.chunks.push(gap, bytes);
    this.bytes += gap.length + bytes.length;
    return { bytes, offset: this.bytes - bytes.length };
  }
  whole(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

interface Shown {
  readonly seconds: number;
  readonly bytes: Buffer;
}

interface Part {
  readonly movie: Movie;
  readonly file: Buffer;
  /** What is shown when, by track, in decode order. */
  readonly shown: readonly (readonly Shown[])[];
}

const movieOf = (video: readonly VideoTrack[], audio: Movie["audio"]): Movie => ({
  ...{ video, audio, text: [], ignored: [], unserved: [] },
  durationSeconds: 1,
  heapBytes: 0,
});

/** Display order of a group of pictures: the key frame first, then any order. */
const shuffled = (count: number, pick: Pick): number[] => {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 1; index -= 1) {
    const other = Math.max(1, index - pick(3));
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
};

interface ChunkOptions {
  readonly pick: Pick;
  /** Number of its first picture in the whole. */
  readonly first: number;
  readonly rate: Rate;
}

const chunkOf = (like: VideoTrack, { pick, first: before, rate: [num, den] }: ChunkOptions): Part => {
  const ticks = 1 + pick(5); // any timescale in which a picture is whole
  const [timescale, frameTicks] = [num * ticks, den * ticks];
  const media = new Media(pick);
  const lead = pick(4) * frameTicks;
  const list: Sample[] = [];
  const places: number[] = [];
  for (let groups = 1 + pick(4); groups > 0; groups -= 1) {
    const first = list.length;
    for (const [index, place] of shuffled(1 + pick(12), pick).entries()) {
      const dts = lead + (first + index) * frameTicks;
      places.push(first + place);
      const pts = lead + (first + place + 3) * frameTicks;
      list.push({ ...media.add(), dts, compositionOffset: pts - dts, isKey: index === 0 });
    }
  }
  const endDts = lead + list.length * frameTicks;
  const shift = -(lead + 3 * frameTicks);
  const track = { ...like, timescale, shift, table: tableOf(list, endDts) };
  const shown = list.map(({ bytes }, index) => ({ seconds: ((before + places[index]!) * den) / num, bytes }));
  return { movie: movieOf([track], []), file: media.whole(), shown: [shown] };
};

const soundOf = (like: Track, pick: Pick): Part => {
  const media = new Media(pick);
  const tracks = Array.from({ length: 1 + pick(3) }, () => ({
    timescale: [48_000, 44_100][pick(2)]!,
    list: [] as Sample[],
  }));
  for (let frames = 1 + pick(200); frames > 0; frames -= 1) {
    for (const { list } of tracks) {
      list.push({ ...media.add(), dts: list.length * 1024, compositionOffset: 0, isKey: true });
    }
  }
  const movies = tracks.map(({ timescale, list }) => {
    const shift = [0, -1024, -2112, 4800][pick(4)]!;
    return { ...like, timescale, shift, table: tableOf(list, list.length * 1024) };
  });
  const shown = movies.map(({ shift, timescale }, index) =>
    tracks[index]!.list.map(({ bytes, dts }) => ({ seconds: (dts + shift) / timescale, bytes })),
  );
  return { movie: movieOf([], movies as unknown as Movie["audio"]), file: media.whole(), shown };
};

const shownIn = async (file: Buffer): Promise<Shown[][]> => {
  const movie = await openBytes(file);
  return [...movie.video, ...movie.audio].map(({ table, shift, timescale }) => {
    const { count, offset, size, dts, compositionOffset } = table.samples(0, table.sampleCount);
    return Array.from({ length: count }, (_, index) => ({
      seconds: (dts[index]! + compositionOffset[index]! + shift) / timescale,
      bytes: file.subarray(offset[index]!, offset[index]! + size[index]!),
    }));
  });
};

const near = (one: number, other: number): boolean => Math.abs(one - other) < 1e-9;

const assertSame = (
  found: readonly (readonly Shown[])[],
  wanted: readonly (readonly Shown[])[],
  what: string,
): void => {
  assert.deepEqual(
    found.map((samples) => samples.length),
    wanted.map((samples) => samples.length),
    what,
  );
  for (const [track, samples] of wanted.entries()) {
    for (const [index, { seconds, bytes }] of samples.entries()) {
      const other = found[track]![index]!;
      assert.ok(near(other.seconds, seconds), `${what}: ${other.seconds} s for ${seconds} s (${track}, ${index})`);
      assert.ok(other.bytes.equals(bytes), `${what}: other bytes (${track}, ${index})`);
    }
  }
};

const like = async (): Promise<{ readonly video: VideoTrack; readonly audio: Track }> => {
  const args = "-f lavfi -i testsrc2=s=64x36:d=0.2 -f lavfi -i sine=d=0.2 -c:v libx264 -c:a aac -f mp4";
  const { video, audio } = await openBytes(await mediaFile(args));
  return { video: video[0]!, audio: audio[0]! };
};

/** Pictures a second. */
type Rate = readonly [num: number, den: number];
const RATES: readonly Rate[] = [
  [25, 1],
  [24_000, 1001],
  [30, 1],
  [1, 1],
];

const partsOf = (tracks: { readonly video: VideoTrack; readonly audio: Track }, pick: Pick): Part[] => {
  const rate = RATES[pick(RATES.length)]!;
  const parts: Part[] = [];
  let first = 0;
  for (let chunks = 1 + pick(8); chunks > 0; chunks -= 1) {
    const part = chunkOf(tracks.video, { pick, first, rate });
    parts.push(part);
    first += part.shown[0]!.length;
  }
  return pick(4) === 0 ? parts : [...parts, soundOf(tracks.audio, pick)];
};

test(`${ROUNDS} movies of random parts have each sample where and when it should be`, async () => {
  const tracks = await like();
  for (let seed = 1; seed <= ROUNDS; seed += 1) {
    const random = seeded(seed);
    const parts = partsOf(tracks, (count) => random.int(count));
    const chunks = parts.filter(({ movie }) => movie.video.length > 0);
    const audio = parts.find(({ movie }) => movie.audio.length > 0)?.movie ?? null;
    const wanted = [
      chunks.flatMap(({ shown }) => shown[0]!),
      ...parts.slice(chunks.length).flatMap(({ shown }) => shown),
    ];
    for (const layout of ["final", "virtual"] as const) {
      const movies = { chunks: chunks.map(({ movie }) => movie), audio };
      const { head, extents, sizeBytes } = stitch(movies, { layout, segmentSeconds: SEGMENT_SECONDS });
      const media = [...extents].map(({ part, offset, lengthBytes }) =>
        parts[part]!.file.subarray(offset, offset + lengthBytes),
      );
      const file = Buffer.concat([head, ...media]);
      assert.equal(file.length, sizeBytes);
      assertSame(await shownIn(file), wanted, `seed ${seed}, ${layout}`);
      if (seed % 10 !== 0) continue;
      const judged = [...(await tracksIn(file)).values()].map((samples) =>
        samples.map(({ ptsSeconds, bytes }) => ({ seconds: ptsSeconds, bytes })),
      );
      assertSame(judged, wanted, `mediabunny, seed ${seed}, ${layout}`);
    }
  }
});

/** Damages movies and reads what is left of them: an error that is a MovieError, or an index that can be trusted. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Movie, MovieError, type SampleTable, type Track } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { makeInput, sharedMediaDir } from "./make.ts";
import { readerOf } from "./reader.ts";

/** One of each kind of table, codec and layout. */
const BASES = [
  "moov-last",
  "moov-first",
  "fragmented",
  "fragmented-sidx",
  "fragmented-after-moov-samples",
  "fragmented-every-frame",
  "boxes-unknown-everywhere",
  "chunk-offsets-64-bit",
  "sizes-of-16-bit",
  "edit-list-version-1",
  "quicktime",
  "quicktime-96-khz",
  "vfr",
  "hevc-hvc1",
  "av1",
  "vp9",
  "he-aac",
  "ac-3",
  "e-ac-3",
  "opus",
  "flac",
  "mov-text",
  "timecode",
  "two-languages",
];
/** Media are opaque: only this much of them is kept, so that most damage hits tables. */
const PARENTS = new Set(
  "moov trak mdia minf stbl edts dinf udta mvex moof traf mfra stsd avc1 hvc1 av01 mp4a".split(" "),
);
const FIELDS: Readonly<Record<string, number>> = { stsd: 8, avc1: 78, hvc1: 78, av01: 78, mp4a: 28 };
const CPU_MS_MAX = 1_000;
const NUMBERS = [0, 1, 2, 7, 8, 9, 15, 16, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

interface Place {
  readonly at: number;
  readonly end: number;
  readonly parent: number;
}

/** Every box of a well-formed file that is not media. */
const placesOf = (bytes: Buffer, from: number, to: number, parent: number): Place[] => {
  const places: Place[] = [];
  for (let at = from; at + 8 <= to; ) {
    const size = bytes.readUInt32BE(at) === 1 ? bytes.readUInt32BE(at + 12) : bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (size < 8) break;
    places.push({ at, end: Math.min(at + size, to), parent });
    if (PARENTS.has(type)) places.push(...placesOf(bytes, at + 8 + (FIELDS[type] ?? 0), at + size, at));
    at += size;
  }
  return places;
};

interface Base {
  readonly name: string;
  readonly bytes: Buffer;
  readonly places: readonly Place[];
}

type Damage = (bytes: Buffer, places: readonly Place[], random: Random) => Buffer;

const pick = <T>(values: readonly T[], random: Random): T => values[random.int(values.length)] as T;
const inTables = (places: readonly Place[], random: Random): number => {
  const { at, end } = pick(places, random);
  return at + random.int(Math.min(end - at, 256)); // not in the depths of mdat
};

const DAMAGES: readonly Damage[] = [
  (bytes, places, random) => {
    for (let hits = 1 + random.int(8); hits > 0; hits -= 1) {
      const at = inTables(places, random);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(8));
    }
    return bytes;
  },
  (bytes, places, random) => {
    for (let hits = 1 + random.int(3); hits > 0; hits -= 1) {
      const at = Math.min(inTables(places, random), bytes.length - 4);
      bytes.writeUInt32BE(random.int(2) === 0 ? pick(NUMBERS, random) : random.int(2 ** 32), at);
    }
    return bytes;
  },
  (bytes, places, random) => {
    const { at, end } = pick(places, random);
    const sizes = [...NUMBERS, end - at - 1, end - at + 1, end - at + 8, end - at - 8, bytes.length];
    bytes.writeUInt32BE(pick(sizes, random) >>> 0, at);
    return bytes;
  },
  (bytes, places, random) => {
    const { at, end } = pick(places, random); // a count, or what stands where one would
    if (end - at >= 20) bytes.writeUInt32BE(pick(NUMBERS, random), at + 12 + 4 * random.int(2));
    return bytes;
  },
  (bytes, places, random) => {
    const one = pick(places, random);
    const next = places.find(({ at, parent }) => at === one.end && parent === one.parent);
    if (!next) return bytes;
    const swapped = Buffer.concat([bytes.subarray(next.at, next.end), bytes.subarray(one.at, one.end)]);
    swapped.copy(bytes, one.at);
    return bytes;
  },
  (bytes, places, random) => {
    const { at } = pick(places, random);
    const from = pick(places, random).at;
    bytes.copy(bytes, at + 4, from + 4, from + 8); // a box under another's name
    return bytes;
  },
  (bytes, places, random) => {
    const { at, end } = pick(places, random); // a box in another's place, cut to it
    const other = pick(places, random);
    bytes.copy(bytes, at + 8, other.at + 8, Math.min(other.end, other.at + (end - at)));
    return bytes;
  },
  (bytes, places, random) =>
    bytes.subarray(0, random.int(2) === 0 ? random.int(bytes.length) : pick(places, random).end),
  (bytes, places, random) => {
    const { at, end } = pick(places, random); // bytes taken out, so that all offsets lie
    const cut = 1 + random.int(Math.min(64, end - at));
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + cut)]);
  },
];

const PART = 50_000;

/** Everything that is asked of a table is finite, in order, and inside the file. */
const assertSound = (table: SampleTable, fileBytes: number): void => {
  assert.ok(table.sampleCount > 0 && Number.isSafeInteger(table.endDts));
  let sum = 0;
  for (let first = 0; first < table.sampleCount; first += PART) {
    const end = Math.min(first + PART, table.sampleCount);
    const { count, size, offset, dts, compositionOffset } = table.samples(first, end);
    let bytes = 0;
    for (let index = 0; index < count; index += 1) {
      const [at = -1, length = -1, time = Number.NaN] = [offset[index], size[index], dts[index]];
      if (!(at >= 0 && at + length <= fileBytes)) assert.fail(`a sample at ${at} of ${fileBytes}`);
      if (!(Number.isSafeInteger(time) && time <= (dts[index + 1] ?? Number.NaN))) assert.fail(`time ${time}`);
      if (index % 97 === 0) assert.equal(table.ptsOf(first + index), time + (compositionOffset[index] ?? 0));
      if (index % 97 === 0) assert.ok(table.sampleAt(time) <= first + index);
      bytes += length;
    }
    assert.equal(table.sizeBytes(first, end), bytes);
    sum += bytes;
  }
  assert.equal(table.sizeBytes(0, table.sampleCount), sum);
  for (const sample of table.syncSamples ?? []) assert.ok(sample < table.sampleCount);
};

const assertTrack = ({ codec, timescale, shift, rotation, table, trackHeader }: Track, fileBytes: number): void => {
  assert.ok(timescale > 0 && Number.isSafeInteger(shift) && rotation % 90 === 0);
  for (const box of [codec.sampleEntry, trackHeader]) assert.equal(box.readUInt32BE(0), box.length);
  assert.match(codec.codecs, /^[\w.-]+$/);
  if (codec.kind === "video") assert.ok(codec.width > 0 && codec.height > 0);
  if (codec.kind === "audio") assert.ok(codec.sampleRate > 0 && codec.channelCount >= 0);
  assertSound(table, fileBytes);
};

/** Reads damaged bytes; gives the movie where they are still one. */
const read = async (bytes: Buffer): Promise<Movie | null> => {
  try {
    const movie = await openMovie(readerOf(bytes));
    assert.ok(Number.isFinite(movie.durationSeconds) && movie.durationSeconds >= 0);
    assert.ok(movie.heapBytes < 64 * bytes.length + 2 ** 20, `${movie.heapBytes} bytes for ${bytes.length}`);
    for (const track of [...movie.video, ...movie.audio, ...movie.text]) assertTrack(track, bytes.length);
    return movie;
  } catch (error) {
    if (error instanceof MovieError) return null;
    throw error;
  }
};

export interface FuzzResult {
  readonly opened: number;
  readonly refused: number;
  readonly slowestCpuMs: number;
}

const loadBases = async (): Promise<Base[]> => {
  const dir = await sharedMediaDir();
  const bases: Base[] = [];
  for (const name of BASES) {
    const bytes = readFileSync(await makeInput(name, dir));
    bases.push({ name, bytes, places: placesOf(bytes, 0, bytes.length, -1) });
  }
  return bases;
};

/** Throws, with the seed of the case, at the first movie that is neither refused nor sound, or that takes over 1 s. */
export const fuzzMovies = async (rounds: number, firstSeed = 1): Promise<FuzzResult> => {
  const bases = await loadBases();
  let opened = 0;
  let slowestCpuMs = 0;
  for (let seed = firstSeed; seed < firstSeed + rounds; seed += 1) {
    const random = seeded(seed);
    const { name, bytes, places } = pick(bases, random);
    let damaged: Buffer = Buffer.from(bytes);
    const only = random.int(4) === 0 ? 2 : 1;
    for (let times = 0; times < only; times += 1)
      if (damaged.length === bytes.length) damaged = pick(DAMAGES, random)(damaged, places, random);
    const before = process.cpuUsage();
    const movie = await read(damaged).catch((error: unknown) => {
      throw new Error(`seed ${seed}, made from ${name}`, { cause: error });
    });
    const { user, system } = process.cpuUsage(before);
    slowestCpuMs = Math.max(slowestCpuMs, (user + system) / 1000);
    if (slowestCpuMs > CPU_MS_MAX) throw new Error(`seed ${seed}, made from ${name}: ${slowestCpuMs} ms of CPU`);
    if (movie) opened += 1;
  }
  return { opened, refused: rounds - opened, slowestCpuMs };
};

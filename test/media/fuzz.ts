/** Damages movies and reads what is left of them: an error that is a MovieError, or an index that can be trusted. */
import assert from "node:assert/strict";
import { type Movie, MovieError, type SampleTable, type Track } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { seeded } from "../support/seeded.ts";
import { damaged, pick, soundMovies } from "./damage.ts";
import { readerOf } from "./reader.ts";

const CPU_MS_MAX = 1_000;
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

/** Throws, with the seed of the case, at the first movie that is neither refused nor sound, or that takes over 1 s. */
export const fuzzMovies = async (rounds: number, firstSeed = 1): Promise<FuzzResult> => {
  const movies = await soundMovies();
  let opened = 0;
  let slowestCpuMs = 0;
  for (let seed = firstSeed; seed < firstSeed + rounds; seed += 1) {
    const random = seeded(seed);
    const sound = pick(movies, random);
    const bytes = damaged(sound, random, "tables");
    const before = process.cpuUsage();
    const movie = await read(bytes).catch((error: unknown) => {
      throw new Error(`seed ${seed}, made from ${sound.name}`, { cause: error });
    });
    const { user, system } = process.cpuUsage(before);
    slowestCpuMs = Math.max(slowestCpuMs, (user + system) / 1000);
    if (slowestCpuMs > CPU_MS_MAX) throw new Error(`seed ${seed}, made from ${sound.name}: ${slowestCpuMs} ms of CPU`);
    if (movie) opened += 1;
  }
  return { opened, refused: rounds - opened, slowestCpuMs };
};

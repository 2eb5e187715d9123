/** Parts of a stitched movie, as they lie in a source: opened by their boxes, once. */
import { LRUCache } from "lru-cache";
import type { Movie } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import type { StitchParts } from "../../domain/mp4/stitch.ts";
import type { ContentSource, ReadOptions, SourceStat } from "../source/port.ts";

/** Paths of the parts in their source. */
export interface PartPaths {
  readonly chunks: readonly string[];
  readonly audio: string | null;
}

export interface Part {
  readonly path: string;
  readonly stat: SourceStat;
  readonly movie: Movie;
}

/** Parts that were opened: they are never written to again, so that a movie that grows costs its new parts alone. */
export type PartCache = LRUCache<string, Part>;

const CACHE_BYTES = 64 * 2 ** 20; // a chunk of a minute is 20 KiB, sound of two hours 2 MiB
const OPENED_AT_ONCE = 4;

export const makePartCache = (bytesMax = CACHE_BYTES): PartCache =>
  new LRUCache({ maxSize: bytesMax, sizeCalculation: ({ movie, path }) => movie.heapBytes + path.length + 500 });

const openPart = async (source: ContentSource, path: string, options: ReadOptions): Promise<Part> => {
  const object = await source.open(path, options);
  try {
    const { stat } = object;
    const read = async (offset: number, lengthBytes: number): Promise<Buffer> => {
      const bytes = Buffer.allocUnsafeSlow(lengthBytes);
      await object.readRange(offset, bytes, options);
      return bytes;
    };
    return { path, stat, movie: await openMovie({ sizeBytes: stat.sizeBytes, read }) };
  } finally {
    await object.close();
  }
};

export interface Parts {
  readonly movies: StitchParts;
  /** The chunks, then the audio. */
  readonly all: readonly Part[];
}

/** Opens all parts; rejects with what the source rejects with, and with MovieError where one is no movie. */
export const openParts = async (
  source: ContentSource,
  paths: PartPaths,
  { signal, cache }: ReadOptions & { readonly cache?: PartCache } = {},
): Promise<Parts> => {
  const wanted = [...paths.chunks, ...(paths.audio === null ? [] : [paths.audio])];
  const all: Part[] = [];
  let next = 0;
  let isBroken = false;
  const work = async (): Promise<void> => {
    while (next < wanted.length && !isBroken) {
      const index = next;
      next += 1;
      const path = wanted[index] ?? "";
      const part = cache?.get(path) ?? (await openPart(source, path, signal ? { signal } : {}));
      cache?.set(path, part);
      all[index] = part;
    }
  };
  const failed = (error: unknown): never => {
    isBroken = true;
    throw error;
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, () => work().catch(failed)));
  const movies = all.map(({ movie }) => movie);
  const audio = paths.audio === null ? null : (movies.at(-1) ?? null);
  return { all, movies: { chunks: movies.slice(0, paths.chunks.length), audio } };
};

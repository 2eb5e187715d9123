/**
 * A movie that is still in parts, as if it were one file: ranges of it are ranges of the parts. While more parts come,
 * each state of it is a version of its own.
 */
import { LRUCache } from "lru-cache";
import { type Stitched, stitch } from "../../domain/mp4/stitch.ts";
import { copyRanges } from "../source/copy.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "../source/port.ts";
import { checkRange, versionOf } from "../source/versions.ts";
import { PartReader } from "./part-reader.ts";
import { makePartCache, openParts, type Part, type PartCache, type PartPaths } from "./parts.ts";

/** What a growing movie is made of. */
export interface GrowingMovie extends PartPaths {
  readonly segmentSeconds: number;
}

const statOf = (parts: readonly Part[], sizeBytes: number): SourceStat => ({
  sizeBytes,
  modifiedMs: parts.reduce((latest, { stat }) => Math.max(latest, stat.modifiedMs ?? 0), 0),
  etag: null,
  version: versionOf("stitched", ...parts.flatMap(({ path, stat }) => [path, stat.version])),
});

/** The imaginary file. */
export class StitchedObject implements SourceObject {
  readonly stat: SourceStat;
  readonly stitched: Stitched;
  readonly #reader: PartReader;
  /** Where each extent begins in the whole. */
  readonly #starts: readonly number[];

  constructor(source: ContentSource, parts: readonly Part[], stitched: Stitched) {
    this.stitched = stitched;
    this.stat = statOf(parts, stitched.sizeBytes);
    this.#reader = new PartReader(source, parts);
    let at = stitched.head.length;
    this.#starts = [...stitched.extents].map(({ lengthBytes }) => {
      at += lengthBytes;
      return at - lengthBytes;
    });
  }

  async readRange(offset: number, target: Uint8Array, options: ReadOptions = {}): Promise<void> {
    checkRange("a stitched movie", this.stat, offset, target.length);
    options.signal?.throwIfAborted();
    const { head, extents } = this.stitched;
    const end = offset + target.length;
    if (offset < head.length) target.set(head.subarray(offset, Math.min(end, head.length)));
    const reads: Promise<void>[] = [];
    for (let index = this.#extentAt(offset); index < extents.length; index += 1) {
      const [extent, start] = [extents.at(index), this.#starts[index]!];
      if (start >= end) break;
      const from = Math.max(start, offset);
      const to = Math.min(start + extent.lengthBytes, end);
      if (to <= from) continue;
      const piece = target.subarray(from - offset, to - offset);
      reads.push(this.#reader.read(extent.part, extent.offset + from - start, piece, options));
    }
    const settled = await Promise.allSettled(reads); // nothing is written to `target` once this has ended
    for (const one of settled) if (one.status === "rejected") throw one.reason;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  /** The last extent that begins at or before `offset`; the first one where none does. */
  #extentAt(offset: number): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Sound is cut where the pictures end. Rejects with MovieError where the parts don't fit together. */
const assemble = async (
  source: ContentSource,
  { segmentSeconds, ...paths }: GrowingMovie,
  options: ReadOptions & { readonly cache?: PartCache },
): Promise<Assembled> => {
  const { all, movies } = await openParts(source, paths, options);
  return { parts: all, stitched: stitch(movies, { layout: "virtual", segmentSeconds, audioUntil: "pictures" }) };
};

interface Assembled {
  readonly parts: readonly Part[];
  readonly stitched: Stitched;
}

const ASSEMBLED_BYTES = 64 * 2 ** 20; // two hours with two tracks of sound: 4 MiB
const EXTENT_BYTES = 100;

const bytesOf = ({ stitched }: Assembled): number => stitched.head.length + stitched.extents.length * EXTENT_BYTES;

/** One movie in parts, opened as a file. */
export const openStitched = async (
  source: ContentSource,
  movie: GrowingMovie,
  options: ReadOptions & { readonly cache?: PartCache } = {},
): Promise<StitchedObject> => {
  const { parts, stitched } = await assemble(source, movie, options);
  return new StitchedObject(source, parts, stitched);
};

/** Which paths are movies in parts; null: the path is the source's own. */
export type PartsOf = (path: string, options: ReadOptions) => Promise<GrowingMovie | null>;

/** A source in which movies in parts are files among others. It does not close the source that it stands on. */
export class ConcatSource implements ContentSource {
  readonly kind: string;
  readonly capabilities: ContentSource["capabilities"];
  readonly #source: ContentSource;
  readonly #partsOf: PartsOf;
  readonly #cache = makePartCache();
  readonly #running = new Map<string, Promise<Assembled>>();
  readonly #assembled = new LRUCache<string, Assembled>({ maxSize: ASSEMBLED_BYTES, sizeCalculation: bytesOf });

  constructor(source: ContentSource, partsOf: PartsOf) {
    this.kind = source.kind;
    this.capabilities = source.capabilities;
    this.#source = source;
    this.#partsOf = partsOf;
  }

  async stat(path: string, options: ReadOptions = {}): Promise<SourceStat> {
    const movie = await this.#partsOf(path, options);
    if (movie === null) return this.#source.stat(path, options);
    const { parts, stitched } = await this.#assemble(movie, options);
    return statOf(parts, stitched.sizeBytes);
  }

  async open(path: string, options: ReadOptions = {}): Promise<SourceObject> {
    const movie = await this.#partsOf(path, options);
    return movie === null ? this.#source.open(path, options) : this.#open(movie, options);
  }

  list(path: string, options: ReadOptions = {}): AsyncIterable<SourceEntry> {
    return this.#source.list(path, options);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    const movie = await this.#partsOf(path, options);
    if (movie === null) return this.#source.fetchTo(path, file, options);
    const object = await this.#open(movie, options);
    try {
      return await copyRanges(object, file, { ...options, windows: 1 });
    } finally {
      await object.close();
    }
  }

  async close(): Promise<void> {
    this.#cache.clear();
    this.#assembled.clear();
  }

  async #open(movie: GrowingMovie, options: ReadOptions): Promise<StitchedObject> {
    const { parts, stitched } = await this.#assemble(movie, options);
    return new StitchedObject(this.#source, parts, stitched);
  }

  /** The tables of a long movie take some ten ms to put together: once for each of its states, whoever asks. */
  async #assemble(movie: GrowingMovie, { signal }: ReadOptions): Promise<Assembled> {
    const name = JSON.stringify([movie.segmentSeconds, movie.chunks, movie.audio]);
    const known = this.#assembled.get(name);
    if (known) return known;
    const running = this.#running.get(name) ?? this.#begin(name, movie);
    const assembled = await running; // not ended by one of several who wait; the source has deadlines
    signal?.throwIfAborted();
    return assembled;
  }

  #begin(name: string, movie: GrowingMovie): Promise<Assembled> {
    const running = assemble(this.#source, movie, { cache: this.#cache }).then((assembled) => {
      this.#assembled.set(name, assembled);
      return assembled;
    });
    const settled = () => void this.#running.delete(name);
    this.#running.set(name, running);
    running.then(settled, settled);
    return running;
  }
}

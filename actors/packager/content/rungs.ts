/**
 * Rungs of titles as files: one that is whole lies in the object store as it is, one that grows is put together of the
 * parts that are there (`lib/objects/concat.ts`).
 */
import { LRUCache } from "lru-cache";
import { type ContentSet, SEGMENT_SECONDS, type SetRung } from "../../../contracts/content-set.ts";
import { codeOf, fail } from "../../../contracts/errors.ts";
import type { Movie } from "../../../domain/mp4/movie.ts";
import { cutGrowingRung, cutRung } from "../../../domain/vod/cut.ts";
import { linesOf } from "../../../domain/vod/lines.ts";
import type { CutMovie } from "../../../domain/vod/plan.ts";
import type { Clock } from "../../../lib/clock.ts";
import type { Log } from "../../../lib/log/log.ts";
import { ConcatSource, type GrowingMovie } from "../../../lib/objects/concat.ts";
import type { ContentSource, SourceObject, SourceStat } from "../../../lib/source/port.ts";
import { Library, type Title } from "../library.ts";

interface Growing extends GrowingMovie {
  readonly contentId: string;
  readonly hasAllPictures: boolean;
}

export interface RungsOptions {
  /** Of the bucket `segments`. */
  readonly source: () => Promise<ContentSource>;
  readonly clock: Clock;
  readonly log: Log;
  /** Memory for the indexes of all rungs. */
  readonly indexBytesMax: number;
}

export interface OpenedRung {
  readonly rung: SetRung;
  readonly title: Title;
}

const GROWING_MAX = 1_000; // rungs that are asked for while they grow

/** Of each rung as many chunks as all of them have: their playlists are of one length. */
const commonChunks = ({ rungs }: ContentSet): number => {
  const counts = rungs.map(({ chunks }) => chunks.length).filter((count) => count > 0);
  return counts.length === 0 ? 0 : Math.min(...counts);
};

/** Rungs of which there is something; in ascending order of what they take. */
export const playableRungs = (set: ContentSet): readonly SetRung[] => {
  const count = commonChunks(set);
  const playable = set.rungs.filter(
    ({ path, chunks }) => path !== null || (set.state === "growing" && count > 0 && chunks.length >= count),
  );
  return playable.toSorted(
    (one, other) =>
      one.maxBitsPerSecond - other.maxBitsPerSecond || one.height - other.height || (one.name < other.name ? -1 : 1),
  );
};

/** The same set without rungs of more lines than that; those that are left are as long as with all of them. */
export const withinHeight = (set: ContentSet, maxHeight: number | null): ContentSet => {
  if (maxHeight === null) return set;
  const count = commonChunks(set);
  const kept = set.rungs.filter((rung) => linesOf(rung) <= maxHeight);
  return { ...set, rungs: kept.map((rung) => ({ ...rung, chunks: rung.chunks.slice(0, count) })) };
};

/** Files whose times are of no matter: what is made of a rung is the same before and after it is whole. */
class TimelessSource implements ContentSource {
  readonly kind: string;
  readonly capabilities: ContentSource["capabilities"];
  readonly #source: ContentSource;

  constructor(source: ContentSource) {
    this.#source = source;
    this.kind = source.kind;
    this.capabilities = source.capabilities;
  }

  async stat(path: string): Promise<SourceStat> {
    return timeless(await this.#source.stat(path));
  }

  async open(path: string): Promise<SourceObject> {
    const object = await this.#source.open(path);
    return {
      stat: timeless(object.stat),
      ...(object.wholeOnly ? { wholeOnly: true } : {}),
      readRange: (offset, target, options) => object.readRange(offset, target, options),
      close: () => object.close(),
    };
  }

  list(path: string): ReturnType<ContentSource["list"]> {
    return this.#source.list(path);
  }

  fetchTo(path: string, file: string): Promise<SourceStat> {
    return this.#source.fetchTo(path, file);
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

const timeless = (stat: SourceStat): SourceStat => ({ ...stat, modifiedMs: null });

export class Rungs {
  readonly #options: RungsOptions;
  readonly #growing = new LRUCache<string, Growing>({ max: GROWING_MAX });
  #library: Promise<Library> | undefined;

  constructor(options: RungsOptions) {
    this.#options = options;
  }

  /** One rung, held: the caller lets it go. CONTENT_NOT_FOUND, CONTENT_NOT_READY, OBJECT_STORE_DOWN. */
  async open(set: ContentSet, name: string): Promise<OpenedRung> {
    const { contentId } = set;
    if (set.state === "growing" && commonChunks(set) === 0 && set.rungs.every(({ path }) => path === null)) {
      return fail("CONTENT_NOT_READY", { contentId });
    }
    const rung = playableRungs(set).find((one) => one.name === name);
    if (!rung) return fail("CONTENT_NOT_FOUND", { contentId });
    const library = await this.#opened();
    try {
      return { rung, title: await library.open(this.#pathOf(set, rung)) };
    } catch (error) {
      return refuse(error);
    }
  }

  /** Files of a title that are none of this set's are forgotten; null: all of them. */
  keepOnly(contentId: string, set: ContentSet | null): void {
    const kept = new Set(set ? playableRungs(set).map((rung) => this.#pathOf(set, rung)) : []);
    const isOld = (path: string): boolean => path.startsWith(`${contentId}/`) && !kept.has(path);
    void this.#library?.then(
      (library) => library.forget(isOld),
      () => {},
    );
    for (const path of this.#growing.keys()) if (isOld(path)) this.#growing.delete(path);
  }

  close(): void {
    void this.#library?.then(
      (library) => library.close(),
      () => {},
    );
  }

  #pathOf(set: ContentSet, { name, path, chunks }: SetRung): string {
    if (path !== null) return path;
    const { contentId, revision, audioPath, frameCount } = set;
    const present = chunks.slice(0, commonChunks(set));
    const frames = present.reduce((sum, chunk) => sum + chunk.frameCount, 0);
    const growing = `${contentId}/r${revision}/${name} so far: ${frames} frames`;
    this.#growing.set(growing, {
      contentId,
      chunks: present.map((chunk) => chunk.path),
      audio: audioPath,
      segmentSeconds: SEGMENT_SECONDS,
      hasAllPictures: frames >= frameCount,
    });
    return growing;
  }

  #opened(): Promise<Library> {
    this.#library ??= this.#openLibrary().catch((error: unknown) => {
      this.#library = undefined;
      throw error;
    });
    return this.#library;
  }

  async #openLibrary(): Promise<Library> {
    const { source, clock, log, indexBytesMax } = this.#options;
    const parts = new ConcatSource(await source(), async (path) => this.#growing.get(path) ?? null);
    return new Library({
      source: new TimelessSource(parts),
      clock,
      log,
      segmentSeconds: SEGMENT_SECONDS,
      cut: (movie, path) => this.#cut(movie, path),
      indexBytesMax,
      recheckMs: Number.POSITIVE_INFINITY, // nothing is written to a name twice: another set names other files
      epoch: "",
    });
  }

  #cut(movie: Movie, path: string): CutMovie | null {
    const growing = this.#growing.get(path);
    if (!growing) return cutRung(movie, SEGMENT_SECONDS);
    return (
      cutGrowingRung(movie, SEGMENT_SECONDS, growing) ?? fail("CONTENT_NOT_READY", { contentId: growing.contentId })
    );
  }
}

const STORE_FAULTS = ["SOURCE_NOT_FOUND", "SOURCE_DENIED", "SOURCE_FAILED", "SOURCE_TIMEOUT", "SOURCE_TRUNCATED"];

/** The object store is a part of the platform: what it can't give is there again soon. */
export const refuse = (error: unknown): never => {
  if (STORE_FAULTS.includes(codeOf(error) ?? "")) return fail("OBJECT_STORE_DOWN");
  throw error;
};

/**
 * The files that are being served: each opened once, its index kept in memory, all of them together bounded in bytes.
 *
 * A title is one version of a file. Whoever works with it holds it; one that was replaced or fell out of the bound is
 * closed when the last holder lets go, so what was begun is finished from the same bytes.
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { codeOf, fail } from "../../contracts/errors.ts";
import type { Movie, RangeReader } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { cutMovie } from "../../domain/vod/cut.ts";
import { describe } from "../../domain/vod/describe.ts";
import type { CutMovie } from "../../domain/vod/plan.ts";
import type { Rendition } from "../../domain/vod/rendition.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ContentSource, SourceObject, SourceStat } from "../../lib/source/port.ts";
import { refuseMedia } from "./media-fault.ts";
import { OpeningBytes } from "./opening-bytes.ts";
import { Turns } from "./turns.ts";

/** Of the texts for `?v=`. */
export const VERSION_DIGITS = 8;
const TITLE_BYTES = 4096; // what a title holds besides its index
const TITLES_MAX = 512; // each has its file open, of 1,024 that a process may have at least; viewers take the others
const OPENINGS_MAX = 64; // files that are being opened at a time
const OPENING_BYTES_MAX = 512 * 2 ** 20; // of all of them: 100 films of 100 minutes; the largest moov has 256 MiB
const OPENINGS_WAITING_MAX = 1024; // ten sets of 100 files

export interface LibraryOptions {
  readonly source: ContentSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly segmentSeconds: number;
  /** Where a file is cut; absent: as one that is whole. Null: it has nothing to serve. */
  readonly cut?: (movie: Movie, path: string) => CutMovie | null;
  /** Memory for the indexes of all files. */
  readonly indexBytesMax: number;
  /** For so long a file counts as unchanged once it was looked at. */
  readonly recheckMs: number;
  /** Goes into versions: what changes segments without the file changing. */
  readonly epoch: string;
  /** Memory for the boxes of all files that are being opened; absent: as much as is usual. */
  readonly openingBytesMax?: number;
}

/** An opening that goes on. Whoever asks joins it, unless its file was purged since it began. */
interface Opening {
  readonly title: Promise<Title>;
  readonly mark: Mark;
}
interface Mark {
  isForgotten: boolean;
}

/** A file's cuts, and what manifests say of it when it is cut so. */
export interface Served {
  readonly cut: CutMovie;
  readonly rendition: Rendition;
}

let openedCount = 0;

/** One version of a file, as it is served. */
export class Title {
  /** No other opening has it, of this file or another. */
  readonly serial: number;
  readonly path: string;
  /** Short text for `?v=`: of the file's version and the settings that its segments depend on. */
  readonly version: string;
  readonly object: SourceObject;
  readonly movie: Movie;
  readonly cut: CutMovie;
  /** Its cuts in sets whose files' key frames differ, by the versions of all files of the set. */
  readonly cutsInSets = new Map<string, Served>();
  /** Whether its video has captions; null: not looked at yet (`captions.ts`). */
  closedCaptions: boolean | null = null;
  /** The tag with its picture, once somebody listened to it alone (`artwork.ts`). */
  artwork: Promise<Buffer | null> | undefined;
  checkedAtMs: number;
  /** A purge has come: what is made of it is for those who asked before, and is not kept. */
  isForgotten = false;
  #rendition: Rendition | undefined;
  #holders = 0;
  #dropped = false;

  constructor(parts: Pick<Title, "path" | "version" | "object" | "movie" | "cut" | "checkedAtMs">) {
    openedCount += 1;
    this.serial = openedCount;
    this.path = parts.path;
    this.version = parts.version;
    this.object = parts.object;
    this.movie = parts.movie;
    this.cut = parts.cut;
    this.checkedAtMs = parts.checkedAtMs;
  }

  get stat(): SourceStat {
    return this.object.stat;
  }

  /** What manifests say of it; a pass over its sizes, made once. */
  get rendition(): Rendition {
    this.#rendition ??= describe(this.cut, { uri: "", version: this.version });
    return this.#rendition;
  }

  /** With what manifests say of it: the time of each key frame, which in some files each picture is. */
  get heapBytes(): number {
    const table = this.cut.video?.track.table;
    const keyCount = table?.syncSamples?.length ?? table?.sampleCount ?? 0;
    return this.movie.heapBytes + TITLE_BYTES + keyCount * Float64Array.BYTES_PER_ELEMENT;
  }

  /** Not to be closed until it is let go. */
  hold(): void {
    this.#holders += 1;
  }

  letGo(): void {
    this.#holders -= 1;
    this.#closeWhenFree();
  }

  /** No longer in the library. */
  drop(): void {
    this.#dropped = true;
    this.#closeWhenFree();
  }

  #closeWhenFree(): void {
    if (!this.#dropped || this.#holders > 0) return;
    this.object.close().catch(() => {}); // read-only: nothing is lost with it
  }
}

const readerOf = (object: SourceObject, take: (bytes: number) => Promise<void>): RangeReader => ({
  sizeBytes: object.stat.sizeBytes,
  read: async (offset, lengthBytes) => {
    await take(lengthBytes);
    const bytes = Buffer.allocUnsafeSlow(lengthBytes);
    await object.readRange(offset, bytes);
    return bytes;
  },
});

/** Until those who wait for it have had their turn to hold it themselves. */
const heldForNow = (title: Title): Title => {
  title.hold();
  setImmediate(() => title.letGo());
  return title;
};

/** Whoever waits for an opening that was forgotten begins another one, whatever it rejects with. */
const assertMeant = (path: string, { isForgotten }: Mark): void => {
  if (isForgotten) fail("SOURCE_CHANGED", { path });
};

export class Library {
  /** How often boxes were read since the start. */
  readCount = 0;
  readonly #options: LibraryOptions;
  readonly #titles: LRUCache<string, Title>;
  readonly #opening = new Map<string, Opening>();
  readonly #turns = new Turns(OPENINGS_MAX, OPENINGS_WAITING_MAX);
  readonly #openingBytes: OpeningBytes;

  constructor(options: LibraryOptions) {
    this.#options = options;
    this.#openingBytes = new OpeningBytes(options.openingBytesMax ?? OPENING_BYTES_MAX);
    this.#titles = new LRUCache({
      max: TITLES_MAX,
      maxSize: options.indexBytesMax,
      sizeCalculation: (title) => title.heapBytes,
      dispose: (title) => title.drop(),
    });
  }

  get titleCount(): number {
    return this.#titles.size;
  }

  get indexBytes(): number {
    return this.#titles.calculatedSize;
  }

  /** The title when it is known and was looked at lately: no wait, no look at the source. */
  recent(path: string): Title | undefined {
    const title = this.#titles.get(path);
    if (!title || this.#options.clock.nowMs() - title.checkedAtMs > this.#options.recheckMs) return undefined;
    return title;
  }

  /** The present version of a file, held: the caller lets it go. One reading of its index however many ask. */
  async open(path: string): Promise<Title> {
    const recent = this.recent(path);
    if (recent) {
      recent.hold();
      return recent;
    }
    const { title: opened, mark } = this.#opening.get(path) ?? this.#begin(path);
    const title = await opened.catch((error: unknown) => {
      if (!mark.isForgotten) throw error;
      return null;
    });
    // What was read before a purge is not served after it: opened once more for each purge that comes between.
    if (!title || mark.isForgotten) return this.open(path);
    title.hold();
    return title;
  }

  /** Forgets files, also those that are being opened; gives how many of them were in memory. */
  forget(isMeant: (path: string) => boolean): number {
    for (const [path, { mark }] of this.#opening) {
      if (!isMeant(path)) continue;
      mark.isForgotten = true;
      this.#opening.delete(path);
    }
    const paths = [...this.#titles.keys()].filter(isMeant);
    for (const path of paths) {
      const title = this.#titles.peek(path);
      if (title) title.isForgotten = true;
      this.#titles.delete(path);
    }
    return paths.length;
  }

  /** Forgets versions whose files are others by now; what was opened since stays. */
  forgetReplaced(titles: readonly Title[]): void {
    for (const title of titles) if (this.#titles.peek(title.path) === title) this.#titles.delete(title.path);
  }

  close(): void {
    this.#titles.clear();
  }

  #begin(path: string): Opening {
    const mark: Mark = { isForgotten: false };
    const title = this.#turns
      .take(() => this.#present(path, mark))
      .finally(() => {
        if (this.#opening.get(path)?.mark === mark) this.#opening.delete(path);
      });
    const opening = { title, mark };
    this.#opening.set(path, opening);
    return opening;
  }

  async #present(path: string, mark: Mark): Promise<Title> {
    assertMeant(path, mark); // purged while it waited for its turn
    const known = this.#titles.get(path);
    if (known && (await this.#isPresent(known, mark))) return known;
    const title = heldForNow(await this.#read(path));
    // Dropping the older version is the cache's dispose; one that is too large for it is served all the same.
    if (!mark.isForgotten) this.#titles.set(path, title);
    if (this.#titles.peek(path) !== title) title.drop();
    return title;
  }

  /** Whether a title is what its file is now; it is held then. */
  async #isPresent(title: Title, mark: Mark): Promise<boolean> {
    const { source, clock } = this.#options;
    title.hold(); // others may push it out of the cache meanwhile
    try {
      const stat = await source.stat(title.path).catch((error: unknown) => this.#lost(title.path, error));
      assertMeant(title.path, mark);
      if (this.#versionOf(stat) !== title.version) return false;
      title.checkedAtMs = clock.nowMs();
      heldForNow(title);
      return true;
    } finally {
      title.letGo();
    }
  }

  /** A file that is gone must not be served from memory; one whose source fails may be, while viewers hold it. */
  #lost(path: string, error: unknown): never {
    if (codeOf(error) === "SOURCE_NOT_FOUND" || codeOf(error) === "SOURCE_DENIED") this.#titles.delete(path);
    throw error;
  }

  #versionOf(stat: SourceStat): string {
    const hash = createHash("sha256").update(`${stat.version}\n${this.#options.epoch}`);
    return hash.digest("hex").slice(0, VERSION_DIGITS);
  }

  async #read(path: string): Promise<Title> {
    const {
      source,
      clock,
      segmentSeconds,
      log,
      cut: cutOf = (movie) => cutMovie(movie, segmentSeconds),
    } = this.#options;
    const object = await source.open(path);
    this.readCount += 1;
    try {
      if (object.wholeOnly) log.error({ path }, "the source gives no ranges of this file: see [http] ranges");
      const movie = await this.#openingBytes.during((take) => openMovie(readerOf(object, take)));
      const cut = cutOf(movie, path);
      if (!cut) return fail("MEDIA_UNSUPPORTED", { path, reason: "it has no samples", version: object.stat.version });
      const version = this.#versionOf(object.stat);
      return new Title({ path, version, object, movie, cut, checkedAtMs: clock.nowMs() });
    } catch (error) {
      await object.close().catch(() => {});
      return refuseMedia(error, path, object.stat.version);
    }
  }
}

/** Sets of renditions: what a csmil path, a SMIL file or a single file stands for. */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { codeOf, fail } from "../../contracts/errors.ts";
import { areAligned, cutTogether } from "../../domain/vod/cut.ts";
import { describe } from "../../domain/vod/describe.ts";
import type { Log } from "../../lib/log/log.ts";
import { type Library, type Served, type Title, VERSION_DIGITS } from "./library.ts";

/** One file of a set, cut as the set is. */
export interface Member extends Served {
  readonly title: Title;
  /** For `?v=`: of this file, and of all files of the set where they are cut together. */
  readonly version: string;
}

/** Its members are held until `letGo`. */
export interface OpenSet {
  /** In ascending order of bandwidth: `r` of the URLs is the place in this list. */
  readonly members: readonly Member[];
  /** Each file by itself is cut where the set is: its own playlists may be named. */
  readonly selfAligned: boolean;
  /** Files that the set names and that are not there. */
  readonly missing: readonly string[];
  letGo(): void;
}

const TOLD_MAX = 1000; // files whose tracks were told of
const CUTS_PER_TITLE_MAX = 16; // a file is in few sets; its cuts are some KiB each

/** Errors by which a file counts as missing from its set; any other one is the set's. */
const isMissing = (error: unknown): boolean => codeOf(error) === "SOURCE_NOT_FOUND";

/** The same from any order of a set's names: by what they take, then by name. */
const ascending = (one: Member, other: Member): number =>
  one.rendition.muxedPeakBps - other.rendition.muxedPeakBps ||
  one.rendition.muxedAverageBps - other.rendition.muxedAverageBps ||
  (one.title.path < other.title.path ? -1 : 1);

export class Sets {
  readonly #library: Library;
  readonly #segmentSeconds: number;
  readonly #log: Log;
  readonly #told = new LRUCache<string, true>({ max: TOLD_MAX });

  constructor(options: { readonly library: Library; readonly segmentSeconds: number; readonly log: Log }) {
    this.#library = options.library;
    this.#segmentSeconds = options.segmentSeconds;
    this.#log = options.log;
  }

  /** Opens all files of a set side by side. RENDITIONS_EMPTY when none is there; other errors of a file are thrown. */
  async open(paths: readonly string[]): Promise<OpenSet> {
    const opened = await Promise.allSettled(paths.map((path) => this.#library.open(path)));
    const titles = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const letGo = (): void => {
      for (const title of titles.splice(0)) title.letGo();
    };
    const fault = opened.find((one) => one.status === "rejected" && !isMissing(one.reason));
    if (fault?.status === "rejected") {
      letGo();
      throw fault.reason;
    }
    for (const title of titles) if (title.movie.unserved.length > 0) this.#tellOfUnserved(title);
    const missing = paths.filter((_, index) => opened[index]?.status === "rejected");
    const [only] = paths;
    if (titles.length === 0) {
      return paths.length === 1 ? fail("SOURCE_NOT_FOUND", { path: only }) : fail("RENDITIONS_EMPTY");
    }
    try {
      return { ...this.#membersOf(titles), missing, letGo };
    } catch (error) {
      letGo(); // of a damaged file, what is said of it can't be made
      throw error;
    }
  }

  #membersOf(titles: readonly Title[]): Pick<OpenSet, "members" | "selfAligned"> {
    const selfAligned = areAllAligned(titles);
    const members = selfAligned
      ? titles.map((title) => ({ title, version: title.version, cut: title.cut, rendition: title.rendition }))
      : this.#cutTogether(titles);
    return { members: members.toSorted(ascending), selfAligned };
  }

  /** Once per version of a file: viewers get it without these tracks, and only its operator can know better. */
  #tellOfUnserved({ path, version, movie: { unserved } }: Title): void {
    const key = `${version} ${path}`;
    if (this.#told.has(key)) return;
    this.#told.set(key, true);
    this.#log.warn({ path, tracks: unserved }, `${path} is served without ${unserved.join(", ")}`);
  }

  /** Cuts of the same versions of the same files are kept with each file. */
  #cutTogether(titles: readonly Title[]): readonly Member[] {
    const key = titles.map(({ path, version }) => `${version} ${path}`).join("\n");
    const known = titles.map((title) => title.cutsInSets.get(key));
    if (!known.every((one) => one !== undefined)) this.#cutAnew(titles, key);
    return titles.flatMap((title) => {
      const served = title.cutsInSets.get(key);
      return served ? [{ title, version: served.rendition.version, ...served }] : [];
    });
  }

  #cutAnew(titles: readonly Title[], key: string): void {
    const paths = titles.map(({ path }) => path);
    this.#log.info({ paths }, "key frames of a set differ: it is cut where all of them have one");
    const movies = titles.map(({ movie }) => movie);
    const version = createHash("sha256").update(key).digest("hex").slice(0, VERSION_DIGITS);
    for (const [index, cut] of cutTogether(movies, this.#segmentSeconds).entries()) {
      const title = titles[index];
      if (!title) continue;
      const { cutsInSets: kept } = title;
      const [oldest] = kept.keys();
      if (kept.size >= CUTS_PER_TITLE_MAX && oldest !== undefined) kept.delete(oldest);
      kept.set(key, { cut, rendition: describe(cut, { uri: "", version }) });
    }
  }
}

const areAllAligned = (titles: readonly Title[]): boolean => {
  const withVideo = titles.filter(({ cut }) => cut.video !== null);
  const [first, ...others] = withVideo.length > 0 ? withVideo : titles;
  if (!first) return true;
  const isMixed = withVideo.length > 0 && withVideo.length < titles.length;
  // A file without video beside some with it follows their cuts, which its own grid does not.
  if (isMixed && !titles.every(({ cut }) => areAligned(first.cut.plan, cut.plan))) return false;
  return others.every(({ cut }) => areAligned(first.cut.plan, cut.plan));
};

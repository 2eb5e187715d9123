/** What there is of titles to play: `set.json` of each, and whether it may be played without a session. */
import { LRUCache } from "lru-cache";
import { ContentSet, publicMarkPath, setPath } from "../../../contracts/content-set.ts";
import { codeOf, fail } from "../../../contracts/errors.ts";
import type { Clock } from "../../../lib/clock.ts";
import type { Log } from "../../../lib/log/log.ts";
import type { ObjectStore } from "../../../lib/objects/port.ts";
import { LookUp } from "./look-up.ts";

export interface KnownSet {
  readonly set: ContentSet;
  readonly etag: string;
}

export interface ContentSetsOptions {
  /** Opened when the first title is asked for. */
  readonly objects: () => Promise<ObjectStore>;
  readonly clock: Clock;
  readonly log: Log;
  /** Another set is there than before; null: none any more. */
  readonly onChange: (contentId: string, set: ContentSet | null) => void;
}

const RECHECK_MS = 1_000;
/** Who misses something that another node has seen looks again, at most so often. */
const FRESH_MS = 100;
const SETS_MAX = 2_000;
const MARKS_MAX = 20_000;
const SET_BYTES_MAX = 4 * 2 ** 20; // 20 rungs of 500 chunks, each named in 100 characters, are 1 MB

/** What is wrong with what was read; null: nothing. A set names its own title's objects alone. */
const problemOf = (set: ContentSet, contentId: string): string | null => {
  if (set.contentId !== contentId) return "it is of another title";
  const paths = [
    ...set.rungs.flatMap(({ path, chunks }) => [path, ...chunks.map((chunk) => chunk.path)]),
    ...set.subtitles.map(({ path }) => path),
    set.audioPath,
    set.storyboardPath,
  ].filter((path) => path !== null);
  const foreign = paths.find((path) => !path.startsWith(`${contentId}/`) || path.split("/").includes(".."));
  if (foreign !== undefined) return `it names ${foreign}`;
  if (new Set(set.rungs.map(({ name }) => name)).size < set.rungs.length) return "two of its rungs have one name";
  return set.state === "complete" && set.rungs.some(({ path }) => path === null) ? "a rung has no file" : null;
};

export class ContentSets {
  readonly #options: ContentSetsOptions;
  readonly #sets: LookUp<KnownSet>;
  readonly #marks: LookUp<{ readonly isPublic: boolean }>;
  /** By ETag, what was wrong with it: it is told once. */
  readonly #unreadable = new LRUCache<string, string>({ max: SETS_MAX });

  constructor(options: ContentSetsOptions) {
    this.#options = options;
    const { clock } = options;
    this.#sets = new LookUp({
      clock,
      recheckMs: RECHECK_MS,
      entriesMax: SETS_MAX,
      read: (contentId, known, signal) => this.#read(contentId, known, signal),
    });
    this.#marks = new LookUp({
      clock,
      recheckMs: RECHECK_MS,
      entriesMax: MARKS_MAX,
      read: async (contentId, _known, signal) => {
        const objects = await options.objects();
        const name = { bucket: "segments", key: publicMarkPath(contentId) } as const;
        return { isPublic: (await objects.head(name, { signal })) !== null };
      },
    });
  }

  /** Seen within the last second. */
  recent(contentId: string): KnownSet | null | undefined {
    return this.#sets.recent(contentId);
  }

  isPublicNow(contentId: string): boolean {
    return this.#marks.recent(contentId)?.isPublic === true;
  }

  /** CONTENT_NOT_FOUND, CONTENT_UNREADABLE, OBJECT_STORE_DOWN. */
  async get(contentId: string): Promise<KnownSet> {
    return (await this.#sets.get(contentId)) ?? fail("CONTENT_NOT_FOUND", { contentId });
  }

  /** The same as it is now. */
  async fresh(contentId: string): Promise<KnownSet> {
    return (await this.#sets.get(contentId, { recheckMs: FRESH_MS })) ?? fail("CONTENT_NOT_FOUND", { contentId });
  }

  /** CONTENT_NOT_FOUND unless it may be played without a session. */
  async assertPublic(contentId: string): Promise<void> {
    const mark = await this.#marks.get(contentId);
    if (!mark?.isPublic) fail("CONTENT_NOT_FOUND", { contentId });
  }

  async #read(contentId: string, known: KnownSet | null, signal: AbortSignal): Promise<KnownSet | null> {
    const objects = await this.#options.objects();
    const name = { bucket: "segments", key: setPath(contentId) } as const;
    const there = await objects.head(name, { signal });
    if (there !== null && there.etag === known?.etag) return known;
    const read = there && (await objects.getBytes(name, { bytesMax: SET_BYTES_MAX, signal }).catch(orGone));
    if (read === null) {
      if (known) this.#options.onChange(contentId, null);
      return null;
    }
    const set = this.#parsed(contentId, read.stat.etag, read.bytes);
    this.#options.onChange(contentId, set);
    return { set, etag: read.stat.etag };
  }

  #parsed(contentId: string, etag: string, bytes: Buffer): ContentSet {
    const told = this.#unreadable.get(`${contentId} ${etag}`);
    if (told !== undefined) return fail("CONTENT_UNREADABLE", { contentId, reason: told });
    const result = ContentSet.safeParse(jsonIn(bytes));
    const [issue] = result.error?.issues ?? [];
    const reason = result.success
      ? problemOf(result.data, contentId)
      : `${issue?.path.join(".") || "it"}: ${issue?.message}`;
    if (result.success && reason === null) return result.data;
    this.#unreadable.set(`${contentId} ${etag}`, String(reason));
    this.#options.log.error({ contentId, reason }, `what there is of title ${contentId} can't be read: ${reason}`);
    return fail("CONTENT_UNREADABLE", { contentId, reason });
  }
}

const orGone = (error: unknown): null => {
  if (codeOf(error) === "OBJECT_NOT_FOUND") return null;
  throw error;
};

const jsonIn = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
};

/**
 * A request's life for a title: parse the address, look whether its set is another one by now, open the rungs that it
 * needs, answer. Tokens were checked by who passed it on; what is answered is the same for everybody.
 */
import { LRUCache } from "lru-cache";
import { codeOf, type Fault, fail } from "../../../contracts/errors.ts";
import { isRefusal } from "../../../domain/csmil/path.ts";
import { type ContentLeaf, type ContentRequest, parseContentPath } from "../../../domain/vod/content-path.ts";
import { areAligned } from "../../../domain/vod/cut.ts";
import type { Clock } from "../../../lib/clock.ts";
import { answerOptions, OPEN_TO_ALL, refuseMethod } from "../../../lib/http/cors.ts";
import type { PreparedAnswer, RawExchange } from "../../../lib/http/exchange.ts";
import { prepare } from "../../../lib/http/raw-prepared.ts";
import type { Log } from "../../../lib/log/log.ts";
import type { ObjectStore } from "../../../lib/objects/port.ts";
import { etagOf, headerLines, TYPES } from "../caching.ts";
import { refuseMedia } from "../media-fault.ts";
import { RefusalLog } from "../refusals.ts";
import { answerMedia, isMediaLeaf, type SegmentTools } from "../segments.ts";
import { answerObject } from "./content-files.ts";
import { type ContentKeys, KeptKeys, type KnownKeys } from "./content-keys.ts";
import { ContentSets, type KnownSet } from "./content-sets.ts";
import { ContentSubtitles, subtitleIn } from "./content-subtitles.ts";
import { containerOf, iframesText, masterText, mediaText, mpdText, subtitlesText } from "./content-texts.ts";
import { type Edition, editionOf, methodOf, type OpenRung, protectionIn } from "./content-view.ts";
import { playableRungs, Rungs, refuse, withinHeight } from "./rungs.ts";

export interface ContentDeps {
  /** Opened when the first title is asked for. */
  readonly objects: () => Promise<ObjectStore>;
  readonly keys: ContentKeys;
  readonly clock: Clock;
  readonly log: Log;
  readonly workshop: SegmentTools["workshop"];
  readonly segmentCache: SegmentTools["segmentCache"];
  /** Memory for the indexes of rungs. */
  readonly indexBytesMax: number;
}

type Asked = Extract<ContentRequest, { readonly kind: "content" }>;

/** A playlist, and what it was made of: it is answered for as long as that is what there is. */
interface Ready {
  readonly answer: PreparedAnswer;
  readonly contentId: string;
  readonly known: KnownSet;
  readonly keys: KnownKeys | null;
  readonly isPublic: boolean;
}

/** A title at the moment of a request. */
interface Seen {
  readonly exchange: RawExchange;
  readonly asked: Asked;
  readonly known: KnownSet;
  readonly keys: KnownKeys | null;
  readonly edition: Edition;
}

const METHODS = "GET, HEAD, OPTIONS";
const READY_BYTES_MAX = 32 * 2 ** 20;
const READY_BYTES_LEAST = 1024;
const NAME_BYTES_MAX = 1_024; // of a target that is kept: players send no longer ones

export class ContentServer {
  readonly #deps: ContentDeps;
  readonly #sets: ContentSets;
  readonly #keys: KeptKeys;
  readonly #rungs: Rungs;
  readonly #subtitles: ContentSubtitles;
  readonly #refusals: RefusalLog;
  readonly #ready = new LRUCache<string, Ready>({
    maxSize: READY_BYTES_MAX,
    sizeCalculation: ({ answer }) => 2 * answer.body.length + READY_BYTES_LEAST,
  });

  constructor(deps: ContentDeps) {
    this.#deps = deps;
    const { objects, clock, log, keys, indexBytesMax } = deps;
    this.#keys = new KeptKeys(keys, clock);
    const source = async () => (await objects()).source("segments");
    this.#rungs = new Rungs({ source, clock, log, indexBytesMax });
    const onChange: ConstructorParameters<typeof ContentSets>[0]["onChange"] = (contentId, set) =>
      this.#rungs.keepOnly(contentId, set);
    this.#sets = new ContentSets({ objects, clock, log, onChange });
    this.#subtitles = new ContentSubtitles(objects);
    this.#refusals = new RefusalLog({ log, clock, versionOf: () => undefined });
  }

  close(): void {
    this.#rungs.close();
  }

  /** Answers what `isContentPath` says is ours. Bugs are thrown. */
  readonly handle = (exchange: RawExchange): void | Promise<void> => {
    const { method } = exchange;
    if (method === "OPTIONS") return answerOptions(exchange, METHODS);
    if (method !== "GET" && method !== "HEAD") return refuseMethod(exchange, METHODS);
    const ready = this.#ready.get(exchange.target);
    if (ready && this.#holds(ready)) return exchange.sendPrepared(ready.answer);
    return this.#answer(exchange).catch((error: unknown) => this.#refuse(exchange, error));
  };

  #holds({ contentId, known, keys, isPublic }: Ready): boolean {
    if (this.#sets.recent(contentId) !== known) return false;
    if (keys !== null && this.#keys.recent(known.set) !== keys) return false;
    return !isPublic || this.#sets.isPublicNow(contentId);
  }

  async #answer(exchange: RawExchange): Promise<void> {
    const asked = parseContentPath(exchange.path);
    if (isRefusal(asked)) return fail(asked.refusal, { reason: asked.reason });
    if (asked.kind === "object") {
      const { bucket, key, extension, isFinal } = asked;
      const freshness = isFinal ? "versioned" : "unversioned";
      return answerObject(exchange, await this.#deps.objects(), { name: { bucket, key }, extension, freshness });
    }
    if (asked.isPublic) await this.#sets.assertPublic(asked.contentId);
    const known = await this.#sets.get(asked.contentId);
    try {
      await this.#answerOf(exchange, asked, known);
    } catch (error) {
      // Another node may have seen more of it than this one.
      if (!isStale(error) || exchange.status !== 0) throw error;
      const fresh = await this.#sets.fresh(asked.contentId);
      if (fresh === known && codeOf(error) !== "VERSION_GONE") throw error;
      if (fresh.set.encryption !== "none") await this.#keys.anew(fresh.set);
      await this.#answerOf(exchange, asked, fresh);
    }
  }

  async #answerOf(exchange: RawExchange, asked: Asked, known: KnownSet): Promise<void> {
    const { leaf, form } = asked;
    if (leaf.kind === "storyboard" || leaf.kind === "sprite") {
      return this.#answerStoryboard({ exchange, asked, known }, leaf);
    }
    const keys = methodOf(known.set, form) === null ? null : await this.#keys.keysOf(known.set);
    const set = withinHeight(known.set, asked.maxHeight);
    if (set.rungs.length === 0) return fail("CONTENT_NOT_FOUND", { contentId: set.contentId });
    const edition = editionOf(set, form, keys?.keys[0] ?? null);
    const seen: Seen = { exchange, asked, known, keys, edition };
    if (leaf.kind === "part" && isMediaLeaf(leaf.leaf)) return this.#answerMedia(seen, leaf);
    if (leaf.kind === "text" && leaf.leaf.kind !== "subtitles") return this.#answerSubtitle(seen, leaf.leaf);
    return this.#sendText(seen, await this.#textOf(seen, leaf));
  }

  async #textOf({ edition }: Seen, leaf: ContentLeaf): Promise<string> {
    switch (leaf.kind) {
      case "master":
        return this.#withAll(edition, (rungs) => masterText(edition, rungs, leaf.container));
      case "mpd":
        return this.#withAll(edition, (rungs) => mpdText(edition, rungs));
      case "rung":
        return this.#withOne(edition, leaf.rung, (open) => {
          const choice = { container: containerOf(edition, open), tracks: { video: true, audio: 0 } };
          return mediaText(edition, open, { ...choice, isBelow: false });
        });
      case "part":
        return this.#withOne(edition, leaf.rung, (open) => {
          if (leaf.leaf.kind === "media") return mediaText(edition, open, { ...leaf.leaf, isBelow: true });
          if (leaf.leaf.kind === "iframes") return iframesText(edition, open, leaf.leaf.container);
          return fail("NOT_FOUND");
        });
      case "text": {
        const { leaf: subtitles } = leaf;
        if (subtitles.kind !== "subtitles") return fail("NOT_FOUND");
        subtitleIn(edition.set, subtitles);
        return this.#withFirst(edition, (open) => subtitlesText(edition, open, subtitles));
      }
      default:
        return fail("NOT_FOUND");
    }
  }

  #sendText({ exchange, asked, known, keys }: Seen, text: string): void {
    const body = Buffer.from(text);
    const type = asked.leaf.kind === "mpd" ? TYPES.mpd : TYPES.hls;
    const { contentId, isPublic } = asked;
    // What may be taken back is not answered out of caches that have not asked yet.
    const settled = isPublic ? "playlist" : "title";
    const freshness = known.set.state === "growing" ? "growing" : settled;
    const answer = prepare(200, headerLines({ type, freshness, etag: etagOf(body) }), body);
    if (exchange.target.length <= NAME_BYTES_MAX) {
      this.#ready.set(exchange.target, { answer, contentId, known, keys, isPublic });
    }
    exchange.sendPrepared(answer);
  }

  async #answerMedia(seen: Seen, { rung, leaf }: Extract<ContentLeaf, { readonly kind: "part" }>): Promise<void> {
    const { exchange, keys, asked } = seen;
    if (!isMediaLeaf(leaf)) return fail("NOT_FOUND");
    const version = versionIn(exchange.query);
    // What was listed under a former key goes on under it.
    const former = keys?.keys.slice(1).map((key) => editionOf(seen.edition.set, asked.form, key)) ?? [];
    const edition = [seen.edition, ...former].find((one) => one.version === version) ?? seen.edition;
    const { workshop, segmentCache } = this.#deps;
    await this.#withOne(edition, rung, async ({ member, protection }) => {
      const tools = { source: null, workshop, segmentCache };
      const request = { exchange, member, leaf, protection, asked: version, isRevocable: asked.isPublic };
      await answerMedia(request, tools);
    });
  }

  async #answerSubtitle(
    { exchange, asked, edition }: Seen,
    leaf: Exclude<Extract<ContentLeaf, { readonly kind: "text" }>["leaf"], { readonly kind: "subtitles" }>,
  ): Promise<void> {
    const text =
      leaf.kind === "subtitle"
        ? await this.#withFirst(edition, ({ member }) =>
            this.#subtitles.segment(edition.set, leaf, { plan: member.cut.plan, number: leaf.number }),
          )
        : await this.#subtitles.whole(edition.set, leaf);
    const body = Buffer.from(text);
    const isFinal = versionIn(exchange.query) === edition.version && !asked.isPublic;
    const freshness = isFinal ? "versioned" : "unversioned";
    exchange.send(200, headerLines({ type: TYPES.vtt, freshness, etag: etagOf(body) }), body);
  }

  async #answerStoryboard(
    { exchange, asked, known: { set } }: Pick<Seen, "exchange" | "asked" | "known">,
    leaf: Extract<ContentLeaf, { readonly kind: "storyboard" | "sprite" }>,
  ): Promise<void> {
    const path = set.storyboardPath ?? fail("NOT_FOUND");
    const key = leaf.kind === "storyboard" ? path : `${path.slice(0, path.lastIndexOf("/") + 1)}${leaf.name}`;
    const extension = key.slice(key.lastIndexOf(".") + 1);
    const freshness = leaf.kind === "storyboard" || asked.isPublic ? "unversioned" : "versioned";
    const name = { bucket: "thumbnails", key } as const;
    await answerObject(exchange, await this.#deps.objects(), { name, extension, freshness });
  }

  /** Rungs, opened side by side and held for as long as it takes. */
  async #with<T>(
    edition: Edition,
    names: readonly string[],
    run: (opened: readonly OpenRung[]) => T | Promise<T>,
  ): Promise<T> {
    const { set, version } = edition;
    const opening = await Promise.allSettled(names.map((name) => this.#rungs.open(set, name)));
    const opened = opening.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    try {
      const fault = opening.find((one) => one.status === "rejected");
      if (fault?.status === "rejected") throw fault.reason;
      const rungs = opened.map(({ rung, title }): OpenRung => {
        const { cut, rendition } = title;
        return { rung, member: { title, version, cut, rendition }, protection: protectionIn(edition, rung.name) };
      });
      return await run(rungs);
    } catch (error) {
      return refuseMedia(error, `${set.contentId}/${names.join(",")}`);
    } finally {
      for (const { title } of opened) title.letGo();
    }
  }

  #withOne<T>(edition: Edition, name: string, run: (open: OpenRung) => T | Promise<T>): Promise<T> {
    const { contentId } = edition.set;
    return this.#with(edition, [name], ([open]) => (open ? run(open) : fail("CONTENT_NOT_FOUND", { contentId })));
  }

  /** What has no pictures of its own is cut where the lowest rung is. */
  #withFirst<T>(edition: Edition, run: (open: OpenRung) => T | Promise<T>): Promise<T> {
    const [first] = playableRungs(edition.set);
    return this.#withOne(edition, first?.name ?? "", run);
  }

  /** One that is not cut as the lowest one is would not be interchangeable with it. */
  #withAll<T>(edition: Edition, run: (rungs: readonly OpenRung[]) => T): Promise<T> {
    const names = playableRungs(edition.set).map(({ name }) => name);
    return this.#with(edition, names.length > 0 ? names : [""], (opened) => run(this.#aligned(edition, opened)));
  }

  #aligned({ set }: Edition, opened: readonly OpenRung[]): readonly OpenRung[] {
    const [first] = opened;
    const kept = opened.filter((open) => first && areAligned(first.member.cut.plan, open.member.cut.plan));
    if (kept.length < opened.length) {
      const names = opened.filter((open) => !kept.includes(open)).map(({ rung }) => rung.name);
      const { contentId } = set;
      this.#deps.log.error({ contentId, names }, `rungs of title ${contentId} are cut elsewhere: ${names.join(", ")}`);
    }
    return kept;
  }

  /** Refusals have what answers have: see `serve.ts`. */
  #refuse(exchange: RawExchange, thrown: unknown): void {
    const error = faultOf(thrown);
    const code = codeOf(error);
    if (code === undefined || exchange.status !== 0) throw error;
    const refusal = { code, data: (error as Fault).data };
    this.#refusals.note(exchange.path, refusal);
    exchange.problem(refusal, OPEN_TO_ALL);
  }
}

const STALE = ["SEGMENT_NOT_FOUND", "VERSION_GONE", "OBJECT_NOT_FOUND", "OBJECT_STORE_DOWN"];

/** Whether it may come of a set that is another one by now. */
const isStale = (error: unknown): boolean => STALE.includes(codeOf(error) ?? "");

const faultOf = (thrown: unknown): unknown => {
  try {
    return refuse(thrown);
  } catch (error) {
    return error;
  }
};

/** The `v` that something is asked for with; null: none. */
const versionIn = (query: string): string | null => /(?:^|&)v=([^&]*)/.exec(query)?.[1] ?? null;

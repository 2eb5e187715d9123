/**
 * Subtitles of a set (C-68): files beside the media, when the query says how they are named, and text tracks inside of
 * the media. Each is read once, kept as cues, and cut where the media are cut.
 */
import { LRUCache } from "lru-cache";
import { codeOf, fail } from "../../contracts/errors.ts";
import type { Leaf } from "../../domain/csmil/leaf.ts";
import { type MasterQuery, parseQuery } from "../../domain/csmil/query.ts";
import {
  SUBTITLE_LANGUAGES_MAX,
  type SubtitlePlace,
  subtitleLanguage,
  subtitlePaths,
  subtitlePlace,
} from "../../domain/csmil/subtitles.ts";
import type { SubtitleTrack } from "../../domain/hls/vod-groups.ts";
import type { TextTrack } from "../../domain/mp4/movie.ts";
import { segmentInterval, segmentRange, wholeRange } from "../../domain/vod/selection.ts";
import { SUBTITLE_BYTES_MAX, type TimedText } from "../../domain/webvtt/cue.ts";
import { readSubtitle } from "../../domain/webvtt/read.ts";
import { cuesOfSamples, TEXT_FOURCCS } from "../../domain/webvtt/samples.ts";
import { webvttFile, webvttSegment } from "../../domain/webvtt/write.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { etagOf, headerLines, TYPES } from "./caching.ts";
import type { Title } from "./library.ts";
import { Once } from "./once.ts";
import { memberAt, type SetView } from "./set-view.ts";
import { textSamples } from "./text-samples.ts";

type SubtitleLeaf = Extract<Leaf, { readonly kind: "subtitle" | "subtitleFile" }>;
type SubtitleListLeaf = Extract<Leaf, { readonly kind: "subtitles" }>;

/** Whether a viewer may see a file that a query leads to. */
type MayRead = (path: string) => boolean;

interface SubtitleRequest {
  readonly leaf: SubtitleLeaf;
  readonly mayRead: MayRead;
}

interface SubtitleListRequest {
  readonly leaf: SubtitleListLeaf;
  readonly mayRead: MayRead;
}

/** Whether a query says where subtitles are: then files are looked for. */
export const asksForSubtitles = ({ subtitles: { pattern, identifier, location } }: MasterQuery): boolean =>
  pattern !== null || identifier !== null || location !== null;

const filesOf = ({ media }: SetView, { subtitles }: MasterQuery, language: string): readonly string[] =>
  subtitlePaths(subtitlePlace(media, subtitles), language);

/** A subtitle under its name among those that are kept: its file or track, and that one's version. */
interface Named {
  readonly name: string;
  readonly text: TimedText;
}

/** Of subtitles in files; text tracks are counted from 1. */
const FILE_ID = 0;
const KEPT_BYTES_MAX = 32 * 2 ** 20;
const CUE_BYTES = 200; // what a cue costs in memory besides its text
const LISTED_MAX = 10_000; // names that are looked through for languages

const languageName = (language: string): string => {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(language) ?? language;
  } catch {
    return language; // none that is registered
  }
};

const trackOf = (id: number, language: string, name = ""): SubtitleTrack => ({
  id,
  language,
  name: name || languageName(language),
  isDefault: false,
  autoselect: true,
  forced: false,
});

const sizeOf = ({ cues }: TimedText): number =>
  cues.reduce((sum, { text, settings }) => sum + 2 * (text.length + settings.length) + CUE_BYTES, CUE_BYTES);

const isReadable = ({ codec }: TextTrack): boolean => TEXT_FOURCCS.includes(codec.fourcc);

/** The first file of a set that has text tracks: all files of a set have the same. */
const spokenBy = ({ open }: SetView): Title | undefined =>
  open.members.find(({ title }) => title.movie.text.some(isReadable))?.title;

export class Subtitles {
  readonly #source: ContentSource;
  readonly #kept = new LRUCache<string, TimedText>({ maxSize: KEPT_BYTES_MAX, sizeCalculation: sizeOf });
  readonly #once = new Once<Named>();

  constructor({ source }: { readonly source: ContentSource }) {
    this.#source = source;
  }

  /** What a master lists. */
  async listed(view: SetView, query: MasterQuery, mayRead: MayRead): Promise<readonly SubtitleTrack[]> {
    const place = subtitlePlace(view.media, query.subtitles);
    const files = asksForSubtitles(query) ? await this.#languages(place, mayRead) : [];
    const tracks = (spokenBy(view)?.movie.text ?? []).flatMap((track, index) =>
      isReadable(track) ? [trackOf(index + 1, track.language, track.name)] : [],
    );
    return [...files.map((language) => trackOf(FILE_ID, language)), ...tracks];
  }

  /** SOURCE_NOT_FOUND for the playlist of a subtitle that is not there: a file, or a text track of another language. */
  async assertThere(view: SetView, query: MasterQuery, { leaf, mayRead }: SubtitleListRequest): Promise<void> {
    const { id, language } = leaf;
    if (id === FILE_ID) {
      await this.#ofFile(filesOf(view, query, language), mayRead);
      return;
    }
    const track = spokenBy(view)?.movie.text[id - 1];
    if (!track || !isReadable(track) || track.language !== language) {
      fail("SOURCE_NOT_FOUND", { path: `${view.media.path}, text ${id} in ${language}` });
    }
  }

  /** Answers with one segment of a subtitle, or with all of it. */
  async answer(exchange: RawExchange, view: SetView, { leaf, mayRead }: SubtitleRequest): Promise<void> {
    const query = parseQuery(exchange.query);
    if ("refusal" in query) return fail(query.refusal, { reason: query.reason });
    const { cut } = memberAt(view, 0);
    const text =
      leaf.id === FILE_ID
        ? await this.#ofFile(filesOf(view, query, leaf.language), mayRead)
        : await this.#ofTrack(view, leaf);
    let body: string;
    if (leaf.kind === "subtitle") {
      if (leaf.number > cut.plan.count) fail("SEGMENT_NOT_FOUND", { path: view.media.path, segment: leaf.number });
      body = webvttSegment(text, segmentInterval(cut.plan, leaf.number - 1));
    } else {
      const { first, end } = segmentRange(cut.plan, query.span) ?? wholeRange(cut.plan);
      const { startSeconds } = segmentInterval(cut.plan, first);
      body = webvttFile(text, { startSeconds, endSeconds: segmentInterval(cut.plan, end - 1).endSeconds });
    }
    const bytes = Buffer.from(body);
    exchange.send(200, headerLines({ type: TYPES.vtt, freshness: "unversioned", etag: etagOf(bytes) }), bytes);
  }

  forget(): void {
    this.#once.forget();
    this.#kept.clear();
  }

  /** Languages that there are files for, in the order of their names. */
  async #languages(place: SubtitlePlace, mayRead: MayRead): Promise<readonly string[]> {
    if (!this.#source.capabilities.list) return [];
    const found = new Set<string>();
    let seen = 0;
    try {
      for await (const { path, kind } of this.#source.list(place.folder)) {
        seen += 1;
        const language =
          kind === "file" && mayRead(path) ? subtitleLanguage(place, path.slice(path.lastIndexOf("/") + 1)) : null;
        if (language !== null) found.add(language);
        if (found.size >= SUBTITLE_LANGUAGES_MAX || seen >= LISTED_MAX) break;
      }
    } catch (error) {
      if (codeOf(error) !== "SOURCE_NOT_FOUND") throw error;
    }
    return [...found];
  }

  async #ofFile(paths: readonly string[], mayRead: MayRead): Promise<TimedText> {
    for (const path of paths) {
      if (!mayRead(path)) fail("TOKEN_REFUSED", { reason: "it does not cover these subtitles" });
      const text = await this.#read(path).catch((error: unknown) => {
        if (codeOf(error) !== "SOURCE_NOT_FOUND") throw error;
        return null;
      });
      if (text) return text;
    }
    return fail("SOURCE_NOT_FOUND", { path: paths[0] ?? "subtitles" });
  }

  /** Opened once however many ask at a time, for its version tells whether it is the one that is kept. */
  #read(path: string): Promise<TimedText> {
    return this.#taken(path, async () => {
      const object = await this.#source.open(path);
      try {
        const { sizeBytes, version } = object.stat;
        const name = `${path}\0${version}`;
        const kept = this.#kept.get(name);
        if (kept) return { name, text: kept };
        if (sizeBytes > SUBTITLE_BYTES_MAX) fail("MEDIA_UNSUPPORTED", { path, reason: "a subtitle of that size" });
        const bytes = Buffer.alloc(sizeBytes);
        await object.readRange(0, bytes);
        const text = readSubtitle(bytes);
        return { name, text: text ?? fail("MEDIA_UNSUPPORTED", { path, reason: "no subtitle format that is known" }) };
      } finally {
        await object.close();
      }
    });
  }

  async #ofTrack(view: SetView, { id }: SubtitleLeaf): Promise<TimedText> {
    const title = spokenBy(view);
    const track = title?.movie.text[id - 1];
    if (!title || !track || !isReadable(track))
      return fail("SOURCE_NOT_FOUND", { path: `${view.media.path}, text ${id}` });
    const { fourcc } = track.codec;
    const name = `${title.path}\0${title.version}\0${id}`;
    const kept = this.#kept.get(name);
    if (kept) return kept;
    return this.#taken(name, async () => {
      const text = cuesOfSamples(fourcc, await textSamples(title, track));
      return {
        name,
        text: text ?? fail("MEDIA_UNSUPPORTED", { path: title.path, reason: `text of the kind ${fourcc}` }),
      };
    });
  }

  async #taken(name: string, read: () => Promise<Named>): Promise<TimedText> {
    const { text } = await this.#once.take(name, { read, keep: (made) => this.#kept.set(made.name, made.text) });
    return text;
  }
}

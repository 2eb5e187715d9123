/**
 * Serves live streams: `/live/{tenant}/{streamId}/…` (design §9): `master.m3u8`, `manifest.mpd`, `time`, and per
 * rendition `media.m3u8`, `init.mp4`, `{number}.m4s`.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { clockMs, isDeepEnough, mpdOf } from "../../domain/dash/mpd.ts";
import { mediaPlaylist, multivariantPlaylist } from "../../domain/hls/playlist.ts";
import type { Presentation } from "../../domain/live/presentation.ts";
import type { Rendition } from "../../domain/live/rendition.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { answerContent, answerPreflight, answerText, type Content, contentOf, refuse } from "./live-answer.ts";

/** One stream as its viewers see it. */
export interface LiveView {
  readonly presentation: Presentation;
  /** First number of the stream's time line: where a DASH period begins. */
  readonly firstSegmentNumber: number;
  /** Date of stream time 0 in its MPD, ms since 1970. */
  readonly zeroMs: number;
  /** What the encoder may use, bit/s by rendition. */
  readonly declaredBps: Readonly<Record<string, number>>;
}
/** `starting`: known, nothing to show yet; undefined: no such stream. */
export type FindLive = (tenant: string, streamId: string) => LiveView | "starting" | undefined;

const PLAYLIST_TYPE = "application/vnd.apple.mpegurl";
const MPD_TYPE = "application/dash+xml";
/** Playlists: everybody who asks within a second gets the same one. */
const SHORT = "public, max-age=1";
/** A segment's bytes never change on one origin, nor those of an init segment that is asked for by its hash. */
const LONG = "public, max-age=86400, immutable";
/** An init segment without it: its name stays when the channel gets another ladder. */
const BRIEF = "public, max-age=10";
const INIT_HASH_LENGTH = 8;

/** Texts are made once per change and segments hashed once, however many viewers ask. */
class Rendered {
  readonly #texts = new Map<string, { readonly version: number; readonly content: Content }>();
  readonly #media = new WeakMap<object, Content>();
  readonly #hashes = new WeakMap<Buffer, string>();

  text(key: string, version: number, make: () => Content): Content {
    const kept = this.#texts.get(key);
    if (kept?.version === version) return kept.content;
    const content = make();
    this.#texts.set(key, { version, content });
    return content;
  }
  media(of: object, make: () => Content): Content {
    const content = this.#media.get(of) ?? make();
    this.#media.set(of, content);
    return content;
  }
  /** Start of the init segment's sha-256: a new ladder has new URIs, in every cache. */
  readonly initHash = (init: Buffer): string => {
    const kept = this.#hashes.get(init);
    const hash = kept ?? createHash("sha256").update(init).digest("hex").slice(0, INIT_HASH_LENGTH);
    this.#hashes.set(init, hash);
    return hash;
  };
  readonly initUri = ({ init }: Rendition): string => (init ? `init.mp4?v=${this.initHash(init)}` : "init.mp4");
}

const PATH = /^\/live\/([a-z0-9-]{1,63})\/([a-z0-9_]{1,130}\.stream)\/(.+)$/;
const MEDIA = /^([a-z0-9-]{1,20})\/(?:(media\.m3u8)|(init\.mp4)|(\d{1,15})\.m4s)$/;
const INIT_HASH = /(?:^|&)v=([0-9a-f]{1,64})(?:&|$)/;

export class LiveHttp {
  readonly #find: FindLive;
  readonly #clock: Clock;
  readonly #rendered = new WeakMap<Presentation, Rendered>();

  constructor(find: FindLive, clock: Clock = systemClock) {
    this.#find = find;
    this.#clock = clock;
  }

  /** True when the path is one of ours: it is answered then. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const [path = "", query = ""] = (request.url ?? "").split("?", 2);
    if (!path.startsWith("/live/")) return false;
    const { method } = request;
    if (method === "OPTIONS") answerPreflight(response);
    else if (method !== "GET" && method !== "HEAD") refuse({ request, response }, "METHOD_NOT_ALLOWED");
    else this.#answer({ path, query }, request, response);
    return true;
  }

  #answer(at: { path: string; query: string }, request: IncomingMessage, response: ServerResponse): undefined {
    const exchange = { request, response };
    const [, tenant, streamId, rest] = PATH.exec(at.path) ?? [];
    const view = tenant && streamId ? this.#find(tenant, streamId) : undefined;
    if (view === undefined || rest === undefined) return refuse(exchange, "NOT_FOUND");
    if (view === "starting" || !isReady(view.presentation, rest)) return refuse(exchange, "STARTING");
    // The clock of a manifest's UTCTiming: below the stream's folder, so that it takes the manifest's way.
    if (rest === "time") {
      const timeMs = clockMs(view.presentation, view.zeroMs, this.#clock.nowMs());
      return answerText(request, response, new Date(timeMs).toISOString());
    }
    const content = this.#content(view, rest, at.query);
    if (!content) return refuse(exchange, "NOT_FOUND");
    answerContent(request, response, content);
  }

  #content(view: LiveView, rest: string, query: string): Content | undefined {
    const { presentation, declaredBps, firstSegmentNumber: firstNumber, zeroMs } = view;
    const rendered = this.#rendered.get(presentation) ?? new Rendered();
    this.#rendered.set(presentation, rendered);
    const { initUri } = rendered;
    const text = (type: string, make: () => string): Content =>
      rendered.text(rest, presentation.version, () => contentOf(type, [Buffer.from(make())], SHORT));
    if (rest === "master.m3u8") return text(PLAYLIST_TYPE, () => multivariantPlaylist(presentation, { declaredBps }));
    if (rest === "manifest.mpd") {
      return text(MPD_TYPE, () => mpdOf(presentation, { firstNumber, declaredBps, initUri, zeroMs }));
    }
    const [, name = "", list, init, number] = MEDIA.exec(rest) ?? [];
    const rendition = presentation.rendition(name);
    if (!rendition) return undefined;
    if (list) return text(PLAYLIST_TYPE, () => mediaPlaylist(presentation, rendition, { initUri }));
    return init ? initOf(rendered, rendition, query) : segmentOf(rendered, rendition, Number(number));
  }
}

const isReady = (presentation: Presentation, path: string): boolean =>
  presentation.ready && (path !== "manifest.mpd" || isDeepEnough(presentation));

/** Undefined for another hash than ours: the edge then asks another origin. */
const initOf = (rendered: Rendered, { init, kind }: Rendition, query: string): Content | undefined => {
  if (!init) return undefined;
  const content = rendered.media(init, () => contentOf(`${kind}/mp4`, [init], LONG));
  const wanted = INIT_HASH.exec(query)?.[1];
  if (wanted === undefined) return { ...content, cacheControl: BRIEF };
  return wanted === rendered.initHash(init) ? content : undefined;
};

const segmentOf = (rendered: Rendered, rendition: Rendition, number: number): Content | undefined => {
  const segment = rendition.segment(number);
  return segment && rendered.media(segment, () => contentOf(`${rendition.kind}/mp4`, segment.chunks, LONG));
};

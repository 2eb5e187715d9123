/**
 * A request's life at the packager: parse the address, check its token, open its set, answer by what is asked for.
 *
 * Playlists are kept ready under their whole address for as long as the files that they are of are known to be
 * unchanged.
 */
import { LRUCache } from "lru-cache";
import { codeOf, type Fault, fail } from "../../contracts/errors.ts";
import type { Leaf } from "../../domain/csmil/leaf.ts";
import { isRefusal } from "../../domain/csmil/path.ts";
import { type MasterQuery, parseQuery } from "../../domain/csmil/query.ts";
import { type MediaSet, parsePackagerPath } from "../../domain/csmil/request.ts";
import { isOwnSubtitle } from "../../domain/csmil/subtitles.ts";
import type { Clock } from "../../lib/clock.ts";
import type { PackagerConfig } from "../../lib/config/packager-config.ts";
import { answerOptions, OPEN_TO_ALL, refuseMethod } from "../../lib/http/cors.ts";
import type { PreparedAnswer, RawExchange } from "../../lib/http/exchange.ts";
import { prepare } from "../../lib/http/raw-prepared.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { baseOf, hostedBaseOf } from "./addresses.ts";
import { artworkIn } from "./artwork.ts";
import { etagOf, type Freshness, headerLines, TYPES } from "./caching.ts";
import { lookForCaptions } from "./captions.ts";
import { answerKey, answerLicence } from "./keys.ts";
import type { Library, Title } from "./library.ts";
import { refuseMedia } from "./media-fault.ts";
import { isTextLeaf, type TextLeaf, textOf } from "./playlists.ts";
import { protectionOf } from "./protection.ts";
import { RefusalLog } from "./refusals.ts";
import { answerMedia, isMediaLeaf, isReplaced, type MediaLeaf, type SegmentTools } from "./segments.ts";
import { memberAt, type SetView, setView } from "./set-view.ts";
import type { Member, OpenSet, Sets } from "./sets.ts";
import type { SmilFiles } from "./smil-files.ts";
import { asksForSubtitles, type Subtitles } from "./subtitles.ts";
import { stripTokens, type TokenGate, type TokenGrant } from "./tokens.ts";

export interface ServerDeps extends SegmentTools {
  readonly source: ContentSource;
  readonly config: PackagerConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly library: Library;
  readonly sets: Sets;
  readonly gate: TokenGate;
  readonly smil: SmilFiles;
  readonly subtitles: Subtitles;
}

/** A playlist with the versions of files that it is of: the files themselves may leave memory before it does. */
interface Ready {
  readonly answer: PreparedAnswer;
  readonly files: readonly Pick<Title, "path" | "version">[];
  /** It has more in it than these files tell (a SMIL file, a picture, subtitles): then that is looked at again. */
  readonly untilMs: number;
}

/** What is known of a request once its address is read. */
interface Asked {
  readonly exchange: RawExchange;
  readonly media: MediaSet;
  readonly leaf: Leaf;
  readonly grant: TokenGrant;
  /** Without tokens. */
  readonly query: string;
  /** Purges that there had been when it came. */
  readonly purgeCount: number;
}

interface Admitted {
  readonly files: readonly string[];
  readonly bitratesBps: SetView["bitratesBps"];
  readonly grant: TokenGrant;
}

const READY_BYTES_MAX = 32 * 2 ** 20;
const READY_BYTES_LEAST = 1024; // what an answer costs besides its body
const METHODS = "GET, HEAD, OPTIONS"; // and POST for licences, whose address nobody guesses
const SET_FILES_MAX = 100;
const NOT_TOLD: SetView["bitratesBps"] = new Map();

export class PackagerServer {
  readonly #deps: ServerDeps;
  readonly #refusals: RefusalLog;
  readonly #ready = new LRUCache<string, Ready>({
    maxSize: READY_BYTES_MAX,
    // The body, and the same again behind its head.
    sizeCalculation: ({ answer }) => 2 * answer.body.length + READY_BYTES_LEAST,
  });
  #purgeCount = 0;

  constructor(deps: ServerDeps) {
    this.#deps = deps;
    const { log, clock, library } = deps;
    this.#refusals = new RefusalLog({ log, clock, versionOf: (path) => library.recent(path)?.version });
  }

  /** Answers below the prefix. Faults are thrown. */
  readonly handle = (exchange: RawExchange): void | Promise<void> => {
    const base = baseOf(exchange, this.#deps.config);
    const ready = this.#ready.get(base + exchange.target);
    const { method } = exchange;
    if (method === "OPTIONS") return answerOptions(exchange, METHODS);
    if (method !== "GET" && method !== "HEAD" && method !== "POST") return refuseMethod(exchange, METHODS);
    if (ready && method !== "POST" && this.#holds(ready)) return exchange.sendPrepared(ready.answer);
    return this.#answer(exchange, base).catch((error: unknown) => this.#refuse(exchange, error));
  };

  /** Playlists of files that were purged are made anew. */
  forget(): void {
    this.#purgeCount += 1; // what is being made of files as they were is not kept
    this.#ready.clear();
  }

  #holds({ files, untilMs }: Ready): boolean {
    const { clock, library } = this.#deps;
    if (untilMs !== Number.POSITIVE_INFINITY && clock.nowMs() > untilMs) return false;
    return files.every(({ path, version }) => library.recent(path)?.version === version);
  }

  async #answer(exchange: RawExchange, base: string): Promise<void> {
    const { config } = this.#deps;
    const purgeCount = this.#purgeCount;
    const parsed = parsePackagerPath(exchange.path, { ...config, prefix: config.urlPrefix });
    if (isRefusal(parsed)) return fail(parsed.refusal, { reason: parsed.reason });
    const { set: media, leaf } = parsed;
    const { files, bitratesBps, grant } = await this.#admit(exchange, media);
    const asked = { exchange, media, leaf, grant, query: stripTokens(exchange.query), purgeCount };
    if (exchange.method === "POST" && leaf.kind !== "clearkey") return refuseMethod(exchange, METHODS);
    try {
      await this.#inSet(exchange, files, async (open) =>
        this.#dispatch(asked, setView(media, open, { base, bitratesBps })),
      );
    } catch (error) {
      refuseMedia(error, media.path); // tables are read where they are needed
    }
  }

  /** The files of a set, for who may see them. */
  async #admit(exchange: RawExchange, media: MediaSet): Promise<Admitted> {
    const { gate, smil } = this.#deps;
    const { path, query, remoteAddress } = exchange;
    const isSmil = media.kind === "smil";
    // A SMIL file counts as well, whatever was stripped from the address; and it is not read before it may be.
    const known = isSmil ? [media.path] : media.files;
    let { files, bitratesBps } = { ...media, bitratesBps: NOT_TOLD };
    let verdict = gate.check({ path, query, remoteAddress, files: known });
    if (verdict.allowed && isSmil) {
      ({ files, bitratesBps } = await smil.read(media.path));
      verdict = gate.check({ path, query, remoteAddress, files: [...known, ...files] });
    }
    if (files.length > SET_FILES_MAX) fail("PATH_REFUSED", { reason: `more than ${SET_FILES_MAX} files` });
    if (verdict.allowed) return { files, bitratesBps, grant: verdict.grant };
    return fail(verdict.refusal.code, verdict.refusal.data);
  }

  /**
   * Opens the set for as long as the answer takes; a file that is replaced meanwhile is opened anew, once, unless the
   * answer has begun: nobody may get the end of another file.
   */
  async #inSet(
    exchange: RawExchange,
    files: readonly string[],
    answer: (open: OpenSet) => Promise<void>,
  ): Promise<void> {
    const { sets, library } = this.#deps;
    for (let attempt = 1; ; attempt += 1) {
      let open: OpenSet | undefined;
      try {
        open = await sets.open(files);
        return await answer(open);
      } catch (error) {
        if (!isReplaced(error) || attempt > 1 || exchange.status !== 0) throw error;
        library.forgetReplaced(open?.members.map(({ title }) => title) ?? []);
      } finally {
        open?.letGo();
      }
    }
  }

  async #dispatch(asked: Asked, view: SetView): Promise<void> {
    const { exchange, leaf } = asked;
    if (isTextLeaf(leaf)) return this.#answerText(asked, leaf, view);
    if (isMediaLeaf(leaf)) return this.#answerMedia(asked, leaf, view);
    if (leaf.kind === "key") return answerKey(exchange, this.#protectionOf(memberAt(view, leaf.rendition)));
    if (leaf.kind === "clearkey") {
      const protections = view.open.members.map((member) => this.#protectionOf(member));
      return answerLicence(exchange, protections);
    }
    return this.#deps.subtitles.answer(exchange, view, { leaf, mayRead: this.#mayRead(asked) });
  }

  /** Which files a query may lead to besides the set's own: a token for one film is none for subtitles of others. */
  #mayRead({ grant, media }: Asked): (path: string) => boolean {
    return (path) => this.#deps.gate.covers(grant, { path, isOwn: isOwnSubtitle(media, path) });
  }

  readonly #protectionOf = ({ title, version }: Member) =>
    protectionOf(this.#deps.config.encryption, { path: title.path, version });

  async #answerText(asked: Asked, leaf: TextLeaf, view: SetView): Promise<void> {
    const { config, clock, gate, source, subtitles } = this.#deps;
    const { exchange, grant } = asked;
    const query = parseQuery(asked.query);
    if ("refusal" in query) return fail(query.refusal, { reason: query.reason });
    if (leaf.kind === "master" && (leaf.container === "fmp4" || query.revision > 0)) {
      await Promise.all(view.open.members.map(({ title }) => lookForCaptions(title)));
    }
    const mayRead = this.#mayRead(asked);
    if (leaf.kind === "subtitles") await subtitles.assertThere(view, query, { leaf, mayRead });
    const artwork = await artworkIn(source, view, { leaf, query });
    const madeMs = clock.nowMs();
    const token = gate.sessionTokenFor(grant, coveredBy(view, config.urlPrefix));
    const text = textOf(leaf, {
      view,
      query,
      token,
      versioned: config.segmentVersion,
      childManifestFilename: config.childManifestFilename,
      protectionOf: this.#protectionOf,
      licenceBase: hostedBaseOf(exchange, config),
      subtitles: await subtitles.listed(view, query, mayRead),
      artwork,
    });
    const body = bytesOf(text);
    const freshness = freshnessOf(token, view.open);
    const type = leaf.kind === "mpd" ? TYPES.mpd : TYPES.hls;
    const answer = prepare(200, headerLines({ type, freshness, etag: etagOf(body) }), body);
    const files = view.open.members.map(({ title: { path, version } }) => ({ path, version }));
    // Complete ones only: a file that comes later must not wait for the others to change.
    if (freshness === "playlist" && asked.purgeCount === this.#purgeCount && !this.#namesHost(leaf, view)) {
      const isOfMore = artwork.size > 0 || dependsOnMore(view, query);
      const untilMs = isOfMore ? madeMs + config.sourceRecheckMs : Number.POSITIVE_INFINITY;
      this.#ready.set(view.base + exchange.target, { answer, files, untilMs });
    }
    exchange.sendPrepared(answer);
  }

  /** Whether a text has the request's host in it (`hostedBaseOf`), whose name is not in the key of what is kept. */
  #namesHost(leaf: TextLeaf, view: SetView): boolean {
    return leaf.kind === "mpd" && view.base === "" && this.#protectionOf(memberAt(view, 0)) !== null;
  }

  async #answerMedia({ exchange, query }: Asked, leaf: MediaLeaf, view: SetView): Promise<void> {
    const member = memberAt(view, leaf.rendition);
    const protection = this.#protectionOf(member);
    await answerMedia({ exchange, member, leaf, protection, asked: versionIn(query) }, this.#deps);
  }

  /**
   * Refusals have what answers have: a player of another origin that can't read a 404 can't tell it from a dead
   * network.
   */
  #refuse(exchange: RawExchange, error: unknown): void {
    const code = codeOf(error);
    if (code === undefined || exchange.status !== 0) throw error;
    const refusal = { code, data: (error as Fault).data };
    this.#refusals.note(exchange.path, refusal);
    exchange.problem(refusal, OPEN_TO_ALL);
  }
}

/** In memory of its own: a small one of Buffer's pool would keep 64 KiB of it. */
const bytesOf = (text: string): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
};

const freshnessOf = (token: string, { missing }: OpenSet): Freshness => {
  if (token !== "") return "personal";
  return missing.length > 0 ? "incomplete" : "playlist";
};

/** Whether a playlist can change while no file of its set does. */
const dependsOnMore = ({ media }: SetView, query: MasterQuery): boolean =>
  media.kind === "smil" || asksForSubtitles(query);

/** Where the addresses in a set's playlists lead, for a session token. */
const coveredBy = ({ media, open, children }: SetView, prefix: string): readonly string[] => {
  const files = children === "file" ? open.members.map(({ title }) => title.path) : [];
  return [media.path, ...files].map((path) => prefix + path);
};

/** The `v` that a segment is asked for with; null: none. */
const versionIn = (query: string): string | null => /(?:^|&)v=([^&]*)/.exec(query)?.[1] ?? null;

/**
 * Phase "fill": one object is fetched once, however many wait for it.
 *
 *   asking ── an origin's head is in ──► streaming ── last byte ──► ended
 *      │                                    └────── it breaks off ──► ended (body broken, nothing stored)
 *      ├── whole and new enough (playlists: nobody sees a byte before that) ──► ended
 *      └── no origin can or will ──► ended
 *
 * A fill belongs to nobody: it goes on when all its readers have left.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { OPEN_TO_ALL } from "../../lib/http/cors.ts";
import { FillingBody } from "../cache/body.ts";
import { ageMsOf, type CacheHeaders, type Lifetime, lifetimeOf } from "../cache/freshness.ts";
import { bytesMaxOf } from "../cache/object-kind.ts";
import { looksLikePlaylist, type Position, positionOf } from "../cache/position.ts";
import { type Described, type Stored, storedOf } from "../cache/stored.ts";
import { type Origin, orderOf } from "./choice.ts";
import type { FillDeps, FillTask } from "./fills.ts";
import { type UpstreamAnswer, UpstreamError, type UpstreamReason } from "./upstream.ts";

/** `body`: its head is in, its bytes may still come. `held`: all that could be had is older than what was shown. */
export type Outcome =
  | { readonly kind: "body"; readonly described: Described; readonly body: FillingBody; readonly bornAtMs: number }
  | { readonly kind: "stored"; readonly stored: Stored }
  | { readonly kind: "missing" }
  | { readonly kind: "held" }
  | { readonly kind: "failed"; readonly busy: boolean; readonly why: string };

/** A viewer gives up at about 10 s; what comes later helps nobody. */
const ASKING_MS_MAX = 8_000;
/** A live segment that nobody has yet is asked for again this often … */
const HOLD_STEP_MS = 200;
/** … for one segment duration, and never longer than this. */
const HOLD_MS_MAX = 4_000;

/** What one origin said; `next` means that another is asked. */
type Attempt = { readonly done: Outcome } | { readonly next: "missing" | "older" | "failed" | "busy"; why: string };

export class Fill {
  readonly task: FillTask;
  /** How it came out, for all who wait; never rejects. */
  readonly settled: Promise<Outcome>;
  readonly #deps: FillDeps;
  #settle: (outcome: Outcome) => void = () => {};
  #reading: Promise<void> = Promise.resolve();
  /** Its body broke off: whoever comes now needs another fill. */
  broken = false;

  constructor(task: FillTask, deps: FillDeps) {
    this.task = task;
    this.#deps = deps;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Resolves when the last byte is in or nothing more will come. */
  async run(): Promise<void> {
    try {
      this.#settle(await this.#ask());
    } catch (error) {
      this.#deps.log.error({ err: error, key: this.task.key }, "bug: a fill failed unexpectedly");
      this.#settle({ kind: "failed", busy: false, why: "internal" });
    }
    await this.#reading;
  }

  async #ask(): Promise<Outcome> {
    const startedAtMs = this.#deps.nowMs();
    const holdUntilMs = startedAtMs + (this.task.live ? Math.min(this.task.segmentMs, HOLD_MS_MAX) : 0);
    for (;;) {
      const outcome = await this.#round(startedAtMs + ASKING_MS_MAX);
      if (!this.task.live || (outcome.kind !== "missing" && outcome.kind !== "failed")) return outcome;
      if (this.#deps.nowMs() >= holdUntilMs) {
        // A 404 is final for players; a 503 is not.
        return outcome.kind === "failed" ? outcome : { kind: "failed", busy: true, why: "no origin has it yet" };
      }
      await this.#deps.pause(HOLD_STEP_MS);
    }
  }

  /** Asks the origins that are up one after the other, and those that are down when no other has answered at all. */
  async #round(deadlineMs: number): Promise<Outcome> {
    const { up, down } = orderOf(this.task.family, this.#deps.health);
    const said: Exclude<Attempt, { done: Outcome }>[] = [];
    const askAll = async (origins: readonly Origin[]): Promise<Outcome | undefined> => {
      for (const [index, origin] of origins.entries()) {
        if (this.#deps.nowMs() >= deadlineMs) return undefined;
        const attempt = await this.#attempt(origin, { hasty: index < origins.length - 1 });
        if ("done" in attempt) return attempt.done;
        said.push(attempt);
      }
      return undefined;
    };
    const found = await askAll(up);
    if (found) return found;
    const unanswered = said.every(({ next }) => next === "failed" || next === "busy");
    const late = unanswered ? await askAll(down) : undefined;
    if (late) return late;
    if (said.some(({ next }) => next === "older")) return { kind: "held" };
    // What one does not have, another that failed may well have.
    if (said.length > 0 && said.every(({ next }) => next === "missing")) return { kind: "missing" };
    // One that says "later" (a stream that is starting) may well have it then: as much is said to the viewer.
    const busy = said.some(({ next }) => next === "busy");
    return { kind: "failed", busy, why: said.map(({ why }) => why).join(", ") || "no origin" };
  }

  async #attempt(origin: Origin, { hasty }: { hasty: boolean }): Promise<Attempt> {
    const { health, metrics, upstream } = this.#deps;
    let answer: UpstreamAnswer;
    try {
      metrics.asked();
      answer = await upstream.get(this.#urlAt(origin), {
        headers: this.#headersFor(origin),
        firstByteMs: this.#firstByteMs({ hasty }),
        trusted: origin.trusted,
      });
    } catch (error) {
      return this.#failed(origin, error);
    }
    health.succeeded(origin.authority);
    switch (answer.status) {
      case 200:
        health.succeeded(origin.base);
        return this.#take(origin, answer);
      case 304:
        answer.drop();
        return this.#unchanged(origin, answer);
      case 404:
      case 410:
        answer.drop();
        // Without its entry the whole stream is not there. Other names don't count: anybody can ask for those.
        if (this.task.path === "master.m3u8") health.failed(origin.base, this.#deps.nowMs());
        return { next: "missing", why: "404" };
      default:
        answer.drop();
        if (answer.status >= 500 && !this.#isYoung(answer)) this.#countFailure(origin.base, `status-${answer.status}`);
        return { next: answer.status === 503 ? "busy" : "failed", why: `status ${answer.status}` };
    }
  }

  /** A stream that has just begun has HLS a few segments before it has DASH. */
  #isYoung({ status }: UpstreamAnswer): boolean {
    return status === 503 && this.task.path === "manifest.mpd";
  }

  #urlAt({ base, master }: Origin): URL {
    const { path, query } = this.task;
    const name = path === "master.m3u8" ? master : path;
    const suffix = query !== undefined && !name.includes("?") ? `?${query}` : "";
    return new URL(`${base}/${name}${suffix}`);
  }

  #firstByteMs({ hasty }: { hasty: boolean }): number {
    const { firstByteMs, hastyFirstByteMs, hastyPlaylistFirstByteMs } = this.#deps.upstream.timeouts;
    if (!hasty) return firstByteMs;
    return this.task.kind === "playlist" ? hastyPlaylistFirstByteMs : hastyFirstByteMs;
  }

  #headersFor(origin: Origin): OutgoingHttpHeaders {
    const { stored } = this.task;
    // An ETag means something at the origin that gave it only.
    const etag = stored?.base === origin.base ? stored.described.etag : undefined;
    const ours = { "accept-encoding": "identity", via: this.#deps.via };
    return etag === undefined ? ours : { ...ours, "if-none-match": etag };
  }

  #failed(origin: Origin, error: unknown): Attempt {
    const reason: UpstreamReason = error instanceof UpstreamError ? error.reason : "protocol";
    if (reason === "busy") return { next: "busy", why: "all connections are busy" };
    const isWhole = reason === "connect" || reason === "address";
    this.#countFailure(isWhole ? origin.authority : origin.base, reason);
    return { next: "failed", why: reason };
  }

  #countFailure(key: string, reason: string): void {
    const { health, log, metrics, nowMs } = this.#deps;
    metrics.originFailed(reason.startsWith("status") ? "status" : reason);
    if (health.isUp(key)) log.info({ origin: key, reason }, "an origin is left out for a while");
    health.failed(key, nowMs());
  }

  #lifetimeOf(headers: IncomingHttpHeaders): { lifetime: Lifetime; ageMs: number } {
    const words: CacheHeaders = {
      cacheControl: headers["cache-control"],
      expires: headers.expires,
      date: headers.date,
      age: headers.age,
    };
    return { lifetime: lifetimeOf(this.task.kind, words, this.task.segmentMs), ageMs: ageMsOf(words) };
  }

  #unchanged(origin: Origin, answer: UpstreamAnswer): Attempt {
    const { stored, path } = this.task;
    // A 304 for another tag than ours, or for a question that was not asked, says nothing (RFC 9111 §4.3.4).
    const { etag } = answer.headers;
    if (stored?.base !== origin.base || (etag !== undefined && etag !== stored.described.etag)) {
      return { next: "failed", why: "an unexpected 304" };
    }
    this.#deps.health.succeeded(origin.base);
    const { lifetime, ageMs } = this.#lifetimeOf(answer.headers);
    const nowMs = this.#deps.nowMs();
    stored.bornAtMs = nowMs - ageMs;
    stored.freshUntilMs = nowMs + lifetime.freshMs;
    stored.staleUntilMs = stored.freshUntilMs + lifetime.staleMs;
    if (this.task.kind === "playlist") this.#shown(positionOf(path, stored.body.toString("latin1")));
    return { done: { kind: "stored", stored } };
  }

  async #take(origin: Origin, answer: UpstreamAnswer): Promise<Attempt> {
    const body = new FillingBody({
      sizeBytes: answer.sizeBytes,
      maxBytes: bytesMaxOf(this.task.kind),
      budget: this.#deps.budget,
      allocate: this.#deps.allocate,
    });
    const refusal = body.open();
    if (refusal) {
      answer.drop();
      return { next: refusal === "busy" ? "busy" : "failed", why: refusal };
    }
    const bornAtMs = this.#deps.nowMs();
    const described = describe(answer.headers, this.#deps.via);
    const reading = this.#read({ origin, answer, body });
    if (this.task.kind !== "playlist") {
      this.#reading = reading.then((error) => {
        this.broken = error !== undefined;
        if (!error) this.#keep({ origin, answer, body, described });
      });
      return { done: { kind: "body", described, body, bornAtMs } };
    }
    const error = await reading;
    return error ?? this.#takePlaylist({ origin, answer, body, described }, bornAtMs);
  }

  /** Undefined when the body is whole. */
  async #read({ origin, answer, body }: Omit<Taken, "described">): Promise<Attempt | undefined> {
    try {
      await answer.read((chunk) => {
        const refusal = body.append(chunk);
        if (refusal) throw new UpstreamError(refusal);
      });
    } catch (error) {
      body.broken();
      this.#deps.metrics.filled("broken", body.filledBytes);
      return this.#failed(origin, error);
    }
    body.whole();
    this.#deps.metrics.filled("whole", body.filledBytes);
    return undefined;
  }

  #takePlaylist(taken: Taken, bornAtMs: number): Attempt {
    const { key, path } = this.task;
    const { floors, log, metrics, nowMs } = this.#deps;
    const text = taken.body.view().toString("latin1");
    if (!looksLikePlaylist(path, text)) return { next: "failed", why: "not a playlist" };
    const position = positionOf(path, text);
    if (floors.isTooOld(key, position, nowMs())) {
      metrics.olderRefused();
      log.debug({ origin: taken.origin.base, path }, "a playlist is older than one that was shown");
      return { next: "older", why: "older than what was shown" };
    }
    this.#shown(position);
    this.#keep(taken);
    return { done: { kind: "body", described: taken.described, body: taken.body, bornAtMs } };
  }

  #shown(position: Position | undefined): void {
    const { key, rendition, segmentMs, family } = this.task;
    this.#deps.floors.shown(key, position, { nowMs: this.#deps.nowMs(), segmentMs });
    if (family.kind === "castellan") this.#deps.windows.listed(rendition, position);
  }

  #keep({ origin, answer, body, described }: Taken): void {
    const { cache, nowMs, windows } = this.#deps;
    const { key, segmentNumber, rendition } = this.task;
    if (segmentNumber !== undefined) windows.delivered(rendition, segmentNumber);
    const { lifetime, ageMs } = this.#lifetimeOf(answer.headers);
    // RFC 9112 §8: a body that ended with its connection may have been cut.
    if (!lifetime.storable || !answer.framed) return;
    const parts = { key, described, body: body.view(), base: origin.base };
    const stored = storedOf(parts, { lifetime, ageMs, nowMs: nowMs() });
    cache.put(key, stored, { kind: "live", expiresAtMs: stored.staleUntilMs }, nowMs());
  }
}

interface Taken {
  readonly origin: Origin;
  readonly answer: UpstreamAnswer;
  readonly body: FillingBody;
  readonly described: Described;
}

/** Passed on of what an origin of live media says. */
const PASSED: readonly (readonly [name: keyof IncomingHttpHeaders, shown: string])[] = [
  ["content-type", "Content-Type"],
  ["content-encoding", "Content-Encoding"],
  ["content-language", "Content-Language"],
  ["etag", "ETag"],
  ["last-modified", "Last-Modified"],
  ["cache-control", "Cache-Control"],
];

const describe = (headers: IncomingHttpHeaders, via: string): Described => {
  let lines = `${OPEN_TO_ALL}Via: ${via}\r\nAccept-Ranges: bytes\r\n`;
  for (const [name, shown] of PASSED) {
    const value = headers[name];
    if (typeof value === "string") lines += `${shown}: ${value}\r\n`;
  }
  return { status: 200, lines, etag: headers.etag, lastModified: headers["last-modified"] };
};

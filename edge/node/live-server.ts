/**
 * The life of a request for live media, phase by phase:
 *
 *   parse → route → cache lookup → fill → answer
 *
 * parse: the request line becomes a path that means one thing (request.ts). route: whose it is and which family of
 * origins has it (choice.ts). cache lookup: answer, ask, or nothing there (lookup.ts). fill: one fetch for all who wait
 * (fill.ts). answer: conditions, ranges, bytes (answer.ts).
 */
import { cacheStatus } from "../../domain/http-cache/cache-status.ts";
import { answerOptions, OPEN_TO_ALL } from "../../lib/http/cors.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import { type Lookup, lookUp } from "../cache/lookup.ts";
import { kindOf, ownQueryOf, segmentNumberOf } from "../cache/object-kind.ts";
import type { Floors, LiveWindows } from "../cache/progress.ts";
import type { Cache, Stored } from "../cache/stored.ts";
import type { KnownChannel } from "../fleet/channels.ts";
import { type Family, pinnedLocation, pinOf, preferredFamily } from "../origin/choice.ts";
import type { Outcome } from "../origin/fill.ts";
import type { Fills, FillTask } from "../origin/fills.ts";
import type { Health } from "../origin/health.ts";
import type { Prober } from "../origin/prober.ts";
import { answerHit, answerWith, type Content } from "./answer.ts";
import { ALLOWED_METHODS, hasLooped } from "./headers.ts";
import type { Contexts, Result } from "./metrics.ts";
import { refuse } from "./refusal.ts";
import { parseTarget, type Target } from "./request.ts";

export interface Directory {
  /** 0 until the edge has heard of any channel. */
  readonly version: number;
  find(tenant: string, streamId: string): KnownChannel | undefined;
  /** Somebody asked for a channel that is not known: it may be brand new. Resolves when more may be known. */
  missed(): Promise<void>;
}
export interface LiveServerDeps {
  readonly directory: Directory;
  readonly cache: Cache;
  readonly floors: Floors;
  readonly windows: LiveWindows;
  readonly health: Health;
  readonly fills: Fills;
  readonly prober: Prober;
  /** Asks whoever has the stream's objects, where that is another thread; undefined where it is this one. */
  readonly elsewhere?: (exchange: RawExchange, target: Target) => Promise<LiveVerdict> | LiveVerdict | undefined;
  /** What each answer is counted under. */
  readonly contextsOf: (tenant: string | undefined) => Contexts;
  readonly nowMs: () => number;
  /** This edge's pseudonym in Via. */
  readonly name: string;
}

/** After an answer that had to be stale, nobody is asked again for so long. */
const STALE_RECHECK_MS = 1_000;
const HELD_RECHECK_MS = 250;
/** A fill that broke off before this viewer got anything is begun anew for it once. */
const TRIES_MAX = 2;

/** Phase "route": everything that decides which object is meant. */
interface Route {
  readonly channel: KnownChannel;
  readonly family: Family;
  readonly path: string;
  /** The path names its family, so that no other may stand in. */
  readonly pinned: boolean;
}
interface Refused {
  readonly result: Result;
  readonly contexts: Contexts;
  readonly more?: string;
}
type Verdict =
  | { readonly kind: "hit"; readonly stored: Stored }
  | { readonly kind: "content"; readonly result: Result; readonly content: Content }
  | { readonly kind: "problem"; readonly result: Result; readonly refusal: Refusal };
export type LiveVerdict = Verdict | { readonly kind: "redirect"; readonly location: string };

const EMPTY = Buffer.alloc(0);

export class LiveServer {
  readonly #deps: LiveServerDeps;
  readonly #via: string;

  constructor(deps: LiveServerDeps) {
    this.#deps = deps;
    this.#via = `1.1 ${deps.name}`;
  }

  /** Answers; resolves when that is over. */
  serve(exchange: RawExchange): Promise<void> | undefined {
    const contexts = this.#deps.contextsOf(undefined);
    if (this.#isAnsweredEarly(exchange, contexts)) return undefined;
    const parsed = parseTarget(exchange.target);
    if ("refusal" in parsed) return this.#refuse(exchange, parsed.refusal, { result: "refused", contexts });
    const { tenant, streamId } = parsed.target;
    if (!this.#deps.directory.find(tenant, streamId)) return this.#serveUnknown(exchange, parsed.target);
    return this.#serveKnown(exchange, parsed.target);
  }

  async #serveUnknown(exchange: RawExchange, target: Target): Promise<void> {
    await this.#deps.directory.missed();
    await this.#serveKnown(exchange, target);
  }

  #serveKnown(exchange: RawExchange, target: Target): Promise<void> | undefined {
    const { tenant, streamId } = target;
    const isKnown = this.#deps.directory.find(tenant, streamId) !== undefined;
    const contexts = this.#deps.contextsOf(isKnown ? tenant : undefined);
    const found = this.#deps.elsewhere?.(exchange, target) ?? this.find(target);
    if (found instanceof Promise) return found.then((later) => this.#answer(exchange, later, contexts));
    return this.#answer(exchange, found, contexts);
  }

  /** What there is for an address; nothing is written to the viewer. */
  find(target: Target): LiveVerdict | Promise<LiveVerdict> {
    const route = this.#route(target);
    if ("code" in route) {
      return { kind: "problem", result: route.code === "NOT_FOUND" ? "missing" : "failed", refusal: route };
    }
    const isFirst = route.pinned || route.family === route.channel.families[0];
    const hit = isFirst ? this.#lookUp(this.#taskOf(route, target.query)) : undefined;
    if (hit?.kind === "hit" && !hit.stale) return this.#hit(hit);
    return this.#findRoute(route, target.query);
  }

  #refuse(exchange: RawExchange, refusal: Refusal, { result, contexts, more = "" }: Refused): undefined {
    exchange.context = contexts[result];
    refuse(exchange, refusal, { via: this.#via, more });
  }

  #isAnsweredEarly(exchange: RawExchange, contexts: Contexts): boolean {
    const { method } = exchange;
    if (method === "OPTIONS") {
      exchange.context = contexts.preflight;
      answerOptions(exchange, ALLOWED_METHODS);
    } else if (method !== "GET" && method !== "HEAD") {
      const refusal: Refusal = { code: "METHOD_NOT_ALLOWED", data: { method } };
      this.#refuse(exchange, refusal, { result: "refused", contexts, more: `Allow: ${ALLOWED_METHODS}\r\n` });
    } else if (hasLooped(exchange.header("via"), this.#deps.name)) {
      this.#refuse(exchange, { code: "REQUEST_LOOPED" }, { result: "refused", contexts });
    } else return false;
    return true;
  }

  #route({ tenant, streamId, path }: Target): Route | Refusal {
    const { directory, health, prober } = this.#deps;
    const channel = directory.find(tenant, streamId);
    if (!channel) {
      return directory.version === 0 ? { code: "STARTING", data: { what: "The edge" } } : NOT_FOUND;
    }
    prober.probeDue(channel.origins);
    const { families } = channel;
    const pin = pinOf(path);
    if (pin) {
      const family = families.find(({ id }) => id === pin.familyId);
      return family ? { channel, family, path: pin.path, pinned: true } : NOT_FOUND;
    }
    // Playlists may come from another family; what a playlist of ours names comes from ours or not at all.
    const family = kindOf(path) === "playlist" ? preferredFamily(families, health) : families[0];
    return family ? { channel, family, path, pinned: false } : undelivered(path);
  }

  async #findRoute(route: Route, query: string | undefined): Promise<LiveVerdict> {
    const { health } = this.#deps;
    const { channel, path, pinned } = route;
    const tried = new Set<string>();
    for (let { family } = route; ; ) {
      tried.add(family.id);
      const verdict = await this.#find({ ...route, family }, query);
      const isProblem = verdict.kind === "problem";
      const lost = isProblem && (verdict.result === "missing" || verdict.result === "failed");
      const next =
        lost && !pinned && kindOf(path) === "playlist" ? preferredFamily(channel.families, health) : undefined;
      if (next && !tried.has(next.id)) family = next;
      else if (!lost && !pinned && family !== channel.families[0]) {
        // To an address that names the family: everything that its playlists name is then asked of that family alone.
        return { kind: "redirect", location: pinnedLocation(path, family.id) };
      } else return verdict;
    }
  }

  #redirect(exchange: RawExchange, location: string): undefined {
    const lines = [
      `${OPEN_TO_ALL}Location: ${location}`,
      "Cache-Control: no-store",
      `Cache-Status: ${cacheStatus({ detail: "failover" })}`,
      `Via: ${this.#via}`,
      "",
    ];
    exchange.send(302, lines.join("\r\n"), EMPTY);
  }

  #answer(exchange: RawExchange, verdict: LiveVerdict, contexts: Contexts): Promise<void> | undefined {
    switch (verdict.kind) {
      case "hit":
        exchange.context = contexts.hit;
        answerHit(exchange, verdict.stored, this.#deps.nowMs());
        return undefined;
      case "content":
        exchange.context = contexts[verdict.result];
        return answerWith(exchange, verdict.content);
      case "problem":
        return this.#refuse(exchange, verdict.refusal, { result: verdict.result, contexts });
      case "redirect":
        exchange.context = contexts.redirect;
        return this.#redirect(exchange, verdict.location);
    }
  }

  /** Phases "cache lookup" and "fill". */
  async #find(route: Route, query: string | undefined): Promise<Verdict> {
    const task = this.#taskOf(route, query);
    for (let tries = 1; ; tries += 1) {
      const lookup = this.#lookUp(task);
      if (lookup.kind === "hit") return this.#hit(lookup);
      if (lookup.kind === "missing") return missing();
      const verdict = await this.#fill({ ...task, stored: lookup.stored }, lookup);
      if (verdict !== "again") return verdict;
      if (tries >= TRIES_MAX) return failed(task.path);
    }
  }

  #lookUp({ key, live }: Pick<FillTask, "key" | "live">): Lookup {
    const { cache, nowMs } = this.#deps;
    // That a segment was missing means nothing once a playlist lists it.
    return lookUp(cache.get(key), !live && cache.isMissing(key, nowMs()), nowMs());
  }

  #hit({ stored, stale }: Extract<Lookup, { kind: "hit" }>): Verdict {
    if (!stale) return { kind: "hit", stored };
    return this.#content("stale", stored, {
      hit: true,
      ttlMs: stored.freshUntilMs - this.#deps.nowMs(),
      detail: "stale",
    });
  }

  #content(result: Result, { described, body, bornAtMs }: Stored, status: Content["status"]): Verdict {
    return { kind: "content", result, content: { described, body, ageMs: this.#deps.nowMs() - bornAtMs, status } };
  }

  #taskOf({ channel, family, path }: Route, query: string | undefined): Omit<FillTask, "stored"> {
    const isOwn = family.kind === "castellan";
    const segmentNumber = isOwn ? segmentNumberOf(path) : undefined;
    const passedOn = isOwn ? ownQueryOf(path, query) : query;
    const rendition = `${channel.key}/${path.slice(0, path.lastIndexOf("/") + 1)}`;
    return {
      ...{ path, family, segmentNumber, query: passedOn },
      key: `${channel.key}/${family.id}/${path}${passedOn === undefined ? "" : `?${passedOn}`}`,
      rendition,
      kind: kindOf(path, passedOn),
      segmentMs: channel.segmentMs,
      live: segmentNumber !== undefined && this.#deps.windows.isLive(rendition, segmentNumber),
    };
  }

  async #fill(task: FillTask, { why }: Extract<Lookup, { kind: "ask" }>): Promise<Verdict | "again"> {
    const { fills, cache, nowMs } = this.#deps;
    const filling = fills.join(task);
    if (!filling) return this.#standIn(task, busy(), nowMs());
    const { fill, joined } = filling;
    const outcome = await fill.settled;
    const status = { fwd: why, collapsed: joined };
    switch (outcome.kind) {
      case "body":
        return this.#filled(outcome, { status, result: joined ? "collapsed" : "miss" });
      case "stored":
        return this.#content(joined ? "collapsed" : "revalidated", outcome.stored, status);
      case "missing":
        cache.putMissing(task.key, nowMs() + MISSING_MS);
        return missing();
      case "held":
        return this.#held(task);
      case "failed":
        return this.#standIn(task, outcome.busy ? busy() : failed(task.path), nowMs());
    }
  }

  #filled(
    { described, body, bornAtMs }: Extract<Outcome, { kind: "body" }>,
    { status, result }: { status: Content["status"]; result: Result },
  ): Verdict | "again" {
    if (body.state === "broken") return "again";
    return { kind: "content", result, content: { described, body, ageMs: this.#deps.nowMs() - bornAtMs, status } };
  }

  /** Nothing newer is to be had: what was shown last is shown again, as long as that may be. */
  #held(task: FillTask): Verdict {
    const { cache, floors, nowMs } = this.#deps;
    const stored = cache.get(task.key);
    const untilMs = floors.heldUntilMs(task.key);
    if (!stored || nowMs() >= untilMs) return busy();
    stored.askAgainAtMs = Math.min(nowMs() + HELD_RECHECK_MS, untilMs);
    return this.#content("stale", stored, { fwd: "stale", detail: "older-at-origin" });
  }

  /** stale-if-error (RFC 5861 §4). */
  #standIn(task: FillTask, otherwise: Verdict, atMs: number): Verdict {
    const stored = this.#deps.cache.get(task.key);
    if (!stored || atMs >= stored.staleUntilMs) return otherwise;
    stored.askAgainAtMs = Math.min(atMs + STALE_RECHECK_MS, stored.staleUntilMs);
    return this.#content("stale", stored, { fwd: "stale", detail: "stale-if-error" });
  }
}

/** How long the edge itself remembers that no origin has an object. */
const MISSING_MS = 1_000;
const NOT_FOUND: Refusal = { code: "NOT_FOUND" };
const undelivered = (path: string): Refusal => ({ code: "UPSTREAM_FAILED", data: { path } });
const missing = (): Verdict => ({ kind: "problem", result: "missing", refusal: NOT_FOUND });
const failed = (path: string): Verdict => ({ kind: "problem", result: "failed", refusal: undelivered(path) });
const busy = (): Verdict => ({ kind: "problem", result: "failed", refusal: { code: "EDGE_BUSY" } });

/**
 * Phases "lookup" and "fill": what the cache has for a request, and what is done where there is none, or none fresh
 * (RFC 9111 §4). Nothing is written to the viewer here.
 */
import type { CacheStatusParts, Forwarded } from "../../domain/http-cache/cache-status.ts";
import { lookupOf } from "../../domain/http-cache/fields.ts";
import { isLoop, requestFieldsToForward } from "../../domain/http-cache/forward.ts";
import { varyKey } from "../../domain/http-cache/vary.ts";
import type { RawRequest } from "../../lib/http/exchange.ts";
import type { Stored } from "../cache/stored.ts";
import type { Result } from "../node/metrics.ts";
import type { SiteFill, SiteOutcome } from "./fill.ts";
import type { FillTask, SiteFills } from "./fills.ts";
import type { SiteObjects } from "./store.ts";
import type { Plan, Verdict } from "./verdict.ts";

export interface FinderDeps {
  readonly objects: SiteObjects;
  readonly fills: SiteFills;
  /** The least that a viewer waits for an origin while something that has just expired could serve. */
  readonly patienceMs: number;
  /** False while too much of what was prefetched goes unused. */
  readonly mayPrefetch: () => boolean;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** This edge's pseudonym in Via and CDN-Loop. */
  readonly name: string;
}

/** The parts of a request that choose an answer. */
export interface Asked extends Pick<RawRequest, "header" | "fields" | "path"> {
  /** Nobody waits for it: a viewer is expected to ask for it soon. */
  readonly isPrefetch?: boolean;
}

/** Said of an address whose answers are remembered to be for one request each. */
export const UNCACHEABLE = "uncacheable";
/** After an answer that had to be stale, nobody is asked again for so long. */
const STALE_RECHECK_MS = 1_000;
/** So much beyond its freshness an object may stand in for an origin that is slow, unless a rule forbids it. */
const JUST_EXPIRED_MS = 10_000;
/** A fill that broke off before this request got anything is begun anew for it once. */
const TRIES_MAX = 2;

const variantKey = (request: Asked, key: string, names: readonly string[]): string =>
  `${key}\n${varyKey(names, (name) => request.header(name))}`;

export class Finder {
  readonly #deps: FinderDeps;

  constructor(deps: FinderDeps) {
    this.#deps = deps;
  }

  find(request: Asked, plan: Plan): Verdict | Promise<Verdict> {
    const key = this.#keyOf(request, plan);
    if (request.isPrefetch && !this.#mayPrefetch(key)) return NOT_PREFETCHED;
    const stored = this.#deps.objects.get(key);
    return stored ? this.#have(request, plan, { key, stored }) : this.#ask(request, plan, { key, stored });
  }

  #mayPrefetch(key: string): boolean {
    const { objects, fills, mayPrefetch } = this.#deps;
    return !objects.has(key) && !objects.isUncacheable(key) && !fills.running(key) && mayPrefetch();
  }

  #keyOf(request: Asked, { key }: Plan): string {
    const names = this.#deps.objects.varyNames(key);
    return names === undefined ? key : variantKey(request, key, names);
  }

  /** Something is stored: fresh, or good enough while somebody asks, or to be asked about before it serves. */
  #have(request: Asked, plan: Plan, found: Have): Verdict | Promise<Verdict> {
    const { key, stored } = found;
    const nowMs = this.#deps.nowMs();
    if (nowMs < stored.freshUntilMs) return { kind: "hit", stored };
    const isResting = nowMs < stored.askAgainAtMs;
    const isDown = nowMs < stored.staleUntilMs && plan.runtime.origins.isDown;
    if (!isResting && !isDown && nowMs >= stored.revalidateUntilMs) return this.#ask(request, plan, found);
    if (!isResting) {
      // One request beside the viewers'; the next is not before a second has passed.
      stored.askAgainAtMs = nowMs + STALE_RECHECK_MS;
      const beside = this.#deps.fills.join(this.#taskOf(request, plan, { key, stored }));
      if (beside) dropUntaken(beside);
    }
    const status: CacheStatusParts = { hit: true, ttlMs: stored.freshUntilMs - nowMs, detail: "stale" };
    return this.#shown(stored, "stale", status);
  }

  #shown({ described, body, bornAtMs }: Stored, result: Result, status: CacheStatusParts): Verdict {
    return { kind: "content", result, content: { described, body, ageMs: this.#deps.nowMs() - bornAtMs, status } };
  }

  #taskOf(request: Asked, plan: Plan, { key, stored }: Found): FillTask {
    const { target, runtime, rule, key: primaryKey } = plan;
    const { fields: sent } = request;
    const fields = requestFieldsToForward(sent, { via: this.#deps.name });
    const requestField = lookupOf(sent);
    const kind = request.isPrefetch ? "prefetched" : "asked";
    return { primaryKey, key, runtime, rule, target, fields, requestField, stored, kind };
  }

  async #ask(request: Asked, plan: Plan, { key: firstKey, stored }: Found): Promise<Verdict> {
    if (isLoop(request.fields, this.#deps.name)) {
      return { kind: "problem", result: "refused", refusal: { code: "REQUEST_LOOPED" } };
    }
    const { objects } = this.#deps;
    const fwd: Forwarded = stored ? "stale" : objects.varyNames(plan.key) ? "vary-miss" : "uri-miss";
    let key = firstKey;
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      if (objects.isUncacheable(key)) return { kind: "pass", status: { fwd, detail: UNCACHEABLE }, answer: undefined };
      const restored = stored ? undefined : await this.#fromDisk(request, plan, key);
      if (restored) return this.#have(request, plan, { key, stored: restored });
      const filling = this.#fillFor(request, this.#taskOf(request, plan, { key, stored }));
      if (!filling) return this.#instead(request, { stored, isLate: false, isBusy: true });
      const outcome = await this.#patiently(filling, plan, stored);
      if (!outcome) {
        dropUntaken(filling);
        return this.#instead(request, { stored, isLate: true, isBusy: false });
      }
      const verdict = this.#settled(request, { ...filling, outcome, fwd, stored });
      if (verdict !== "again") return verdict;
      const vary = outcome.kind === "body" ? outcome.vary : undefined; // known before anything is stored under it
      key = vary ? variantKey(request, plan.key, vary.names) : this.#keyOf(request, plan);
    }
    return this.#instead(request, { stored, isLate: false, isBusy: false });
  }

  /**
   * How a fill comes out. Undefined where that takes long and what is stored has only just expired: it serves at once
   * then, and the fill goes on for those who come later.
   */
  #patiently({ fill }: Filling, { rule, runtime }: Plan, stored: Stored | undefined): Promise<SiteOutcome | undefined> {
    const nowMs = this.#deps.nowMs();
    const { usualMs } = runtime.origins;
    const mayStandIn =
      usualMs !== undefined &&
      stored !== undefined &&
      rule.staleWhileRevalidateMs !== 0 &&
      nowMs < stored.staleUntilMs &&
      nowMs < stored.freshUntilMs + JUST_EXPIRED_MS;
    if (!mayStandIn) return fill.settled;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), Math.max(usualMs, this.#deps.patienceMs));
    });
    return Promise.race([fill.settled, late]).finally(() => clearTimeout(timer));
  }

  /** What the disk has; that it varies is learned from there too. */
  async #fromDisk(request: Asked, plan: Plan, key: string): Promise<Stored | undefined> {
    const { objects } = this.#deps;
    const stored = await objects.fromDisk(key);
    if (stored || objects.varyNames(plan.key) === undefined) return stored;
    const variant = this.#keyOf(request, plan);
    return variant === key ? undefined : objects.fromDisk(variant);
  }

  #fillFor(request: Asked, task: FillTask): Filling | undefined {
    const { fills } = this.#deps;
    // What an origin answers to somebody's credentials is not for those who wait (RFC 9111 §3.5).
    if (request.header("authorization") === undefined) return fills.join(task);
    const fill = fills.alone(task);
    return fill && { fill, isJoined: false };
  }

  /** By how the fill came out; `again`: the answer is not for this request. */
  #settled(request: Asked, settled: Settled): Verdict | "again" {
    const { outcome, isJoined, fwd, fill, stored } = settled;
    switch (outcome.kind) {
      case "body":
        return this.#fromBody(request, { ...settled, outcome });
      case "renewed": {
        const status: CacheStatusParts = { fwd, fwdStatus: 304, stored: true, collapsed: isJoined };
        return this.#shown(outcome.stored, isJoined ? "collapsed" : "revalidated", status);
      }
      case "passed": {
        const answer = isJoined ? undefined : outcome.take();
        return { kind: "pass", status: { fwd, detail: outcome.reason }, answer };
      }
      case "failed":
        if (isJoined && fill.task.stored !== stored) return "again";
        return this.#instead(request, { stored, isLate: outcome.isLate, isBusy: outcome.isBusy });
    }
  }

  #fromBody(request: Asked, { outcome, fill, fwd, isJoined }: SettledBody): Verdict | "again" {
    const { described, body, bornAtMs, isStored, vary } = outcome;
    const isOther = vary !== undefined && vary.key !== varyKey(vary.names, (name) => request.header(name));
    if ((isOther && isJoined) || body.state === "broken") return "again";
    const status: CacheStatusParts = { fwd, stored: isStored, collapsed: isJoined };
    return {
      kind: "content",
      result: isJoined ? "collapsed" : "miss",
      content: { described, body, ageMs: this.#deps.nowMs() - bornAtMs, status },
      bringNear: (start, end) => void fill.bringNear(start, end),
    };
  }

  /** No origin gives anything: what is stored stands in (RFC 5861 §4), else that is said. */
  #instead({ path }: Asked, { stored, isLate, isBusy }: Lost): Verdict {
    const nowMs = this.#deps.nowMs();
    if (stored && nowMs < stored.staleUntilMs) {
      stored.askAgainAtMs = Math.min(nowMs + STALE_RECHECK_MS, stored.staleUntilMs);
      return this.#shown(stored, "stale", { fwd: "stale", detail: "stale-if-error" });
    }
    if (isBusy) return { kind: "problem", result: "failed", refusal: { code: "EDGE_BUSY" } };
    const code = isLate ? "UPSTREAM_TIMEOUT" : "UPSTREAM_FAILED";
    return { kind: "problem", result: "failed", refusal: { code, data: { path } } };
  }
}

/** Nobody waits for what comes of it: an answer for one request alone must not hold its connection. */
const dropUntaken = ({ fill, isJoined }: Filling): void => {
  if (isJoined) return;
  void fill.settled.then((outcome) => {
    if (outcome.kind === "passed") outcome.take()?.drop();
  });
};

/** For nobody. */
const NOT_PREFETCHED: Verdict = { kind: "problem", result: "refused", refusal: { code: "NOT_FOUND" } };

interface Found {
  readonly key: string;
  readonly stored: Stored | undefined;
}
interface Have extends Found {
  readonly stored: Stored;
}
interface Lost {
  readonly stored: Stored | undefined;
  readonly isLate: boolean;
  readonly isBusy: boolean;
}
interface Filling {
  readonly fill: SiteFill;
  readonly isJoined: boolean;
}
interface Settled extends Filling {
  readonly outcome: SiteOutcome;
  readonly fwd: Forwarded;
  readonly stored: Stored | undefined;
}
interface SettledBody extends Settled {
  readonly outcome: Extract<SiteOutcome, { kind: "body" }>;
}

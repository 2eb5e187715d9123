/**
 * The life of a request for a customer's site, phase by phase:
 *
 *   parse → guard → lookup → fill | pass → answer
 *
 * parse: one name for each thing (target.ts). guard: a signed URL, where the site wants one. lookup: fresh, stale and
 * usable, or to be asked for (RFC 9111 §4). fill: one fetch for all who wait (fill.ts); pass: what is for one request
 * alone (pass.ts). answer: conditions, ranges, bytes (node/answer.ts).
 */
import type { CacheStatusParts, Forwarded } from "../../domain/http-cache/cache-status.ts";
import { fieldValue } from "../../domain/http-cache/fields.ts";
import { isLoop, requestFieldsToForward } from "../../domain/http-cache/forward.ts";
import { invalidatedBy, isSafeMethod } from "../../domain/http-cache/invalidation.ts";
import { varyKey } from "../../domain/http-cache/vary.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import type { Stored } from "../cache/stored.ts";
import type { Rule } from "../config/sites.ts";
import { guardRefusal } from "../guard/guard.ts";
import { answerHit, answerWith } from "../node/answer.ts";
import type { Result } from "../node/metrics.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import { Aliases } from "./aliases.ts";
import type { SiteFill, SiteOutcome } from "./fill.ts";
import type { FillTask, SiteFills } from "./fills.ts";
import { giveOn, passOn } from "./pass.ts";
import { siteProblem } from "./refusal.ts";
import type { SiteRuntime } from "./runtime.ts";
import type { SiteObjects } from "./store.ts";
import { canonicalPath, keptQuery } from "./target.ts";

export interface SiteServerDeps {
  readonly objects: SiteObjects;
  readonly fills: SiteFills;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  /** This edge's pseudonym in Via and CDN-Loop. */
  readonly name: string;
}

/** What a request means: which object of which site, under which rule. */
export interface Plan {
  readonly runtime: SiteRuntime;
  readonly rule: Rule;
  /** As the origin gets it. */
  readonly target: string;
  readonly key: string;
}

/** After an answer that had to be stale, nobody is asked again for so long. */
const STALE_RECHECK_MS = 1_000;
/** A fill that broke off before this request got anything is begun anew for it once. */
const TRIES_MAX = 2;
/** A reader that begins further ahead than this has the origin asked for its part: it would wait for the front. */
const NEAR_BYTES = 512 * 1024;

export class SiteServer {
  readonly #deps: SiteServerDeps;
  readonly #via: string;
  readonly #aliases = new Aliases<Plan>();

  constructor(deps: SiteServerDeps) {
    this.#deps = deps;
    this.#via = `1.1 ${deps.name}`;
  }

  /** The configuration has changed: what was made of it is forgotten. */
  reconfigured(): void {
    this.#aliases.clear();
  }

  /** Answers; resolves, where that takes time, when it is over. */
  serve(exchange: RawExchange, runtime: SiteRuntime): Promise<void> | undefined {
    const isRead = exchange.method === "GET" || exchange.method === "HEAD";
    const plan = this.#planFor(exchange, runtime);
    if ("code" in plan) return this.#refuse(exchange, runtime, plan, "refused");
    if (!isRead) return this.#passThrough(exchange, plan, { fwd: "method" });
    if (plan.rule.cache === "bypass") return this.#passThrough(exchange, plan, { fwd: "bypass" });
    const key = this.#keyOf(exchange, plan);
    const stored = this.#deps.objects.get(key, plan.runtime.site.id);
    if (stored === undefined) return this.#miss(exchange, plan, key);
    const nowMs = this.#deps.nowMs();
    if (nowMs < stored.freshUntilMs) return this.#hit(exchange, plan, stored, nowMs);
    return this.#stale(exchange, plan, { key, stored, nowMs });
  }

  /** Phase "parse" and "guard"; an address that was seen before is not taken apart again. */
  #planFor(exchange: RawExchange, runtime: SiteRuntime): Plan | Refusal {
    const { guard } = runtime;
    if (guard) {
      const { path, query, host, remoteAddress: address } = exchange;
      const verdict = guard.check({ path, query, host, address, nowMs: this.#deps.wallMs() });
      return verdict.ok ? this.#plan(runtime, verdict.path, verdict.query) : guardRefusal(verdict.reason);
    }
    const alias = this.#aliases.get(exchange.host, exchange.target);
    if (alias) return alias;
    const plan = this.#plan(runtime, exchange.path, exchange.query);
    if (!("code" in plan)) this.#aliases.set(exchange.host, exchange.target, plan);
    return plan;
  }

  #plan(runtime: SiteRuntime, rawPath: string, rawQuery: string): Plan | Refusal {
    const path = canonicalPath(rawPath);
    if (path === undefined) return { code: "PATH_REFUSED", data: { reason: "it can be read in two ways" } };
    const rule = runtime.site.ruleFor(path);
    const query = keptQuery(rawQuery, rule);
    const target = query === "" ? path : `${path}?${query}`;
    return { runtime, rule, target, key: `${runtime.site.id} ${target}` };
  }

  #keyOf(exchange: RawExchange, { key }: Plan): string {
    const names = this.#deps.objects.varyNames(key);
    return names === undefined ? key : `${key}\n${varyKey(names, (name) => exchange.header(name))}`;
  }

  #hit(exchange: RawExchange, { runtime }: Plan, stored: Stored, nowMs: number): undefined {
    exchange.context = runtime.contexts.hit;
    answerHit(exchange, stored, nowMs);
  }

  #shown(exchange: RawExchange, { runtime }: Plan, stored: Stored, shown: Shown): Promise<void> | undefined {
    exchange.context = runtime.contexts[shown.result];
    const ageMs = this.#deps.nowMs() - stored.bornAtMs;
    return answerWith(exchange, { described: stored.described, body: stored.body, ageMs, status: shown.status });
  }

  /** Something is stored, and not fresh: it serves while somebody asks, or is asked about before it serves. */
  #stale(exchange: RawExchange, plan: Plan, { key, stored, nowMs }: Found): Promise<void> | undefined {
    const isResting = nowMs < stored.askAgainAtMs;
    const isDown = plan.runtime.origins.isDown && nowMs < stored.staleUntilMs;
    if (!isResting && !isDown && nowMs >= stored.revalidateUntilMs) return this.#miss(exchange, plan, key, stored);
    if (!isResting) this.#revalidate(exchange, plan, { key, stored, nowMs });
    const status: CacheStatusParts = { hit: true, ttlMs: stored.freshUntilMs - nowMs, detail: "stale" };
    return this.#shown(exchange, plan, stored, { result: "stale", status });
  }

  /** One request beside the viewers'; the next is not before a second has passed. */
  #revalidate(exchange: RawExchange, plan: Plan, { key, stored, nowMs }: Found): void {
    stored.askAgainAtMs = nowMs + STALE_RECHECK_MS;
    this.#deps.fills.join(this.#taskOf(exchange, plan, { key, stored }));
  }

  #taskOf(exchange: RawExchange, plan: Plan, { key, stored }: { key: string; stored: Stored | undefined }): FillTask {
    const fields = requestFieldsToForward(exchange.fields, { via: this.#deps.name });
    const { target, runtime, rule, key: primaryKey } = plan;
    const { fields: sent } = exchange;
    const requestField = (name: string): string | undefined => fieldValue(sent, name);
    return { primaryKey, key, runtime, rule, target, fields, requestField, stored, kind: "asked" };
  }

  async #miss(exchange: RawExchange, plan: Plan, firstKey: string, stored?: Stored): Promise<void> {
    if (isLoop(exchange.fields, this.#deps.name)) {
      this.#refuse(exchange, plan.runtime, { code: "REQUEST_LOOPED" }, "refused");
      return;
    }
    const { objects } = this.#deps;
    const fwd: Forwarded = stored ? "stale" : objects.varyNames(plan.key) ? "vary-miss" : "uri-miss";
    let key = firstKey;
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      if (objects.isUncacheable(key)) return this.#passThrough(exchange, plan, { fwd, detail: "uncacheable" });
      const kept = stored ? undefined : await objects.fromDisk(key, plan.runtime.site.id);
      if (kept) return this.#restored(exchange, plan, kept, key);
      const task = this.#taskOf(exchange, plan, { key, stored });
      const filling = this.#fillFor(exchange, task);
      if (!filling) return this.#instead(exchange, plan, { stored, isLate: false, isBusy: true });
      const outcome = await filling.fill.settled;
      const isOver = await this.#settled(exchange, plan, { ...filling, outcome, fwd, stored });
      if (isOver) return;
      key = this.#keyOf(exchange, plan); // by now it is known what it varies by
    }
    return this.#instead(exchange, plan, { stored, isLate: false, isBusy: false });
  }

  #fillFor(exchange: RawExchange, task: FillTask): { fill: SiteFill; isJoined: boolean } | undefined {
    const { fills } = this.#deps;
    // What an origin answers to somebody's credentials is not for those who wait (RFC 9111 §3.5).
    if (exchange.header("authorization") === undefined) return fills.join(task);
    const fill = fills.alone(task);
    return fill && { fill, isJoined: false };
  }

  #restored(exchange: RawExchange, plan: Plan, stored: Stored, key: string): Promise<void> | undefined {
    const nowMs = this.#deps.nowMs();
    if (nowMs < stored.freshUntilMs) return this.#hit(exchange, plan, stored, nowMs);
    return this.#stale(exchange, plan, { key, stored, nowMs });
  }

  /** Answers by how the fill came out; false: the answer is not for this request. */
  async #settled(exchange: RawExchange, plan: Plan, settled: Settled): Promise<boolean> {
    const { outcome, isJoined, fwd, fill, stored } = settled;
    switch (outcome.kind) {
      case "body":
        return this.#fromBody(exchange, plan, { ...settled, outcome });
      case "renewed": {
        const status: CacheStatusParts = { fwd, fwdStatus: 304, stored: true, collapsed: isJoined };
        const result = isJoined ? "collapsed" : "revalidated";
        await this.#shown(exchange, plan, outcome.stored, { result, status });
        return true;
      }
      case "passed": {
        const status: CacheStatusParts = { fwd, detail: outcome.reason };
        const wantsPart = exchange.method === "GET" && exchange.header("range") !== undefined;
        const answer = isJoined ? undefined : outcome.take();
        if (answer && !wantsPart) await this.#give(exchange, plan, answer, status);
        else {
          answer?.drop();
          await this.#passThrough(exchange, plan, status);
        }
        return true;
      }
      case "failed":
        if (isJoined && fill.task.stored !== stored) return false;
        await this.#instead(exchange, plan, { stored, isLate: outcome.isLate, isBusy: outcome.isBusy });
        return true;
    }
  }

  async #fromBody(exchange: RawExchange, plan: Plan, { outcome, fill, fwd, isJoined }: SettledBody): Promise<boolean> {
    const { described, body, bornAtMs, isStored, vary } = outcome;
    const isOther = vary !== undefined && vary.key !== varyKey(vary.names, (name) => exchange.header(name));
    if (isOther && isJoined) return false;
    if (body.state === "broken") return false;
    exchange.context = plan.runtime.contexts[isJoined ? "collapsed" : "miss"];
    this.#hurry(exchange, fill, outcome);
    const status: CacheStatusParts = { fwd, stored: isStored, collapsed: isJoined };
    await answerWith(exchange, { described, body, ageMs: this.#deps.nowMs() - bornAtMs, status });
    return true;
  }

  /** A reader of a part that is far ahead of what has come does not wait for all before it. */
  #hurry(exchange: RawExchange, fill: SiteFill, { body, described }: Extract<SiteOutcome, { kind: "body" }>): void {
    const range = exchange.method === "GET" && described.status === 200 ? exchange.header("range") : undefined;
    const sizeBytes = body.sizeBytes;
    if (range === undefined || sizeBytes === undefined || body.state !== "filling") return;
    const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range.trim()) ?? [];
    if (first === "" && last === "") return;
    const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
    if (start >= sizeBytes || body.isNear(start, NEAR_BYTES)) return;
    // To the end of the body: a reader that goes on finds the rest, and the front stops where this begins.
    void fill.bringNear(start, sizeBytes);
  }

  /** No origin gives anything: what is stored stands in (RFC 5861 §4), else that is said. */
  #instead(exchange: RawExchange, plan: Plan, { stored, isLate, isBusy }: Lost): Promise<void> | undefined {
    const nowMs = this.#deps.nowMs();
    if (stored && nowMs < stored.staleUntilMs) {
      stored.askAgainAtMs = Math.min(nowMs + STALE_RECHECK_MS, stored.staleUntilMs);
      const status: CacheStatusParts = { fwd: "stale", detail: "stale-if-error" };
      return this.#shown(exchange, plan, stored, { result: "stale", status });
    }
    if (isBusy) return this.#refuse(exchange, plan.runtime, { code: "EDGE_BUSY" }, "failed");
    const code = isLate ? "UPSTREAM_TIMEOUT" : "UPSTREAM_FAILED";
    return this.#refuse(exchange, plan.runtime, { code, data: { path: exchange.path } }, "failed");
  }

  async #passThrough(exchange: RawExchange, plan: Plan, status: CacheStatusParts): Promise<void> {
    const { runtime, target, key } = plan;
    if (isLoop(exchange.fields, this.#deps.name)) {
      this.#refuse(exchange, runtime, { code: "REQUEST_LOOPED" }, "refused");
      return;
    }
    let answer: OriginAnswer;
    try {
      answer = await passOn(exchange, { runtime, target, key, name: this.#deps.name });
    } catch (error) {
      if (exchange.isGone) return;
      if (!(error instanceof UpstreamError)) throw error;
      const isLate = error.reason === "first-byte" || error.reason === "idle";
      await this.#instead(exchange, plan, { stored: undefined, isLate, isBusy: error.reason === "busy" });
      return;
    }
    if (!isSafeMethod(exchange.method)) this.#invalidate(exchange, plan, answer);
    await this.#give(exchange, plan, answer, status);
  }

  async #give(exchange: RawExchange, plan: Plan, answer: OriginAnswer, status: CacheStatusParts): Promise<void> {
    const { account, contexts } = plan.runtime;
    exchange.context = contexts.passed;
    await giveOn(exchange, answer, { via: this.#via, status, came: (bytes) => account.origin(0, bytes) });
  }

  /** What a change was asked for is not what is stored any more (RFC 9111 §4.4). */
  #invalidate(exchange: RawExchange, { runtime, target }: Plan, { status, fields }: OriginAnswer): void {
    const { method, host } = exchange;
    const location = fieldValue(fields, "location");
    const contentLocation = fieldValue(fields, "content-location");
    for (const changed of invalidatedBy({ method, status, host, target, location, contentLocation })) {
      this.#deps.objects.invalidate(`${runtime.site.id} ${changed}`);
    }
  }

  #refuse(exchange: RawExchange, runtime: SiteRuntime, refusal: Refusal, result: Result): undefined {
    exchange.context = runtime.contexts[result];
    siteProblem(exchange, refusal, this.#via);
  }
}

interface Found {
  readonly key: string;
  readonly stored: Stored;
  readonly nowMs: number;
}
interface Shown {
  readonly result: Result;
  readonly status: CacheStatusParts;
}
interface Lost {
  readonly stored: Stored | undefined;
  readonly isLate: boolean;
  readonly isBusy: boolean;
}
interface Settled {
  readonly outcome: SiteOutcome;
  readonly fill: SiteFill;
  readonly isJoined: boolean;
  readonly fwd: Forwarded;
  readonly stored: Stored | undefined;
}
interface SettledBody extends Settled {
  readonly outcome: Extract<SiteOutcome, { kind: "body" }>;
}

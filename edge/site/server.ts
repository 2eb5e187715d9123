/**
 * The life of a request for a customer's site, phase by phase:
 *
 *   parse → guard → lookup → fill | pass → answer
 *
 * parse: one name for each thing (target.ts). guard: a signed URL, where the site wants one. lookup and fill: what the
 * cache has, and one fetch for all who wait (finder.ts, fill.ts); pass: what is for one request alone (pass.ts).
 * answer: conditions, ranges, bytes (node/answer.ts).
 */
import type { CachePolicy } from "../../domain/cache-policy/cache-policy.ts";
import type { CacheStatusParts } from "../../domain/http-cache/cache-status.ts";
import { fieldValue } from "../../domain/http-cache/fields.ts";
import { isLoop } from "../../domain/http-cache/forward.ts";
import { invalidatedBy, isSafeMethod } from "../../domain/http-cache/invalidation.ts";
import { storability } from "../../domain/http-cache/storability.ts";
import { playlistKind } from "../../domain/prefetch/playlist-segments.ts";
import { isContentPath } from "../../domain/vod/content-path.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import { guardRefusal } from "../guard/guard.ts";
import { answerHit, answerWith, type Content } from "../node/answer.ts";
import type { Result } from "../node/metrics.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import { Aliases } from "./aliases.ts";
import { sharedRules } from "./entry.ts";
import { type Asked, UNCACHEABLE } from "./finder.ts";
import { giveOn, passOn, requestBudget } from "./pass.ts";
import { Prefetcher } from "./prefetcher.ts";
import { siteProblem } from "./refusal.ts";
import type { SiteRuntime } from "./runtime.ts";
import { hasPackager } from "./sites.ts";
import { canonicalPath, keptQuery } from "./target.ts";
import type { Plan, Verdict } from "./verdict.ts";

/** What a request means where that is not what it says: path and query of the object, and the fields that count. */
export interface AskedAs extends Asked {
  readonly host: string;
  readonly query: string;
}

export interface SiteServerDeps {
  /** Finds what a request is answered with. */
  readonly find: (request: Asked & { readonly host: string }, plan: Plan) => Verdict | Promise<Verdict>;
  /** Forgets an address with all that it varies by. */
  readonly invalidate: (key: string) => void;
  /** Answers to an address may be kept after all. */
  readonly cacheable: (key: string) => void;
  /** Of this thread. */
  readonly policy: CachePolicy;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  /** This edge's pseudonym in Via and CDN-Loop. */
  readonly name: string;
}

/** A reader that begins further ahead than this has the origin asked for its part: it would wait for the front. */
const NEAR_BYTES = 512 * 1024;

const EMPTY = Buffer.alloc(0);

export class SiteServer {
  readonly #deps: SiteServerDeps;
  readonly #via: string;
  readonly #aliases = new Aliases<Plan>();
  readonly #prefetcher: Prefetcher;
  readonly #budget = requestBudget();

  constructor(deps: SiteServerDeps) {
    this.#deps = deps;
    const { policy, nowMs } = deps;
    this.#prefetcher = new Prefetcher({ policy, nowMs, bring: (...wanted) => this.#bring(...wanted) });
    this.#via = `1.1 ${deps.name}`;
  }

  /** The configuration has changed: what was made of it is forgotten. */
  reconfigured(): void {
    this.#aliases.clear();
  }

  /** Answers; resolves, where that takes time, when it is over. */
  serve(exchange: RawExchange, runtime: SiteRuntime): Promise<void> | undefined {
    if (exchange.target === "*") return this.#answerForServer(exchange, runtime);
    const plan = this.#planFor(exchange, runtime);
    if ("code" in plan) return this.#refuse(exchange, runtime, plan, "refused");
    return this.#serve(exchange, plan, exchange);
  }

  /** The same for a request that means another one: `asked` is what caches and origins see of it. */
  serveAs(exchange: RawExchange, runtime: SiteRuntime, asked: AskedAs): Promise<void> | undefined {
    const plan = this.plan(runtime, asked.path, asked.query);
    if ("code" in plan) return this.#refuse(exchange, runtime, plan, "refused");
    return this.#serve(exchange, { ...plan, fields: asked.fields }, asked);
  }

  #serve(exchange: RawExchange, plan: Plan, asked: Asked & { readonly host: string }): Promise<void> | undefined {
    const isRead = exchange.method === "GET" || exchange.method === "HEAD";
    if (!isRead) return this.#pass(exchange, plan, { fwd: "method" });
    if (plan.rule.cache === "bypass") return this.#pass(exchange, plan, { fwd: "bypass" });
    const verdict = this.#deps.find(asked, plan);
    if (verdict instanceof Promise) return verdict.then((later) => this.#answer(exchange, plan, later));
    return this.#answer(exchange, plan, verdict);
  }

  /** What an address of the site means; a refusal where it can be read in two ways. */
  plan(runtime: SiteRuntime, rawPath: string, rawQuery: string): Plan | Refusal {
    const path = canonicalPath(rawPath);
    if (path === undefined) return { code: "PATH_REFUSED", data: { reason: "it can be read in two ways" } };
    const rule = runtime.site.ruleFor(path);
    const query = keptQuery(rawQuery, rule);
    const target = query === "" ? path : `${path}?${query}`;
    return { runtime, rule, target, key: `${runtime.site.id} ${target}`, playlist: playlistKind(path) };
  }

  /** Phases "parse" and "guard"; an address that was seen before is not taken apart again. */
  #planFor(exchange: RawExchange, runtime: SiteRuntime): Plan | Refusal {
    const { guard } = runtime;
    if (guard) {
      const { path, query, host, remoteAddress: address } = exchange;
      const verdict = guard.check({ path, query, host, address, nowMs: this.#deps.wallMs() });
      return verdict.ok ? this.#open(runtime, verdict.path, verdict.query) : guardRefusal(verdict.reason);
    }
    const alias = this.#aliases.get(exchange.host, exchange.target);
    if (alias) return alias;
    const plan = this.#open(runtime, exchange.path, exchange.query);
    if (!("code" in plan)) this.#aliases.set(exchange.host, exchange.target, plan);
    return plan;
  }

  /**
   * A plan for an address as a viewer may write it. What a packager takes for a title's lies behind `/api/media/`,
   * whoever's host it is: there sessions are looked at.
   */
  #open(runtime: SiteRuntime, path: string, query: string): Plan | Refusal {
    const plan = this.plan(runtime, path, query);
    if ("code" in plan || !isContentPath(plan.target) || !hasPackager(runtime.site)) return plan;
    return { code: "NOT_FOUND" };
  }

  /** Phase "answer". */
  #answer(exchange: RawExchange, plan: Plan, verdict: Verdict): Promise<void> | undefined {
    const { contexts } = plan.runtime;
    switch (verdict.kind) {
      case "hit":
        exchange.context = contexts.hit;
        answerHit(exchange, verdict.stored, this.#deps.nowMs());
        if (this.#prefetcher.isOfUse(plan)) {
          const { described, body } = verdict.stored;
          this.#prefetcher.answered(exchange, plan, { described, body, isNew: false });
        }
        return undefined;
      case "content":
        exchange.context = contexts[verdict.result];
        if (verdict.bringNear) hurry(exchange, verdict.content, verdict.bringNear);
        return this.#answerAndLook(exchange, plan, verdict.content);
      case "pass":
        return this.#give(exchange, plan, verdict);
      case "problem":
        return this.#refuse(exchange, plan.runtime, verdict.refusal, verdict.result);
    }
  }

  /** A playlist that is still coming in is read once it is whole. */
  #answerAndLook(exchange: RawExchange, plan: Plan, content: Content): Promise<void> | undefined {
    const answering = answerWith(exchange, content);
    const answered = { ...content, isNew: true };
    this.#prefetcher.answered(exchange, plan, answered);
    const { body } = content;
    const isLate = plan.playlist !== undefined && !Buffer.isBuffer(body) && body.state === "filling";
    return isLate ? answering?.then(() => this.#prefetcher.answered(exchange, plan, answered)) : answering;
  }

  /** Has a target fetched that a viewer is expected to ask for. */
  #bring(request: Asked & { readonly host: string }, target: string, { runtime }: Plan): void {
    const mark = target.indexOf("?");
    const query = mark === -1 ? "" : target.slice(mark + 1);
    const plan = this.plan(runtime, mark === -1 ? target : target.slice(0, mark), query);
    if ("code" in plan || plan.rule.cache === "bypass") return;
    const verdict = this.#deps.find(request, plan);
    if (verdict instanceof Promise) {
      verdict.then((later) => later.kind === "pass" && later.answer?.drop()).catch(() => {}); // fills say what failed
    }
  }

  /** An answer that came for this request, unless it wanted a part and got the whole. */
  async #give(exchange: RawExchange, plan: Plan, { answer, status }: Passed): Promise<void> {
    const wantsPart = exchange.method === "GET" && exchange.header("range") !== undefined;
    if (answer && !wantsPart) return this.#giveOn(exchange, plan, answer, status);
    answer?.drop();
    return this.#pass(exchange, plan, status);
  }

  async #pass(exchange: RawExchange, plan: Plan, status: CacheStatusParts): Promise<void> {
    const { runtime, target, key, fields = exchange.fields } = plan;
    const { name } = this.#deps;
    if (isLoop(fields, name)) {
      this.#refuse(exchange, runtime, { code: "REQUEST_LOOPED" }, "refused");
      return;
    }
    let answer: OriginAnswer;
    try {
      answer = await passOn(exchange, { runtime, target, key, fields, name, budget: this.#budget });
    } catch (error) {
      if (exchange.isGone) return;
      if (!(error instanceof UpstreamError)) throw error;
      this.#refuse(exchange, runtime, refusalOf(error, exchange.path), "failed");
      return;
    }
    if (!isSafeMethod(exchange.method)) this.#invalidate(exchange, plan, answer);
    else if (status.detail === UNCACHEABLE) this.#lookAgain(exchange, plan, answer);
    await this.#giveOn(exchange, plan, answer, status);
  }

  /** What could not be kept before may be kept now: the next request fills the cache. */
  #lookAgain(exchange: RawExchange, { rule, key }: Plan, { status, fields, firstByteMs }: OriginAnswer): void {
    const answered = {
      ...{ method: exchange.method, status, responseFields: fields, rules: sharedRules(rule) },
      ...{ nowWallMs: this.#deps.wallMs(), responseDelayMs: firstByteMs },
      requestFields: (name: string) => exchange.header(name),
    };
    if (storability(answered).store) this.#deps.cacheable(key);
  }

  async #giveOn(exchange: RawExchange, plan: Plan, answer: OriginAnswer, status: CacheStatusParts): Promise<void> {
    const { account, contexts } = plan.runtime;
    exchange.context = contexts.passed;
    await giveOn(exchange, answer, { via: this.#via, status, came: (bytes) => account.countOrigin(0, bytes) });
  }

  /** What a change was asked for is not what is stored any more (RFC 9111 §4.4). */
  #invalidate(exchange: RawExchange, { runtime, target }: Plan, { status, fields }: OriginAnswer): void {
    const { method, host } = exchange;
    const location = fieldValue(fields, "location");
    const contentLocation = fieldValue(fields, "content-location");
    for (const changed of invalidatedBy({ method, status, host, target, location, contentLocation })) {
      this.#deps.invalidate(`${runtime.site.id} ${changed}`);
    }
  }

  /** OPTIONS of no resource asks the server itself (RFC 9110 §9.3.7): that is this one. */
  #answerForServer(exchange: RawExchange, { contexts }: SiteRuntime): undefined {
    exchange.context = contexts.preflight;
    exchange.send(204, `Via: ${this.#via}\r\n`, EMPTY);
  }

  #refuse(exchange: RawExchange, runtime: SiteRuntime, refusal: Refusal, result: Result): undefined {
    exchange.context = runtime.contexts[result];
    siteProblem(exchange, refusal, this.#via);
  }
}

type Passed = Extract<Verdict, { kind: "pass" }>;

const refusalOf = ({ reason }: UpstreamError, path: string): Refusal => {
  if (reason === "busy") return { code: "EDGE_BUSY" };
  const code = reason === "first-byte" || reason === "idle" ? "UPSTREAM_TIMEOUT" : "UPSTREAM_FAILED";
  return { code, data: { path } };
};

/** A reader of a part that is far ahead of what has come does not wait for all before it. */
const hurry = (exchange: RawExchange, content: Content, bringNear: (start: number, end: number) => void): void => {
  const { body, described } = content;
  if (Buffer.isBuffer(body) || body.state !== "filling" || body.sizeBytes === undefined) return;
  const range = exchange.method === "GET" && described.status === 200 ? exchange.header("range") : undefined;
  if (range === undefined) return;
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range.trim()) ?? [];
  if (first === "" && last === "") return;
  const { sizeBytes } = body;
  const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  // To the end of the body: a reader that goes on finds the rest, and the front stops where this begins.
  if (start < sizeBytes && !body.isNear(start, NEAR_BYTES)) bringNear(start, sizeBytes);
};

/**
 * Brings what a viewer will ask for next: after a segment of something whole, the next one of the same rendition, so
 * that it is there when it is asked for. It holds no more than the viewers of now need, and stops while too much of it
 * goes unused (domain/prefetch, domain/cache-policy).
 */

import type { CachePolicy } from "../../domain/cache-policy/cache-policy.ts";
import { NextSegments } from "../../domain/prefetch/next-segments.ts";
import { playlistKind } from "../../domain/prefetch/playlist-segments.ts";
import { ViewerBudget } from "../../domain/prefetch/viewer-budget.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import { lineOf } from "../../lib/http/raw-lines.ts";
import type { Content } from "../node/answer.ts";
import type { Asked } from "./finder.ts";
import type { Plan } from "./verdict.ts";

export interface PrefetcherDeps {
  readonly policy: CachePolicy;
  /** Has the object of a target fetched, if nobody has it. */
  readonly bring: (request: Asked & { readonly host: string }, target: string, plan: Plan) => void;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** What was answered for a plan. */
export type Answered = Pick<Content, "described" | "body">;

const BUDGET_MS = 1_000;

export class Prefetcher {
  readonly #deps: PrefetcherDeps;
  readonly #next = new NextSegments();
  /** Bodies of playlists that were read: a hit is not read again. */
  readonly #learned = new WeakSet<Buffer>();
  readonly #viewers = new ViewerBudget();
  #budgetAtMs = 0;

  constructor(deps: PrefetcherDeps) {
    this.#deps = deps;
  }

  /** A viewer was answered with this. */
  answered(exchange: RawExchange, plan: Plan, { described, body }: Answered): void {
    if (exchange.method !== "GET" || described.status !== 200) return;
    const { site } = plan.runtime;
    const mark = plan.target.indexOf("?");
    const path = mark === -1 ? plan.target : plan.target.slice(0, mark);
    const kind = playlistKind(path, lineOf(described.lines, "content-type"));
    if (kind === undefined) this.#follow(exchange, plan, Buffer.isBuffer(body) ? body.length : (body.sizeBytes ?? 0));
    else if (Buffer.isBuffer(body) || body.state === "whole") {
      const bytes = Buffer.isBuffer(body) ? body : body.view();
      if (this.#learned.has(bytes)) return;
      this.#learned.add(bytes);
      this.#next.learn({ host: hostOf(site.id), target: plan.target, kind, text: bytes.toString("utf8") });
    }
  }

  #follow(exchange: RawExchange, plan: Plan, sizeBytes: number): void {
    const [target] = this.#next.after(hostOf(plan.runtime.site.id), plan.target);
    if (target === undefined) return;
    const { policy, nowMs, bring } = this.#deps;
    const now = nowMs();
    const { remoteAddress: viewer, host } = exchange;
    this.#viewers.seen(viewer, sizeBytes, now);
    if (now - this.#budgetAtMs > BUDGET_MS) {
      this.#budgetAtMs = now;
      policy.setPrefetchBudget(this.#viewers.bytes(now));
    }
    if (!this.#viewers.serves(viewer, policy.prefetchBytesMax, now)) return;
    bring({ host, path: target, fields: [], header: () => undefined, isPrefetch: true }, target, plan);
  }
}

/** Names of sites stand in for hosts: those of one site share their objects. A host has no slash. */
const hostOf = (siteId: string): string => siteId.replaceAll("/", "~");

/**
 * Brings what a viewer will ask for next: after a segment of something whole, the next one of the same rendition, so
 * that it is there when it is asked for. It holds no more than the viewers of now need, and stops while too much of it
 * goes unused (domain/prefetch, domain/cache-policy).
 */

import type { CachePolicy } from "../../domain/cache-policy/cache-policy.ts";
import { NextSegments } from "../../domain/prefetch/next-segments.ts";
import { PLAYLIST_LENGTH_MAX, type PlaylistKind, playlistKind } from "../../domain/prefetch/playlist-segments.ts";
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
export interface Answered extends Pick<Content, "described" | "body"> {
  readonly isNew: boolean;
}

const BUDGET_MS = 1_000;
/**
 * Of a few viewers a mean of segments says little: after one of sound it left no room for one of pictures, which was
 * fetched ahead, thrown away and fetched again. 10 s at 12 Mbit/s; the policy's own share is a limit as before.
 */
const BUDGET_BYTES_MIN = 16 * 1024 * 1024;
/** Segments ahead of a viewer that are kept where they are there: half a minute of most. */
const EXPECTED_COUNT = 8;

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

  /** Whether an answer from the cache tells anything: most are no playlist, and of none. */
  isOfUse({ playlist }: Plan): boolean {
    return playlist !== undefined || this.#next.segmentCount > 0;
  }

  /** A viewer was answered with this; `isNew` when it came from an origin. */
  answered(exchange: RawExchange, plan: Plan, { described, body, isNew }: Answered): void {
    if (exchange.method !== "GET" || described.status !== 200) return;
    const type = isNew ? lineOf(described.lines, "content-type") : undefined;
    const kind = plan.playlist ?? (isNew ? playlistKind(plan.target, type) : undefined);
    if (kind !== undefined) this.#learn(plan, kind, body);
    else if (this.#next.segmentCount > 0) this.#follow(exchange, plan, body);
  }

  #learn(plan: Plan, kind: PlaylistKind, body: Content["body"]): void {
    if (!Buffer.isBuffer(body) && body.state !== "whole") return;
    const bytes = Buffer.isBuffer(body) ? body : body.view();
    if (bytes.length > PLAYLIST_LENGTH_MAX || this.#learned.has(bytes)) return;
    this.#learned.add(bytes);
    const text = bytes.toString("utf8");
    this.#next.learn({ host: hostOf(plan.runtime.site.id), target: plan.target, kind, text });
  }

  /** What a viewer who was given a segment will ask for is kept, and the next one fetched. */
  #follow(exchange: RawExchange, plan: Plan, body: Content["body"]): void {
    const { site } = plan.runtime;
    const [next, ...later] = this.#next.after(hostOf(site.id), plan.target, EXPECTED_COUNT);
    if (next === undefined) return;
    const { policy, nowMs } = this.#deps;
    for (const target of [next, ...later]) policy.expect(`${site.id} ${target}`);
    if (!plan.rule.prefetch) return;
    const now = nowMs();
    const sizeBytes = Buffer.isBuffer(body) ? body.length : (body.sizeBytes ?? 0);
    const { remoteAddress: viewer, host } = exchange;
    this.#viewers.seen(viewer, sizeBytes, now);
    if (now - this.#budgetAtMs > BUDGET_MS) {
      this.#budgetAtMs = now;
      policy.setPrefetchBudget(Math.max(BUDGET_BYTES_MIN, this.#viewers.bytes(now)));
    }
    if (!this.#viewers.serves(viewer, policy.prefetchBytesMax, now)) return;
    this.#deps.bring({ host, path: next, fields: [], header: () => undefined, isPrefetch: true }, next, plan);
  }
}

/** Names of sites stand in for hosts: those of one site share their objects. A host has no slash. */
const hostOf = (siteId: string): string => siteId.replaceAll("/", "~");

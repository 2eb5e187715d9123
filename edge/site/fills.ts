/** All fills of sites that are going on: at most one per key. */
import type { FieldList, FieldLookup } from "../../domain/http-cache/fields.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Allocate, ByteBudget } from "../cache/body.ts";
import type { Described, Stored } from "../cache/stored.ts";
import type { Rule } from "../config/sites.ts";
import type { EdgeMetrics } from "../node/metrics.ts";
import type { SiteFacts } from "./entry.ts";
import { SiteFill, type Vary } from "./fill.ts";
import type { SiteRuntime } from "./runtime.ts";

export interface FillTask {
  /** Of the object, whatever it varies by. */
  readonly primaryKey: string;
  /** Of the variant that the request is for, as far as it is known. */
  readonly key: string;
  readonly runtime: SiteRuntime;
  readonly rule: Rule;
  /** Path and query as the origin gets them. */
  readonly target: string;
  /** End-to-end fields for the origin. */
  readonly fields: FieldList;
  /** Of the request that began it. */
  readonly requestField: FieldLookup;
  /** What the cache has, stale. */
  readonly stored: Stored | undefined;
  readonly kind: "asked" | "prefetched";
}

/** A whole answer that may be kept. */
export interface Kept {
  readonly described: Described;
  readonly body: Buffer;
  readonly facts: SiteFacts;
  readonly tags: readonly string[];
  readonly vary: Vary | undefined;
  /** Of the purges when it was asked for. */
  readonly seq: number;
}

/** Where fills put what they get. */
export interface SiteStore {
  /** The number of the last purge. */
  readonly seq: number;
  keep(task: FillTask, kept: Kept): void;
  renewed(task: FillTask, stored: Stored): void;
  /** Answers to this are for one request alone, or too large: for a while nobody waits for another's. */
  uncacheable(task: FillTask, why: { readonly isTooLarge: boolean }): void;
}

export interface SiteFillDeps {
  readonly store: SiteStore;
  readonly metrics: EdgeMetrics;
  readonly budget: ByteBudget;
  readonly allocate: Allocate;
  readonly objectBytesMax: number;
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Since 1970. */
  readonly wallMs: () => number;
  readonly via: string;
}

/** More at once are refused: each costs a connection, and what viewers wait for can't be more than this for long. */
const FILLS_MAX = 2_000;

export class SiteFills {
  readonly #deps: SiteFillDeps;
  readonly #running = new Map<string, SiteFill>();

  constructor(deps: SiteFillDeps) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#running.size;
  }
  get isFull(): boolean {
    return this.#running.size >= FILLS_MAX;
  }

  running(key: string): SiteFill | undefined {
    const fill = this.#running.get(key);
    return fill?.isBroken ? undefined : fill;
  }

  /** Joins the fill of this key or starts one; undefined when there are too many. */
  join(task: FillTask): { readonly fill: SiteFill; readonly isJoined: boolean } | undefined {
    const running = this.running(task.key);
    if (running) return { fill: running, isJoined: true };
    if (this.isFull) return undefined;
    const fill = new SiteFill(task, this.#deps);
    this.#running.set(task.key, fill);
    void fill.run().then(() => {
      if (this.#running.get(task.key) === fill) this.#running.delete(task.key);
    });
    return { fill, isJoined: false };
  }

  /** One that nobody joins: its request is answered for itself alone unless the answer says otherwise. */
  alone(task: FillTask): SiteFill | undefined {
    if (this.isFull) return undefined;
    const fill = new SiteFill(task, this.#deps);
    void fill.run();
    return fill;
  }
}

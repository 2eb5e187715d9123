/** All fills that are going on: at most one per key. */

import type { Log } from "../../lib/log/log.ts";
import type { Allocate, ByteBudget } from "../cache/body.ts";
import type { ObjectKind } from "../cache/object-kind.ts";
import type { Floors, LiveWindows } from "../cache/progress.ts";
import type { Cache, Stored } from "../cache/stored.ts";
import type { EdgeMetrics } from "../node/metrics.ts";
import type { Family } from "./choice.ts";
import { Fill } from "./fill.ts";
import type { Health } from "./health.ts";
import type { Upstream } from "./upstream.ts";

export interface FillTask {
  readonly key: string;
  /** Key of the rendition that the object belongs to. */
  readonly rendition: string;
  /** Below the stream's folder. */
  readonly path: string;
  /** Sent on, and part of the key; undefined where origins take none. */
  readonly query: string | undefined;
  readonly kind: ObjectKind;
  readonly family: Family;
  readonly segmentMs: number;
  readonly segmentNumber: number | undefined;
  /** A segment that viewers know of: it is waited for. */
  readonly live: boolean;
  /** What the cache has, stale. */
  readonly stored: Stored | undefined;
}

export interface FillDeps {
  readonly cache: Cache;
  readonly floors: Floors;
  readonly windows: LiveWindows;
  readonly health: Health;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  readonly allocate: Allocate;
  readonly metrics: EdgeMetrics;
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** Value of the Via header towards origins. */
  readonly via: string;
}

/** More at once are refused: each costs a connection, and what viewers wait for can't be more than this for long. */
const FILLS_MAX = 2_000;

export class Fills {
  readonly #deps: FillDeps;
  readonly #running = new Map<string, Fill>();

  constructor(deps: FillDeps) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#running.size;
  }

  /** Joins the fill of this key or starts one; undefined when there are too many. */
  join(task: FillTask): { readonly fill: Fill; readonly joined: boolean } | undefined {
    const running = this.#running.get(task.key);
    if (running && !running.broken) return { fill: running, joined: true };
    if (this.#running.size >= FILLS_MAX) return undefined;
    const fill = new Fill(task, this.#deps);
    this.#running.set(task.key, fill);
    void fill.run().then(() => {
      if (this.#running.get(task.key) === fill) this.#running.delete(task.key);
    });
    return { fill, joined: false };
  }
}

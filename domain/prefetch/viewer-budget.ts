/**
 * How many bytes prefetching may hold: the next segment of each viewer who is active, and as much again for those that
 * are switched away from before they are asked for. When the cache can't give that much, only a part of the viewers is
 * served, always the same ones: a queue that is too short would lose the segments of all before they are asked for.
 */
import { hashOf } from "../cache-policy/key-hash.ts";

/** Longer than the segments that players take: 10 s, three times. */
const ACTIVE_MS = 30_000;
/** 64 Ki × ~150 bytes ≈ 10 MB; more viewers than that are counted as so many. */
const VIEWERS_MAX = 65_536;
const SEGMENTS_PER_VIEWER = 2;
/** Mean of about the last so many segments. */
const MEAN_SEGMENTS = 256;
const HASHES = 2 ** 32;

export interface ViewerBudgetOptions {
  readonly activeMs?: number;
  readonly viewersMax?: number;
}

export class ViewerBudget {
  readonly #activeMs: number;
  readonly #viewersMax: number;
  /** When each viewer was last seen, the longest ago first. */
  readonly #seenAtMs = new Map<string, number>();
  #meanBytes = 0;

  constructor({ activeMs = ACTIVE_MS, viewersMax = VIEWERS_MAX }: ViewerBudgetOptions = {}) {
    this.#activeMs = activeMs;
    this.#viewersMax = viewersMax;
  }

  /** A viewer got a segment. A viewer is whatever tells two apart: an address, a session. */
  seen(viewer: string, segmentBytes: number, nowMs: number): void {
    this.#seenAtMs.delete(viewer);
    this.#seenAtMs.set(viewer, nowMs);
    this.#prune(nowMs);
    this.#meanBytes += (segmentBytes - this.#meanBytes) / (this.#meanBytes === 0 ? 1 : MEAN_SEGMENTS);
  }

  activeCount(nowMs: number): number {
    this.#prune(nowMs);
    return this.#seenAtMs.size;
  }

  /** What `CachePolicy.setPrefetchBudget` takes. */
  bytes(nowMs: number): number {
    return SEGMENTS_PER_VIEWER * this.activeCount(nowMs) * this.#meanBytes;
  }

  /** Is this viewer among those for whom there is room in `prefetchBytesMax`? */
  serves(viewer: string, prefetchBytesMax: number, nowMs: number): boolean {
    const wantedBytes = this.bytes(nowMs);
    return wantedBytes <= prefetchBytesMax || (hashOf(viewer, 0) >>> 0) / HASHES < prefetchBytesMax / wantedBytes;
  }

  #prune(nowMs: number): void {
    for (const [viewer, seenAtMs] of this.#seenAtMs) {
      if (nowMs - seenAtMs <= this.#activeMs && this.#seenAtMs.size <= this.#viewersMax) return;
      this.#seenAtMs.delete(viewer);
    }
  }
}

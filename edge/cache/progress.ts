/**
 * What viewers of a stream have seen so far, which outlives the objects in the cache: the newest position of each
 * playlist, and the segment numbers that are live.
 */
import { LRUCache } from "lru-cache";
import { isOlder, type Position } from "./position.ts";

/** How long a playlist that goes nowhere is kept up against older ones: then an origin that began anew is believed. */
const HELD_SEGMENTS = 6;
const PLAYLISTS_MAX = 50_000;
const RENDITIONS_MAX = 50_000;
/** Where only DASH is played, no playlist tells the numbers: segments so far behind the newest count as live. */
const LIVE_SEGMENTS = 5;

interface Floor {
  readonly position: Position;
  readonly untilMs: number;
}

/** Per playlist key, how far it has been shown. Time comes in as monotonic ms. */
export class Floors {
  readonly #floors = new LRUCache<string, Floor>({ max: PLAYLISTS_MAX });

  isTooOld(key: string, position: Position | undefined, nowMs: number): boolean {
    const floor = this.#floors.get(key);
    if (!floor || !position || nowMs >= floor.untilMs) return false;
    return isOlder(position, floor.position);
  }

  /** Until when the newest one shown may go on being shown; 0 when there is none. */
  heldUntilMs(key: string): number {
    return this.#floors.get(key)?.untilMs ?? 0;
  }

  shown(key: string, position: Position | undefined, at: { nowMs: number; segmentMs: number }): void {
    if (position) this.#floors.set(key, { position, untilMs: at.nowMs + HELD_SEGMENTS * at.segmentMs });
  }
}

interface Window {
  readonly first: number;
  readonly last: number;
  /** A playlist told it. */
  readonly listed: boolean;
}

/**
 * Per rendition, the numbers that a viewer may rightly ask for. Not per stream: a segment that is waited for costs its
 * origins a request every 200 ms, and names of renditions that don't exist are anybody's to make up.
 */
export class LiveWindows {
  readonly #windows = new LRUCache<string, Window>({ max: RENDITIONS_MAX });

  listed(rendition: string, position: Position | undefined): void {
    if (position?.kind !== "media") return;
    const before = this.#windows.get(rendition);
    this.#windows.set(rendition, {
      first: position.mediaSequence,
      last: Math.max(position.lastNumber, before?.last ?? 0),
      listed: true,
    });
  }

  delivered(rendition: string, segmentNumber: number): void {
    const before = this.#windows.get(rendition);
    if (before && segmentNumber <= before.last) return;
    const listed = before?.listed ?? false;
    this.#windows.set(rendition, {
      first: before && listed ? before.first : segmentNumber - LIVE_SEGMENTS,
      last: segmentNumber,
      listed,
    });
  }

  /**
   * True for a segment that is listed or comes next: another origin may have it in a moment, so it is waited for. A 404
   * would be final for players.
   */
  isLive(rendition: string, segmentNumber: number): boolean {
    const window = this.#windows.get(rendition);
    return window !== undefined && segmentNumber >= window.first && segmentNumber <= window.last + 1;
  }
}

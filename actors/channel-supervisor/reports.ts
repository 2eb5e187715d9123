/** What our streamers said last, kept per process for all supervisors in it. Soft state: filled by broadcast hints. */
import type { StreamerReported, StreamReport } from "../../contracts/streamer.ts";

/** Three reports of one each 2 s, and a second for a busy machine. */
export const REPORT_STALE_MS = 7_000;
/** A node that has not reported for this long is forgotten. */
const REPORT_FORGOTTEN_MS = 10 * 60_000;

export interface StreamerRef {
  readonly nodeId: string;
  readonly ordinal: number;
}
export interface Heard {
  readonly report: StreamerReported;
  readonly atMs: number;
}

const keyOf = ({ nodeId, ordinal }: StreamerRef): string => `${nodeId}/${ordinal}`;

export class Reports {
  readonly #heard = new Map<string, Heard>();
  readonly #listeners = new Map<string, Set<(heard: Heard) => void>>();

  hear(report: StreamerReported, nowMs: number): void {
    const heard = { report, atMs: nowMs };
    const key = keyOf(report);
    this.#heard.set(key, heard);
    for (const [other, { atMs }] of this.#heard) if (nowMs - atMs > REPORT_FORGOTTEN_MS) this.#heard.delete(other);
    for (const listener of this.#listeners.get(key) ?? []) listener(heard);
  }

  last(ref: StreamerRef): Heard | undefined {
    return this.#heard.get(keyOf(ref));
  }

  /** Calls `listener` at each report of that streamer; returns how to stop that. */
  listen(ref: StreamerRef, listener: (heard: Heard) => void): () => void {
    const key = keyOf(ref);
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(key);
    };
  }
}

/** The stream of that name in a streamer's report. */
export const streamIn = (
  heard: Heard,
  { tenant, streamId }: { tenant: string; streamId: string },
): StreamReport | undefined => heard.report.streams.find((s) => s.tenant === tenant && s.streamId === streamId);

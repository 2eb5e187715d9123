/** What our streamers said last about their streams: soft state of the process that answers, for the live status. */
import type { StreamerReported } from "../../contracts/streamer.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Live } from "./view.ts";

/** A streamer that has not reported for this long says nothing about now. */
const STALE_MS = 7_000;

export class Heard {
  readonly #clock: Clock;
  readonly #reports = new Map<string, { report: StreamerReported; atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hear(report: StreamerReported): void {
    const atMs = this.#clock.nowMs();
    for (const [key, last] of this.#reports) if (atMs - last.atMs > STALE_MS) this.#reports.delete(key);
    this.#reports.set(`${report.nodeId}/${report.ordinal}`, { report, atMs });
  }

  /** Undefined where the streamer is silent, or does not run that stream. */
  live(
    { nodeId, ordinal }: { nodeId: string; ordinal: number },
    { tenant, streamId }: { tenant: string; streamId: string },
  ): Live | undefined {
    const last = this.#reports.get(`${nodeId}/${ordinal}`);
    if (last === undefined || this.#clock.nowMs() - last.atMs > STALE_MS) return undefined;
    const stream = last.report.streams.find((s) => s.tenant === tenant && s.streamId === streamId);
    if (stream === undefined) return undefined;
    const { state, lastSegmentNumber, startCount, message } = stream;
    return { state, observedAt: new Date(last.atMs).toISOString(), lastSegmentNumber, startCount, message };
  }
}

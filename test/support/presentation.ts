/** Feeds a presentation with encoded tracks under a clock of its own. */
import { type FrameRate, type Grid, gridOf } from "../../domain/live/grid.ts";
import { Presentation } from "../../domain/live/presentation.ts";
import type { Rendition } from "../../domain/live/rendition.ts";
import type { Sample } from "../../domain/mp4/fragment.ts";
import type { Track } from "./lavfi.ts";

/** A segment boundary of every grid with segments of 1, 2 or 4 GOPs: 2026-11-21 or near it. */
export const someStart = (grid: Grid): number =>
  Math.floor((1_795_262_400_000 * 90) / (grid.gopTicks * 4)) * grid.gopTicks * 4;

export interface Setup {
  readonly frameRate?: FrameRate;
  readonly segmentMs?: number;
  readonly windowSegments?: number;
  readonly ringBytesMax?: number;
  readonly names?: readonly string[];
}
export const presentationOf = (setup: Setup = {}): Presentation => {
  const { frameRate = { num: 25, den: 1 }, segmentMs = 1_000, windowSegments = 6, ringBytesMax = 1e8 } = setup;
  return new Presentation({
    grid: gridOf({ segmentMs, partMs: 200, frameRate }),
    windowSegments,
    ringBytesMax,
    netTimeoutMs: 500,
    renditions: (setup.names ?? ["v0", "a0"]).map((name) => ({ name, kind: name.startsWith("v") ? "video" : "audio" })),
  });
};

/** A sample at a stream time of its own choice. */
export const moved = (sample: Sample, ticks: number, timescale: number): Sample => ({
  ...sample,
  dts: sample.dts + Math.round((ticks * timescale) / 90_000),
});

export interface Part {
  readonly name: string;
  readonly track: Track;
  /** Stream time of the track's 0, ticks. */
  readonly atTicks: number;
  /** Indices of the samples to give; all where absent. */
  readonly from?: number;
  readonly to?: number;
}

/** Gives samples in the order of their time, each when it is over; ticks the clock in between like a streamer does. */
export const feed = (presentation: Presentation, parts: readonly Part[]): void => {
  const queue = parts
    .flatMap(({ name, track, atTicks, from = 0, to }) =>
      track.samples.slice(from, to).map((sample) => {
        const { timescale } = track.info;
        const placed = moved(sample, atTicks, timescale);
        const nowMs = presentation.wallClockMs(((placed.dts + placed.duration) * 90_000) / timescale);
        return { name, placed, nowMs };
      }),
    )
    .toSorted((a, b) => a.nowMs - b.nowMs);
  for (const { name, placed, nowMs } of queue) {
    presentation.tick(nowMs);
    presentation.append(name, placed, nowMs);
  }
};

/** Ticks every 20 ms from one stream time to another. */
export const wait = (presentation: Presentation, fromTicks: number, toTicks: number): void => {
  for (let ticks = fromTicks; ticks <= toTicks; ticks += 1_800) presentation.tick(presentation.wallClockMs(ticks));
};

/** What a viewer downloads: init segment and all complete segments. */
export const fileOf = ({ init, segments }: Rendition): Buffer =>
  Buffer.concat([init ?? Buffer.alloc(0), ...segments.flatMap(({ chunks }) => chunks)]);

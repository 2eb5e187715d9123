/** Numbers and times of the segments of a SegmentTemplate (ISO/IEC 23009-1 §5.3.9.5, §5.3.9.6). */
import { TARGETS_MAX } from "./targets.ts";
import type { XmlElement } from "./xml-tree.ts";

export interface Timing {
  readonly timeline: XmlElement | undefined;
  /** Ticks per second. */
  readonly timescale: number;
  /** Ticks; 0: none is given. */
  readonly duration: number;
  readonly presentationTimeOffset: number;
  readonly startNumber: number;
  readonly endNumber: number;
  readonly periodSeconds: number | undefined;
}

export interface SegmentTime {
  readonly number: number;
  /** Ticks. */
  readonly time: number;
}

/** A little less than one tick: durations of text don't divide exactly. */
const ROUNDING = 1e-6;

/** Equal durations: as many as fill the Period (§5.3.9.5.3). */
function* byDuration(timing: Timing): Generator<SegmentTime> {
  const { timescale, duration, presentationTimeOffset, startNumber, endNumber, periodSeconds } = timing;
  const byPeriod =
    periodSeconds === undefined ? Infinity : Math.ceil((periodSeconds * timescale) / duration - ROUNDING);
  const count = Math.min(byPeriod, endNumber - startNumber + 1);
  if (count > TARGETS_MAX) return; // without an end, or longer than is kept
  for (let n = 0; n < count; n += 1) yield { number: startNumber + n, time: presentationTimeOffset + n * duration };
}

const ticks = (element: XmlElement, name: string): number | undefined => {
  const text = element.attributes.get(name);
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
};

/** How often an S is repeated (§5.3.9.6.2): below zero up to the next S, or to the end of the Period. */
const repeats = (element: XmlElement, time: number, end: number | undefined): number => {
  const r = ticks(element, "r") ?? 0;
  if (r >= 0) return r;
  const duration = ticks(element, "d") ?? 0;
  return end === undefined || duration <= 0 ? 0 : Math.max(0, Math.ceil((end - time) / duration - ROUNDING) - 1);
};

function* byTimeline(timing: Timing, timeline: XmlElement): Generator<SegmentTime> {
  const { timescale, presentationTimeOffset, periodSeconds } = timing;
  const elements = timeline.children.filter(({ name }) => name === "S");
  const periodEnd = periodSeconds === undefined ? undefined : presentationTimeOffset + periodSeconds * timescale;
  let number = timing.startNumber;
  let time = 0;
  for (const [index, element] of elements.entries()) {
    const duration = ticks(element, "d") ?? 0;
    if (duration <= 0) return;
    time = ticks(element, "t") ?? time;
    number = ticks(element, "n") ?? number;
    const next = elements[index + 1];
    const end = next === undefined ? periodEnd : ticks(next, "t");
    const count = repeats(element, time, end) + 1;
    for (let n = 0; n < count; n += 1) {
      if (number > timing.endNumber) return;
      yield { number, time };
      number += 1;
      time += duration;
    }
  }
}

/** In order; nothing when there is neither a timeline nor a duration. The caller stops when it has enough. */
export const segmentTimes = (timing: Timing): Iterable<SegmentTime> => {
  if (timing.timeline !== undefined) return byTimeline(timing, timing.timeline);
  return timing.duration > 0 ? byDuration(timing) : [];
};

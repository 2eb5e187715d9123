/** Which whole segments a viewer asked for with `start` and `end` (C-65): the same bytes under the same names. */
import type { SegmentPlan } from "./plan.ts";

/** 0-based segments from `first` up to `end`, exclusive. */
export interface SegmentRange {
  readonly first: number;
  readonly end: number;
}

/** Seconds of the presentation. */
export interface TimeSpan {
  readonly startSeconds: number;
  /** Null: to the end. */
  readonly endSeconds: number | null;
}

/** All segments. */
export const wholeRange = (plan: SegmentPlan): SegmentRange => ({ first: 0, end: plan.count });

/** The segments that have something of the span; null when there are none, because it begins behind the end. */
export const segmentRange = (plan: SegmentPlan, span: TimeSpan | null): SegmentRange | null => {
  if (plan.count === 0) return null;
  if (span === null) return wholeRange(plan);
  const { starts, count } = plan;
  if (span.startSeconds >= starts[count]!) return null;
  let first = 0;
  while (first + 1 < count && starts[first + 1]! <= span.startSeconds) first += 1;
  let end = first + 1;
  while (end < count && (span.endSeconds === null || starts[end]! < span.endSeconds)) end += 1;
  return { first, end };
};

/** Seconds of the presentation in which a segment is shown; the first one from the beginning, whatever is in it. */
export const segmentInterval = (
  { starts }: SegmentPlan,
  segmentIndex: number,
): { readonly startSeconds: number; readonly endSeconds: number } => ({
  startSeconds: segmentIndex === 0 ? Math.min(0, starts[0]!) : starts[segmentIndex]!,
  endSeconds: starts[segmentIndex + 1]!,
});

/** Which batches of one series were counted, and of which some parts. Pure: kept with the counts, in one write. */

import type { SequenceRange } from "../../domain/accounting/batch.ts";
import { type Admission, admit, type Counted } from "../../domain/accounting/deliveries.ts";

/** A batch that came in several messages, some of which were counted. */
export interface PartialBatch extends SequenceRange {
  readonly partCount: number;
  readonly parts: readonly number[];
}
export interface Received {
  readonly counted: Counted;
  readonly partial: readonly PartialBatch[];
}
export interface Part extends SequenceRange {
  readonly part: number;
  readonly partCount: number;
}

export const NOTHING: Received = { counted: [], partial: [] };
/** An edge sends one batch after the other; more than two come of an edge that runs twice. */
export const PARTIAL_MAX = 16;

const overlaps = (a: SequenceRange, b: SequenceRange): boolean => a.first <= b.sequence && b.first <= a.sequence;
const isSameBatch = (a: PartialBatch, b: Part): boolean =>
  a.first === b.first && a.sequence === b.sequence && a.partCount === b.partCount;

/** Whether a part is to be counted, and what was received then. A batch is in `counted` when all its parts are. */
export const admitPart = (received: Received, range: Part): [admission: Admission, received: Received] => {
  const { part, partCount } = range;
  const [admission, counted] = admit(received.counted, range);
  if (admission !== "new") return [admission, received];
  if (part >= partCount) return ["conflict", received];
  const before = received.partial.find((one) => overlaps(one, range));
  if (before && !isSameBatch(before, range)) return ["conflict", received];
  if (before?.parts.includes(part)) return ["duplicate", received];
  const others = received.partial.filter((one) => one !== before);
  const parts = [...(before?.parts ?? []), part];
  if (parts.length === partCount) return ["new", { counted, partial: others }];
  if (others.length >= PARTIAL_MAX) return ["full", received];
  const { first, sequence } = range;
  return ["new", { counted: received.counted, partial: [...others, { first, sequence, partCount, parts }] }];
};

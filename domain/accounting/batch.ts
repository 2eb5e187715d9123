/** Counts of a period on their way upstream, and what becomes of many that nobody takes. */
import type { AccountFigures } from "./columns.ts";
import { AccountTable, type StoredRow } from "./table.ts";

/** Sequence numbers `first` to `sequence`: one, but for periods that were joined. */
export interface SequenceRange {
  readonly first: number;
  readonly sequence: number;
}

/** A sealed period as the journal holds it. Never changes once it was offered. */
export interface StoredBatch extends SequenceRange {
  /** Since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly rows: readonly StoredRow[];
}

/** What goes upstream. The same edge, series and sequence numbers are the same counts, however often they come. */
export interface AccountBatch extends SequenceRange {
  readonly edge: string;
  /** Of one life of the edge's journal: its numbers begin anew when the journal is lost. */
  readonly series: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly rows: readonly AccountFigures[];
}

const HOUR_MS = 3_600_000;
/** Widths of what periods are joined to, one after the other until there is room. */
const WIDTHS_MS = [HOUR_MS, 24 * HOUR_MS, 30 * 24 * HOUR_MS, Number.POSITIVE_INFINITY];

const joined = (a: StoredBatch, b: StoredBatch, rowsMax: number): StoredBatch => {
  const table = new AccountTable(rowsMax, a.rows);
  table.addStored(b.rows);
  return {
    first: a.first,
    sequence: b.sequence,
    fromMs: Math.min(a.fromMs, b.fromMs),
    toMs: Math.max(a.toMs, b.toMs),
    rows: table.stored(),
  };
};

export const rowsIn = (batches: readonly StoredBatch[]): number =>
  batches.reduce((sum, { rows }) => sum + rows.length, 0);

/**
 * Joins the oldest periods to hours, then days, months and one, until `rowsGoal` rows are left in all: nothing is lost
 * but resolution. The first batch stays as it is: it may have been delivered without our knowing.
 */
export const joinBacklog = (
  batches: readonly StoredBatch[],
  { rowsGoal, rowsMax }: { readonly rowsGoal: number; readonly rowsMax: number },
): StoredBatch[] => {
  let left = [...batches];
  let rowCount = rowsIn(left);
  for (const widthMs of WIDTHS_MS) {
    const kept = left.slice(0, 1);
    for (const batch of left.slice(1)) {
      const before = kept.length > 1 ? kept.at(-1) : undefined;
      const isNear = before && Math.floor(before.fromMs / widthMs) === Math.floor(batch.fromMs / widthMs);
      if (rowCount <= rowsGoal || !isNear) {
        kept.push(batch);
        continue;
      }
      const one = joined(before, batch, rowsMax);
      rowCount += one.rows.length - before.rows.length - batch.rows.length;
      kept[kept.length - 1] = one;
    }
    left = kept;
  }
  return left;
};

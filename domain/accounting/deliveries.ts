/** The receiver's side of accounting: each batch counts once, however often and in whatever order it comes. */
import type { AccountBatch, SequenceRange } from "./batch.ts";

/**
 * `new`: count it. `duplicate`: it was counted. `conflict`: some of its numbers were counted and some not, which no
 * edge with an intact journal sends; it is said and not counted. All three are acknowledged. `full`: too many gaps are
 * open; not acknowledged, it comes again.
 */
export type Admission = "new" | "duplicate" | "conflict" | "full";

/** Numbers of one series that were counted: apart, in order, neighbours joined. */
export type Counted = readonly SequenceRange[];

/** An edge waits for an acknowledgement before it sends the next batch: gaps are rare, and close. */
export const GAPS_MAX = 1_000;

/** Whether a batch is to be counted, and what is counted then. Pure: keep the result with the counts, in one write. */
export const admit = (
  counted: Counted,
  { first, sequence }: SequenceRange,
): [admission: Admission, counted: Counted] => {
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(sequence) || first < 1 || first > sequence) {
    return ["conflict", counted];
  }
  const touching = counted.filter((one) => one.first <= sequence && one.sequence >= first);
  const [only] = touching;
  if (only) {
    const isWithin = only.first <= first && only.sequence >= sequence;
    return [isWithin ? "duplicate" : "conflict", counted];
  }
  const before = counted.filter((one) => one.sequence < first);
  const after = counted.filter((one) => one.first > sequence);
  const left = before.at(-1);
  const right = after[0];
  const isLeftNear = left?.sequence === first - 1;
  const isRightNear = right?.first === sequence + 1;
  const one = {
    first: isLeftNear ? left.first : first,
    sequence: isRightNear ? right.sequence : sequence,
  };
  const next = [...(isLeftNear ? before.slice(0, -1) : before), one, ...(isRightNear ? after.slice(1) : after)];
  return next.length > GAPS_MAX + 1 ? ["full", counted] : ["new", next];
};

/** What was counted of all edges, in memory. */
export class Deliveries {
  readonly #counted = new Map<string, Counted>();

  accept({ edge, series, first, sequence }: Omit<AccountBatch, "rows" | "fromMs" | "toMs">): Admission {
    const name = JSON.stringify([edge, series]);
    const [admission, counted] = admit(this.#counted.get(name) ?? [], { first, sequence });
    this.#counted.set(name, counted);
    return admission;
  }
}

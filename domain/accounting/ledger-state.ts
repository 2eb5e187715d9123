/**
 * What an edge knows of its counts, made from the records of its journal alone: the same records give the same state.
 *
 * A batch is open (it is counted into), then sealed (it never changes, and is offered upstream until it is done), then
 * gone. Every record names its batch, so that one that was lost takes nothing else with it.
 */
import { joinBacklog, rowsIn, type StoredBatch } from "./batch.ts";
import type { AccountDelta } from "./columns.ts";
import { AccountTable, type StoredRow } from "./table.ts";

export interface StateRecord {
  readonly kind: "state";
  readonly series: string;
  /** When the series began, since 1970. */
  readonly sinceMs: number;
  readonly open: StoredBatch;
  readonly sealed: readonly StoredBatch[];
  readonly totals: readonly StoredRow[];
}
export type JournalRecord =
  | StateRecord
  | {
      readonly kind: "count";
      readonly sequence: number;
      readonly fromMs: number;
      readonly toMs: number;
      readonly rows: readonly StoredRow[];
    }
  | { readonly kind: "seal"; readonly sequence: number }
  | { readonly kind: "done"; readonly sequence: number };

export interface LedgerLimits {
  /** Of each table. */
  readonly rowsMax: number;
  /** Of all sealed batches. */
  readonly backlogRowsMax: number;
}

class OpenBatch {
  readonly sequence: number;
  readonly table: AccountTable;
  fromMs = Number.POSITIVE_INFINITY;
  toMs = Number.NEGATIVE_INFINITY;

  constructor(sequence: number, rowsMax: number) {
    this.sequence = sequence;
    this.table = new AccountTable(rowsMax);
  }
  stored(): StoredBatch {
    const { sequence, fromMs, toMs } = this;
    const isEmpty = this.table.rowCount === 0; // JSON has no infinities
    const period = isEmpty ? { fromMs: 0, toMs: 0 } : { fromMs, toMs };
    return { first: sequence, sequence, ...period, rows: this.table.stored() };
  }
}

export class LedgerState {
  readonly #limits: LedgerLimits;
  #series: string;
  #sinceMs: number;
  #open: OpenBatch;
  #sealed: StoredBatch[] = [];
  #totals: AccountTable;

  constructor(series: string, sinceMs: number, limits: LedgerLimits) {
    this.#limits = limits;
    this.#series = series;
    this.#sinceMs = sinceMs;
    this.#open = new OpenBatch(1, limits.rowsMax);
    this.#totals = new AccountTable(limits.rowsMax);
  }

  get series(): string {
    return this.#series;
  }
  get sinceMs(): number {
    return this.#sinceMs;
  }
  get openSequence(): number {
    return this.#open.sequence;
  }
  get openRowCount(): number {
    return this.#open.table.rowCount;
  }
  /** Oldest first. */
  get sealed(): readonly StoredBatch[] {
    return this.#sealed;
  }
  get totals(): readonly AccountDelta[] {
    return this.#totals.rows();
  }
  get isOverfull(): boolean {
    return rowsIn(this.#sealed) > this.#limits.backlogRowsMax;
  }

  apply(record: JournalRecord): void {
    switch (record.kind) {
      case "state":
        this.#restore(record);
        break;
      case "count":
        if (record.sequence > this.#open.sequence) this.#seal(record.sequence); // its seal was lost
        this.#count(record);
        break;
      case "seal":
        if (record.sequence >= this.#open.sequence) this.#seal(record.sequence + 1);
        break;
      case "done":
        if (record.sequence >= this.#open.sequence) this.#seal(record.sequence + 1);
        this.#sealed = this.#sealed.filter(({ sequence }) => sequence > record.sequence);
    }
  }

  /** All of it as one record. */
  state(): StateRecord {
    return {
      kind: "state",
      series: this.#series,
      sinceMs: this.#sinceMs,
      open: this.#open.stored(),
      sealed: this.#sealed,
      totals: this.#totals.stored(),
    };
  }

  /** All of it, with older periods joined so that half of the backlog's room is free. */
  joinedState(): StateRecord {
    const { backlogRowsMax, rowsMax } = this.#limits;
    return { ...this.state(), sealed: joinBacklog(this.#sealed, { rowsGoal: backlogRowsMax / 2, rowsMax }) };
  }

  #restore({ series, sinceMs, open, sealed, totals }: StateRecord): void {
    this.#series = series;
    this.#sinceMs = sinceMs;
    this.#open = new OpenBatch(open.sequence, this.#limits.rowsMax);
    this.#sealed = [...sealed];
    this.#totals = new AccountTable(this.#limits.rowsMax, totals);
    if (open.rows.length > 0) this.#addToOpen(open);
  }

  #addToOpen({ fromMs, toMs, rows }: Pick<StoredBatch, "fromMs" | "toMs" | "rows">): void {
    this.#open.fromMs = Math.min(this.#open.fromMs, fromMs);
    this.#open.toMs = Math.max(this.#open.toMs, toMs);
    this.#open.table.addStored(rows);
  }

  #count(record: Extract<JournalRecord, { kind: "count" }>): void {
    this.#addToOpen(record);
    this.#totals.addStored(record.rows);
  }

  #seal(nextSequence: number): void {
    if (this.#open.table.rowCount > 0) this.#sealed.push(this.#open.stored());
    this.#open = new OpenBatch(nextSequence, this.#limits.rowsMax);
  }
}

/**
 * The edge's counts, kept: twice a second what was counted is written to a journal (edge/accounts in the data
 * directory) and synced, so that kill -9 or a power cut costs a second at most. Every minute it is sealed as a batch
 * and offered upstream until it is taken, in order, one at a time.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { AccountBatch, StoredBatch } from "../../domain/accounting/batch.ts";
import { type AccountDelta, type AccountFigures, COLUMN_COUNT, figuresOf } from "../../domain/accounting/columns.ts";
import { type JournalRecord, LedgerState } from "../../domain/accounting/ledger-state.ts";
import { AccountTable, type StoredRow } from "../../domain/accounting/table.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import { Courier, type Deliver } from "./courier.ts";
import { Journal, type OpenFile } from "./journal.ts";

export interface LedgerOptions {
  /** DATA_DIR. */
  readonly dataDir: string;
  /** Id of this edge. */
  readonly edge: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Resolves when the batch was taken for good. Without it batches are not made: all stays in one open period. */
  readonly deliver?: Deliver;
  readonly flushMs?: number;
  readonly periodMs?: number;
  readonly rowsMax?: number;
  /** Rows of all batches that wait to be taken; above it older ones are joined to hours, days, months. */
  readonly backlogRowsMax?: number;
  /** For tests: files that fail. */
  readonly openFile?: OpenFile;
  readonly monotonicMs?: () => number;
}

const FLUSH_MS = 500;
const PERIOD_MS = 60_000;
const ROWS_MAX = 10_001; // of a thread's Accounts, and `other`
const BACKLOG_ROWS_MAX = 100_000; // about 20 MB of journal; of ten hostnames a week of minutes
const BACKLOG_TABLES_MIN = 4; // half of it is the goal of joining: the first batch, and all others as one
const JOURNAL_BYTES_MIN = 4 * 1024 * 1024;
/** Faults of a disk that may pass. */
const PASSING: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EIO"]);
const JOURNAL_GROWTH = 4; // replaced when it is so many times the state that it began with

/** Where the journal lies. */
export const accountsDir = (dataDir: string): string => join(dataDir, "edge", "accounts");

const deltaOf = ([hostname, customer, tenant, stored]: StoredRow): AccountDelta => {
  const values = new Float64Array(COLUMN_COUNT);
  values.set(stored.slice(0, COLUMN_COUNT));
  return { hostname, customer, tenant, values };
};

export class Ledger {
  readonly #options: Required<Omit<LedgerOptions, "deliver" | "openFile">>;
  readonly #journal: Journal;
  readonly #state: LedgerState;
  readonly #courier: Courier | undefined;
  #pending: AccountTable;
  /** What a flush is writing. */
  #writing: AccountTable | undefined;
  #flushedAtMs: number;
  #openedMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** The journal is written by one at a time. */
  #queue: Promise<unknown> = Promise.resolve();
  #ticking: Promise<void> | undefined;
  #hasFailed = false;
  #failedWrites = 0;

  private constructor(options: LedgerOptions) {
    const { deliver, openFile, ...given } = options;
    this.#options = {
      flushMs: FLUSH_MS,
      periodMs: PERIOD_MS,
      rowsMax: ROWS_MAX,
      backlogRowsMax: BACKLOG_ROWS_MAX,
      monotonicMs: () => performance.now(),
      ...given,
    };
    const { rowsMax, clock, monotonicMs, log } = this.#options;
    const backlogRowsMax = Math.max(this.#options.backlogRowsMax, BACKLOG_TABLES_MIN * rowsMax);
    this.#journal = new Journal(accountsDir(options.dataDir), openFile);
    this.#flushedAtMs = clock.nowMs();
    this.#state = new LedgerState(randomUUID(), this.#flushedAtMs, { rowsMax, backlogRowsMax });
    this.#pending = new AccountTable(rowsMax);
    this.#openedMs = monotonicMs();
    const done = (sequence: number) => this.#write({ kind: "done", sequence });
    this.#courier = deliver && new Courier({ deliver, done, log, monotonicMs });
  }

  /** Reads what was kept. Rejects when the directory can't be used; a full disk is no reason not to begin. */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const ledger = new Ledger(options);
    const { records, damagedCount } = await ledger.#journal.replay();
    for (const record of records) ledger.#state.apply(record);
    // One is what a kill in the middle of a write leaves behind.
    if (damagedCount > 0) options.log.warn({ damagedCount }, "accounts: damaged lines of the journal were left out");
    try {
      await ledger.#journal.replace(ledger.#state.state());
    } catch (error) {
      if (!PASSING.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
      options.log.error({ err: error }, "accounts: can't be written; they wait in memory");
      ledger.#hasFailed = true;
    }
    return ledger;
  }

  get series(): string {
    return this.#state.series;
  }
  /** When the totals began, since 1970. */
  get sinceMs(): number {
    return this.#state.sinceMs;
  }
  /** Batches that wait to be taken. */
  get backlogCount(): number {
    return this.#state.sealed.length;
  }
  /** Writes that failed and were done again, or wait to be. */
  get failedWrites(): number {
    return this.#failedWrites;
  }

  /** Counts what a thread's `Accounts.take` gave. */
  merge(deltas: Iterable<AccountDelta>): void {
    this.#pending.addAll(deltas);
  }

  /** All that was ever merged, also before a restart. */
  totals(): AccountDelta[] {
    const table = new AccountTable(this.#options.rowsMax);
    table.addAll(this.#state.totals);
    if (this.#writing) table.addAll(this.#writing.rows());
    table.addAll(this.#pending.rows());
    return table.rows();
  }

  /** From now on `collect` is asked twice a second for what was counted. */
  start(collect: () => Iterable<AccountDelta>): void {
    this.#timer = setInterval(() => {
      this.merge(collect());
      void this.tick();
    }, this.#options.flushMs).unref();
  }

  /** A round: writes what was counted, seals a period that is over, offers what waits. Never rejects. One at a time. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    try {
      await this.flush();
      await this.#sealWhenDue();
      await this.#compactWhenDue();
      this.#hasFailed = false;
    } catch (error) {
      this.#failedWrites += 1;
      if (!this.#hasFailed) this.#options.log.error({ err: error }, "accounts: can't be written; they wait in memory");
      this.#hasFailed = true;
    }
    this.#courier?.offer(() => this.#firstBatch());
  }

  /** Resolves when what was merged before would survive a power cut. Rejects when it can't be written; it is kept. */
  flush(): Promise<void> {
    return this.#alone(async () => {
      if (this.#pending.rowCount === 0) return;
      const writing = this.#pending;
      this.#writing = writing;
      this.#pending = new AccountTable(this.#options.rowsMax);
      const [fromMs, toMs] = [this.#flushedAtMs, this.#options.clock.nowMs()];
      const rows = writing.stored();
      const sequence = this.#state.openSequence;
      try {
        await this.#append({ kind: "count", sequence, fromMs, toMs: Math.max(fromMs, toMs), rows });
        this.#flushedAtMs = toMs;
      } catch (error) {
        writing.addAll(this.#pending.rows());
        this.#pending = writing;
        this.#writing = undefined;
        throw error;
      }
    });
  }

  /** Writes what is left. Delivery goes on after the next start. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#courier?.stop();
    await this.#ticking;
    await this.flush().catch((error: unknown) => {
      this.#options.log.error({ err: error }, "accounts: what was counted last is lost");
    });
    await this.#alone(() => this.#journal.close());
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #write(record: JournalRecord): Promise<void> {
    return this.#alone(() => this.#append(record));
  }

  /** Only what is on disk is known: the state is what a replay would give. */
  async #append(record: JournalRecord): Promise<void> {
    if (!this.#journal.isOpen) await this.#journal.replace(this.#state.state());
    await this.#journal.append(record);
    if (record.kind === "count") this.#writing = undefined; // in the same turn, so that totals have it once
    this.#state.apply(record);
  }

  async #sealWhenDue(): Promise<void> {
    const { monotonicMs, periodMs } = this.#options;
    if (!this.#courier || monotonicMs() - this.#openedMs < periodMs) return;
    if (this.#state.openRowCount > 0) await this.#write({ kind: "seal", sequence: this.#state.openSequence });
    this.#openedMs = monotonicMs();
  }

  async #compactWhenDue(): Promise<void> {
    const { sizeBytes, stateBytes } = this.#journal;
    const isLong = sizeBytes > Math.max(JOURNAL_BYTES_MIN, stateBytes * JOURNAL_GROWTH);
    if (!isLong && !this.#state.isOverfull) return;
    await this.#alone(async () => {
      const state = this.#state.isOverfull ? this.#state.joinedState() : this.#state.state();
      await this.#journal.replace(state);
      this.#state.apply(state);
    });
  }

  #firstBatch(): AccountBatch | undefined {
    const [first] = this.#state.sealed;
    return first && this.#batchOf(first);
  }

  #batchOf({ first, sequence, fromMs, toMs, rows }: StoredBatch): AccountBatch {
    const { series } = this.#state;
    const figures: AccountFigures[] = rows.map((row) => figuresOf(deltaOf(row)));
    return { edge: this.#options.edge, series, first, sequence, fromMs, toMs, rows: figures };
  }
}

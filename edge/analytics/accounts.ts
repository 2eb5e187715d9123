/**
 * Counts of one thread: a row of numbers for each hostname, taken away about twice a second. Counting is adding to a
 * Float64Array, about 20 ns.
 */
import {
  type AccountDelta,
  type AccountKey,
  COLUMN,
  COLUMN_COUNT,
  OTHER,
  ttfbBucket,
} from "../../domain/accounting/columns.ts";
import { keyText } from "../../domain/accounting/table.ts";

/** A request that is over. */
export interface Counted {
  /** 499: the client left before an answer was begun. */
  readonly status: number;
  /** Handed to the socket: head and body, before TLS. */
  readonly sentBytes: number;
  /** Answered without asking an origin. */
  readonly isHit: boolean;
  /** From the request's head to the answer's; undefined when there was no answer. */
  readonly ttfbMs: number | undefined;
}

export interface AccountRow {
  count(counted: Counted): void;
  /** A request to an origin or a parent, by what was read of its answer; bytes may also come later, with 0 requests. */
  countOrigin(requests: number, bytes: number): void;
}

const CLIENT_LEFT = 499;
const ROWS_MAX = 10_000;

class Row implements AccountRow {
  readonly #key: AccountKey;
  readonly #values = new Float64Array(COLUMN_COUNT);
  readonly #changed: Row[];
  #isChanged = false;

  constructor(key: AccountKey, changed: Row[]) {
    this.#key = key;
    this.#changed = changed;
  }

  count({ status, sentBytes, isHit, ttfbMs }: Counted): void {
    const values = this.#values;
    values[COLUMN.requests]! += 1;
    values[COLUMN.sentBytes]! += sentBytes;
    if (isHit) values[COLUMN.hits]! += 1;
    const kind = status < 200 ? 0 : status >= 500 ? 4 : Math.floor(status / 100) - 1;
    values[status === CLIENT_LEFT ? COLUMN.clientLeft : COLUMN.status1xx + kind]! += 1;
    if (ttfbMs !== undefined && ttfbMs >= 0) {
      values[COLUMN.ttfbMicros]! += Math.round(ttfbMs * 1_000);
      values[COLUMN.ttfb + ttfbBucket(ttfbMs)]! += 1;
    }
    if (!this.#isChanged) this.#mark();
  }

  countOrigin(requests: number, bytes: number): void {
    this.#values[COLUMN.originRequests]! += requests;
    this.#values[COLUMN.originBytes]! += bytes;
    if (!this.#isChanged) this.#mark();
  }

  /** What was counted since the last time. */
  take(): AccountDelta {
    const { hostname, customer, tenant } = this.#key;
    const values = this.#values.slice();
    this.#values.fill(0);
    this.#isChanged = false;
    return { hostname, customer, tenant, values };
  }

  #mark(): void {
    this.#isChanged = true;
    this.#changed.push(this);
  }
}

export class Accounts {
  readonly #rowsMax: number;
  readonly #rows = new Map<string, Row>();
  readonly #changed: Row[] = [];
  readonly #other: Row;

  constructor({ rowsMax = ROWS_MAX }: { readonly rowsMax?: number } = {}) {
    this.#rowsMax = rowsMax;
    this.#other = new Row(OTHER, this.#changed);
  }

  /** Of hosts that nobody configured. */
  get other(): AccountRow {
    return this.#other;
  }

  /** The row of a configured hostname, to be kept by its site; `other` when there are too many. */
  row(key: AccountKey): AccountRow {
    const name = keyText(key);
    const known = this.#rows.get(name);
    if (known) return known;
    if (this.#rows.size >= this.#rowsMax) return this.#other;
    const row = new Row(key, this.#changed);
    this.#rows.set(name, row);
    return row;
  }

  /** Makes room before rows are asked for anew (another configuration). Rows that are still held go on counting. */
  forgetRows(): void {
    this.#rows.clear();
  }

  /** What was counted since the last time, for `Ledger.merge`, in this thread or in the one that has the ledger. */
  take(): AccountDelta[] {
    return this.#changed.splice(0).map((row) => row.take());
  }
}

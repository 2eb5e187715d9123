/** Rows of counts by whose they are; beyond a limit what comes new is counted under `other`. */
import { type AccountDelta, type AccountKey, COLUMN_COUNT, OTHER } from "./columns.ts";

/** A row as journals hold it: zeros at its end are left out. */
export type StoredRow = readonly [hostname: string, customer: string, tenant: string | null, values: readonly number[]];

/** One text for a key; none of its parts holds a line feed. */
export const keyText = ({ hostname, customer, tenant }: AccountKey): string =>
  `${hostname}\n${customer}${tenant === null ? "" : `\n${tenant}`}`;

const storedRow = ({ hostname, customer, tenant, values }: AccountDelta): StoredRow => {
  let end = values.length;
  while (end > 0 && values[end - 1] === 0) end -= 1;
  return [hostname, customer, tenant, [...values.subarray(0, end)]];
};

export class AccountTable {
  readonly #rowsMax: number;
  readonly #rows = new Map<string, AccountDelta>();

  /** `rowsMax` counts the row `other` in. */
  constructor(rowsMax: number, rows: readonly StoredRow[] = []) {
    this.#rowsMax = rowsMax;
    this.addStored(rows);
  }

  get rowCount(): number {
    return this.#rows.size;
  }

  /** In the order in which they first came. */
  rows(): AccountDelta[] {
    return [...this.#rows.values()];
  }

  add(key: AccountKey, values: ArrayLike<number>): void {
    const sums = this.#rowOf(key).values;
    for (let column = 0; column < COLUMN_COUNT; column += 1) sums[column] = sums[column]! + (values[column] ?? 0);
  }

  addAll(deltas: Iterable<AccountDelta>): void {
    for (const delta of deltas) this.add(delta, delta.values);
  }

  addStored(rows: readonly StoredRow[]): void {
    for (const [hostname, customer, tenant, values] of rows) this.add({ hostname, customer, tenant }, values);
  }

  stored(): StoredRow[] {
    return this.rows().map(storedRow);
  }

  #rowOf(key: AccountKey): AccountDelta {
    const known = this.#rows.get(keyText(key));
    if (known) return known;
    const other = keyText(OTHER);
    // A place is kept for `other`.
    const isFull = this.#rows.size + (this.#rows.has(other) ? 0 : 1) >= this.#rowsMax;
    if (isFull && keyText(key) !== other) return this.#rowOf(OTHER);
    const { hostname, customer, tenant } = key;
    const row = { hostname, customer, tenant, values: new Float64Array(COLUMN_COUNT) };
    this.#rows.set(keyText(key), row);
    return row;
  }
}

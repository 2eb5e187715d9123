/** All SQL of what edges counted, outside of tenants: `cdn_account_delivery` and `cdn_account_hour`. */
import type { AccountGroup } from "../../contracts/fleet.ts";
import { TTFB_BUCKETS } from "../../domain/accounting/columns.ts";
import type { Tx } from "../../lib/db/database.ts";
import { NOTHING, type Received } from "./account-parts.ts";

/** Columns of figures, in the order of domain/accounting/columns.ts. */
export const FIGURES: readonly string[] = [
  ...["requests", "hits", "sent_bytes", "origin_requests", "origin_bytes"],
  ...["status_1xx", "status_2xx", "status_3xx", "status_4xx", "status_5xx", "client_left", "ttfb_micros"],
  ...Array.from({ length: TTFB_BUCKETS }, (_, bucket) => `ttfb_${bucket}`),
];
const KEYS = ["customer", "tenant", "hostname"] as const;

export interface HourRow {
  readonly customer: string;
  /** Slug; '' for a third party. */
  readonly tenant: string;
  readonly hostname: string;
  /** As FIGURES are. */
  readonly figures: readonly number[];
}
export interface Series {
  readonly edge: string;
  readonly series: string;
}
/** Rows of the same group, as sums. */
export interface GroupRow {
  /** In the order of the groups; times as RFC 3339. */
  readonly keys: string[];
  /** As FIGURES are. */
  readonly sums: number[];
}
export interface Wanted {
  readonly from: Date;
  readonly to: Date;
  readonly customer: string | null;
  readonly tenant: string | null;
  readonly hostname: string | null;
  readonly edge: string | null;
  readonly groups: readonly AccountGroup[];
  /** Keys of the last row before; null for the first page. */
  readonly after: readonly string[] | null;
  readonly limit: number;
}

/** Held until the transaction ends: messages of one series are counted one after the other. */
export const lockReceived = async (tx: Tx, { edge, series }: Series, at: Date): Promise<Received> => {
  await tx.query(
    `insert into cdn_account_delivery (edge, series, counted, partial, delivered_at) values ($1, $2, $3, $4, $5)
     on conflict do nothing`,
    [edge, series, JSON.stringify(NOTHING.counted), JSON.stringify(NOTHING.partial), at],
  );
  const { rows } = await tx.query<Received>(
    "select counted, partial from cdn_account_delivery where edge = $1 and series = $2 for update",
    [edge, series],
  );
  return rows[0]!; // there is one now, whoever inserted it
};

export const setReceived = async (tx: Tx, { edge, series }: Series, { counted, partial }: Received, at: Date) => {
  await tx.query(
    "update cdn_account_delivery set counted = $3, partial = $4, delivered_at = $5 where edge = $1 and series = $2",
    [edge, series, JSON.stringify(counted), JSON.stringify(partial), at],
  );
};

const places = (from: number, types: readonly string[]): string =>
  types.map((type, index) => `$${from + index}::${type}[]`).join(", ");
/** In the order of the key, so that two that write the same rows wait for each other and not in a circle. */
const ADD = `
  insert into cdn_account_hour as kept (hour, edge, ${KEYS.join(", ")}, ${FIGURES.join(", ")})
  select $1, $2, ${KEYS.join(", ")}, ${FIGURES.map((name) => `sum(${name})::bigint`).join(", ")}
  from unnest(${places(
    3,
    KEYS.map(() => "text"),
  )}, ${places(
    3 + KEYS.length,
    FIGURES.map(() => "bigint"),
  )})
    as given (${KEYS.join(", ")}, ${FIGURES.join(", ")})
  group by ${KEYS.join(", ")} order by ${KEYS.join(", ")}
  on conflict (hour, customer, tenant, hostname, edge) do update
  set ${FIGURES.map((name) => `${name} = kept.${name} + excluded.${name}`).join(", ")}`;

/** Adds to what is there of that hour. */
export const addHour = async (tx: Tx, hour: Date, edge: string, rows: readonly HourRow[]): Promise<void> => {
  const keys = KEYS.map((name) => rows.map((row) => row[name]));
  const figures = FIGURES.map((_, column) => rows.map((row) => row.figures[column] ?? 0));
  await tx.query(ADD, [hour, edge, ...keys, ...figures]);
};

const TIMES: readonly string[] = ["hour", "day", "month"];
/** Connections are at UTC. */
const keyOf = (group: AccountGroup): string => (TIMES.includes(group) ? `date_trunc('${group}', hour)` : group);
const typeOf = (group: AccountGroup): string => (TIMES.includes(group) ? "timestamptz" : "text");
const shownOf = (group: AccountGroup): string =>
  TIMES.includes(group) ? `to_char(${keyOf(group)}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')` : group;

/** A page of sums in the order of their keys. */
export const sums = async (tx: Tx, wanted: Wanted): Promise<GroupRow[]> => {
  const { from, to, customer, tenant, hostname, edge, groups, after, limit } = wanted;
  const keys = groups.map(keyOf).join(", ");
  const last = groups.map((group, index) => `$${8 + index}::${typeOf(group)}`).join(", ");
  const { rows } = await tx.query<GroupRow>(
    `select array[${groups.map(shownOf).join(", ")}] as keys,
       array[${FIGURES.map((name) => `sum(${name})::float8`).join(", ")}] as sums
     from cdn_account_hour
     where hour >= $1 and hour < $2 and ($3::text is null or customer = $3) and ($4::text is null or tenant = $4)
       and ($5::text is null or hostname = $5) and ($6::text is null or edge = $6)
       ${after ? `and (${keys}) > (${last})` : ""}
     group by ${keys} order by ${keys} limit $7`,
    [from, to, customer, tenant, hostname, edge, limit, ...(after ?? [])],
  );
  return rows;
};

/** Forgets hours before this one, and series that nothing came of since. */
export const dropBefore = async (tx: Tx, before: Date): Promise<void> => {
  await tx.query("delete from cdn_account_hour where hour < $1", [before]);
  await tx.query("delete from cdn_account_delivery where delivered_at < $1", [before]);
};

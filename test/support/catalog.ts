/** What PostgreSQL's own catalog says of our tables, and rows made from that alone. */
import { randomInt, randomUUID } from "node:crypto";
import type { TestDatabase } from "./database.ts";

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly generated: boolean;
  /** Made of other columns: it can't be given. */
  readonly computed: boolean;
  /** The words that its check constraint lists. */
  readonly words: readonly string[];
}
export interface ForeignKey {
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
}
export interface Table {
  readonly name: string;
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  readonly hasTenant: boolean;
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[];
  readonly foreignKeys: readonly ForeignKey[];
}
export type Row = Record<string, unknown>;

const OURS = "n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')";
const namesOf = (keys: string, table: string) => `(
  select array_agg(a.attname::text order by list.place) from unnest(${keys}) with ordinality list (number, place)
  join pg_attribute a on a.attrelid = ${table} and a.attnum = list.number)`;
// `check (kind in ('a', 'b'))` is kept as `kind = any (array['a'::text, 'b'::text])`.
const WORDS = `(
  select json_agg(m[1]) from pg_constraint k, regexp_matches(pg_get_constraintdef(k.oid), '''([^'']+)''::text', 'g') m
  where k.conrelid = c.oid and k.contype = 'c' and k.conkey = array[attnum])`;
const COLUMNS = `(
  select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, null), 'required', attnotnull,
    'generated', attidentity <> '' or attgenerated <> '', 'computed', attgenerated <> '',
    'words', coalesce(${WORDS}, '[]')) order by attnum)
  from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped)`;
const FOREIGN_KEYS = `(
  select json_agg(json_build_object('columns', ${namesOf("k.conkey", "c.oid")},
    'parent', k.confrelid::regclass::text, 'parentColumns', ${namesOf("k.confkey", "k.confrelid")}))
  from pg_constraint k where k.conrelid = c.oid and k.contype = 'f')`;

/** Every table of the database by name, `public.` left out. */
export async function readTables(db: TestDatabase): Promise<Map<string, Table>> {
  const { rows } = await db.asOwner<Table>(`
    select case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname as name,
      c.relrowsecurity as "rowSecurity", c.relforcerowsecurity as forced, ${COLUMNS} as columns,
      exists (select from pg_attribute a where a.attrelid = c.oid and attname = 'tenant_id' and not attisdropped)
        as "hasTenant",
      coalesce((select ${namesOf("conkey", "c.oid")} from pg_constraint where conrelid = c.oid and contype = 'p'), '{}')
        as "primaryKey",
      coalesce(${FOREIGN_KEYS}, '[]') as "foreignKeys"
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and ${OURS} order by 1`);
  return new Map(rows.map((table) => [table.name, table]));
}

/** Ways around row security: what runs with somebody else's rights, or holds a copy. */
export async function readBypasses(db: TestDatabase): Promise<string[]> {
  const { rows } = await db.asOwner<{ what: string }>(`
    select 'security definer function ' || p.proname as what
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.prosecdef and ${OURS}
    union all select 'view without security_invoker ' || c.relname
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'v' and ${OURS}
      and not coalesce(c.reloptions::text[] && '{security_invoker=true,security_invoker=on}', false)
    union all select 'copy or foreign table ' || c.relname
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('m', 'f') and ${OURS}
    order by 1`);
  return rows.map(({ what }) => what);
}

/** Makes one row of each table for a tenant, parents first, with values that the catalog allows. */
export class RowMaker {
  readonly #db: TestDatabase;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #made = new Map<string, Row>();
  // Other makers may have been here.
  #count = randomInt(1_000_000) * 1_000;

  constructor(db: TestDatabase, tables: ReadonlyMap<string, Table>) {
    this.#db = db;
    this.#tables = tables;
  }

  /** The tenant's row of a table as it is in the database. */
  async rowOf(tableName: string, tenantId: string): Promise<Row> {
    const place = `${tableName} ${tenantId}`;
    const known = this.#made.get(place);
    if (known) return known;
    const table = this.#tables.get(tableName);
    if (!table) throw new Error(`bug: no table ${tableName}`);
    const row = await this.#insert(table, tenantId);
    this.#made.set(place, row);
    return row;
  }

  /** Values of one more row for the same tenant, which is not inserted. */
  async valuesFor(table: Table, tenantId: string, wordIndex = 0, sparse = false): Promise<Row> {
    const values: Row = {};
    for (const column of table.columns) {
      const wanted = column.required || (!sparse && column.words.length === 0);
      if (!column.generated && wanted) values[column.name] = this.#value(column, wordIndex);
    }
    for (const key of table.foreignKeys) {
      const parent = await this.rowOf(key.parent, tenantId);
      for (const [index, column] of key.columns.entries()) values[column] = parent[key.parentColumns[index]!];
    }
    if (table.hasTenant) values.tenant_id = tenantId;
    return values;
  }

  async #insert(table: Table, tenantId: string): Promise<Row> {
    if (table.name === "tenant") {
      const text = "insert into tenant (id, slug, name) values ($1, $2, $2) returning *";
      return (await this.#db.asOwner<Row>(text, [tenantId, `t-${tenantId}`])).rows[0]!;
    }
    // Constraints over several columns are not understood, only tried.
    const wordCount = Math.max(1, ...table.columns.map((column) => column.words.length));
    let last: unknown;
    for (const sparse of [false, true]) {
      for (let wordIndex = 0; wordIndex < wordCount; wordIndex++) {
        const values = await this.valuesFor(table, tenantId, wordIndex, sparse);
        try {
          return (await this.#db.asOwner<Row>(`${insertOf(table, values)} returning *`, Object.values(values)))
            .rows[0]!;
        } catch (error) {
          last = error;
        }
      }
    }
    throw new Error(`no row of ${table.name} could be made`, { cause: last });
  }

  #value(column: Column, wordIndex: number): unknown {
    this.#count += 1;
    if (column.words.length > 0) return column.words[wordIndex % column.words.length];
    switch (column.type) {
      case "uuid":
        return randomUUID();
      case "text":
        return `text-${this.#count}`;
      case "bytea":
        return Buffer.from(`bytes-${this.#count}`.padEnd(32, "-")); // as long as a key
      case "text[]":
        return [`text-${this.#count}`];
      case "jsonb":
        return JSON.stringify({ n: this.#count });
      case "boolean":
        return true;
      case "xid8":
        return String(this.#count); // of a transaction
      case "timestamp with time zone":
        return new Date();
      case "integer":
      case "bigint":
      case "double precision":
        return this.#count;
      default:
        throw new Error(`no value is known for the type ${column.type} of ${column.name}: add one here`);
    }
  }
}

export const insertOf = (table: Table, values: Row): string => {
  const names = Object.keys(values);
  const places = names.map((_, index) => `$${index + 1}`);
  return `insert into ${table.name} (${names.join(", ")}) values (${places.join(", ")})`;
};

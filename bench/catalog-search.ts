/**
 * Search of titles, 10 tenants × 10,000 titles on the embedded PostgreSQL: the product under row security, against the
 * same query without it (the same statement as a plain function, run by a superuser), and against the same statement
 * under row security without the function that looks past it. In turns in the same run. BENCH_TITLES, BENCH_QUERIES and
 * BENCH_ROUNDS make it smaller, BENCH_KEEP=off keeps nothing.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import pg from "pg";
import { searchIn } from "../actors/catalog/search.ts";
import { searchTitles } from "../contracts/catalog.ts";
import { type Database, openDatabase, type Tx } from "../lib/db/database.ts";
import { migrate } from "../lib/db/migrate.ts";
import { quietLog } from "../lib/log/log.ts";
import { startEmbeddedPostgres } from "../lib/postgres/embedded.ts";
import { seeded } from "../test/support/seeded.ts";
import { fillTenant, GENRES } from "./catalog-search.fixture.ts";
import { quantile, report } from "./report.ts";

const TENANTS = 10;
const TITLES = Number(process.env.BENCH_TITLES ?? 10_000);
const QUERIES = Number(process.env.BENCH_QUERIES ?? 300);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const AT_ONCE = 2;

const { next, int } = seeded(7);
const SYLLABLES = "an ber ca dor el fan gor ha in ju ka lo mi nor os pa qui ra sta ti ur ven wil xan yo zer".split(" ");
/** 2,000 words, as often as words are: the nth one n times rarer than the first. */
const WORDS = Array.from({ length: 2_000 }, () =>
  Array.from({ length: 1 + int(3) }, () => SYLLABLES[int(SYLLABLES.length)] ?? "").join(""),
);
const wordOf = (): string => WORDS[Math.min(WORDS.length - 1, Math.floor(WORDS.length ** next()) - 1)] ?? "the";
const nameOf = (): string => Array.from({ length: 1 + int(5) }, wordOf).join(" ");

interface Side {
  readonly what: string;
  readonly search: (tenantId: string, input: Query) => Promise<unknown>;
}
type Query = Readonly<Record<string, string>>;

/** One letter is another, is missing, or two change places. */
const misspelt = (name: string): string => {
  const at = 1 + int(Math.max(1, name.length - 2));
  const kind = int(3);
  if (kind === 0) return `${name.slice(0, at)}x${name.slice(at + 1)}`;
  if (kind === 1) return name.slice(0, at) + name.slice(at + 1);
  return name.slice(0, at) + (name[at + 1] ?? "") + (name[at] ?? "") + name.slice(at + 2);
};

/** What people do: type, err, filter, look at a whole library. */
const KINDS: Readonly<Record<string, (name: string) => Query>> = {
  "as one types": (name) => ({ q: name.slice(0, 2 + int(6)) }),
  "a whole name": (name) => ({ q: name }),
  "with an error": (name) => ({ q: misspelt(name) }),
  "with a filter": (name) => ({ q: name.slice(0, 3), genre: GENRES[int(GENRES.length)] ?? "", yearFrom: "1980" }),
  "one letter": (name) => ({ q: name.slice(0, 1) }),
  "all of a library, counted": () => ({}),
};

/** The same function as a plain one: it runs with the rights of whoever calls it. */
const plainFunction = async (owner: pg.Pool): Promise<void> => {
  const { rows } = await owner.query("select pg_get_functiondef('search_titles'::regproc) as text");
  const text = String(rows[0].text)
    .replace("search_titles", "search_plainly")
    .replace(/ SECURITY DEFINER/, "");
  await owner.query(text);
  await owner.query("grant execute on function search_plainly to castellan_app");
};

const plainly = (tx: Tx): Tx => ({
  query: (text, values) => tx.query(text.replace("search_titles(", "search_plainly("), values),
});
/** As a superuser, whom row security does not bind; the same transactions. */
const unbound = (db: Database, owner: pg.Pool): Database => ({
  ...db,
  async tenantTx(tenantId, run) {
    const client = await owner.connect();
    try {
      const begun = client.query(`begin; select set_config('app.tenant_id', '${tenantId ?? ""}', true)`);
      const tx: Tx = {
        query: async (text, values) => {
          await begun;
          const { rows, rowCount } = await client.query(text, values as unknown[]);
          return { rows, rowCount: rowCount ?? 0 };
        },
      };
      const result = await run(plainly(tx));
      await client.query("commit");
      return result;
    } finally {
      client.release();
    }
  },
});

const timesOf = async (side: Side, queries: readonly { readonly tenantId: string; readonly query: Query }[]) => {
  const times: number[] = [];
  let at = 0;
  const searcher = async () => {
    for (let one = queries[at++]; one; one = queries[at++]) {
      const startedAt = performance.now();
      await side.search(one.tenantId, one.query);
      times.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, searcher));
  return times;
};

const measure = async (sides: readonly Side[], tenants: readonly { id: string; names: readonly string[] }[]) => {
  const rows = [];
  const total = new Map<string, number[]>(sides.map(({ what }) => [what, []]));
  for (const [kind, queryOf] of Object.entries(KINDS)) {
    const found = new Map<string, number[]>(sides.map(({ what }) => [what, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      const queries = Array.from({ length: Math.ceil(QUERIES / ROUNDS) }, () => {
        const tenant = tenants[int(tenants.length)]!; // there are some
        return { tenantId: tenant.id, query: queryOf(tenant.names[int(tenant.names.length)] ?? "") };
      });
      for (const side of sides) found.get(side.what)?.push(...(await timesOf(side, queries)));
    }
    rows.push(...rowsOf(kind, found));
    for (const [what, times] of found) total.get(what)?.push(...times);
  }
  return [...rows, ...rowsOf("all of these", total)];
};

const MS = (value: number): string => `${value.toFixed(1)} ms`;
const rowsOf = (kind: string, found: ReadonlyMap<string, readonly number[]>) => {
  const [[, own = []] = ["", []], ...others] = [...found];
  const figure = (times: readonly number[]) => `p50 ${MS(quantile(times, 0.5))}, p99 ${MS(quantile(times, 0.99))}`;
  return others.map(([what, times], index) => ({
    what: kind,
    value: figure(own),
    against: `${what}: ${figure(times)}: ${(quantile(own, 0.99) / quantile(times, 0.99)).toFixed(2)}× at p99`,
    goal: index === 0 ? "p99 ≤ 20 ms, ≤ 2×" : "",
  }));
};

const main = async (): Promise<void> => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "castellan-bench-search-"));
  const server = await startEmbeddedPostgres({ dataDir, log: quietLog });
  const owner = new pg.Pool({ connectionString: server.url, max: AT_ONCE });
  try {
    await migrate({ url: server.url });
    await plainFunction(owner);
    const tenants = Array.from({ length: TENANTS }, () => ({
      id: randomUUID(),
      names: Array.from({ length: TITLES }, nameOf),
    }));
    for (const { id, names } of tenants)
      await fillTenant(owner, { id, names, pick: () => GENRES[int(GENRES.length)] ?? "" });
    await owner.query("vacuum analyze");
    const db = openDatabase({ url: server.url, applicationName: "bench", poolMax: AT_ONCE });
    const bound: Database = {
      ...db,
      tenantTx: (tenantId, run) => db.tenantTx(tenantId, (tx) => run(plainly(tx))),
    };
    const searchOn = (on: Database) => (tenantId: string, query: Query) =>
      searchIn(on, tenantId, searchTitles.input.parse(query));
    const sides: Side[] = [
      { what: "under row security", search: searchOn(db) },
      { what: "without row security", search: searchOn(unbound(db, owner)) },
      { what: "under row security, as a plain function", search: searchOn(bound) },
    ];
    for (const side of sides) await side.search(tenants[0]?.id ?? "", { q: "an" });
    const rows = await measure(sides, tenants);
    await db.close();
    report(`Catalog search: ${TENANTS} tenants × ${TITLES} titles, ${AT_ONCE} at once`, rows);
  } finally {
    await owner.end();
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
};

await main();

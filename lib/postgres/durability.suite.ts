/** Writers that note what the database has acknowledged, while its processes are killed under them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import pg from "pg";
import { z } from "zod";
import { fact } from "../../contracts/kit.ts";
import { type Database, openDatabase } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { publishFact } from "../events/events.ts";
import { quietLog } from "../log/log.ts";
import { startEmbeddedPostgres } from "./embedded.ts";

const WRITER_COUNT = 8;
const written = fact("test.written", z.object({ writer: z.int(), n: z.int() }));
const KILLS = ["every process", "the postmaster", "a session"] as const;

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Acknowledged writes of a round before the kill, at least; up to twice as many by chance. */
  readonly writesPerRound: number;
}

/** Runs the rounds and checks that every acknowledged write and its fact are there. Returns how many that were. */
export async function surviveKills(t: TestContext, options: KillOptions): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), "castellan-kills-"));
  const server = await startEmbeddedPostgres({ dataDir, log: quietLog });
  const owner = new pg.Pool({ connectionString: server.url, max: 1 });
  owner.on("error", () => {});
  const db = openDatabase({ url: server.url, applicationName: "writers", poolMax: WRITER_COUNT });
  t.after(async () => {
    await Promise.all([db.close(), owner.end()]);
    await server.stop();
    rmSync(dataDir, { recursive: true });
  });
  await migrate({ url: server.url });
  await owner.query("create table written (writer int, n int, primary key (writer, n))");

  const random = randomOf(options.seed);
  const acknowledged = new Set<string>();
  let stopped = false;
  const writers = [...Array(WRITER_COUNT).keys()].map((writer) => write(db, writer, acknowledged, () => stopped));
  for (let round = 0; round < options.rounds; round++) {
    const enough = acknowledged.size + options.writesPerRound * (1 + random());
    await until(() => acknowledged.size >= enough);
    kill(join(dataDir, "postgres"), KILLS[Math.floor(random() * KILLS.length)]!, random());
  }
  // More than were on their way when the last one fell: it is back.
  const before = acknowledged.size;
  await until(() => acknowledged.size > before + WRITER_COUNT);
  stopped = true;
  await Promise.all(writers);
  // The last kill may have come after those: the server is looked at when it is back.
  const isBack = () =>
    owner.query("select 1").then(
      () => true,
      () => false,
    );
  await until(isBack);
  await checkKept(owner, acknowledged);
  return acknowledged.size;
}

async function checkKept(owner: pg.Pool, acknowledged: ReadonlySet<string>): Promise<void> {
  const placesIn = async (text: string) => (await owner.query<{ place: string }>(text)).rows.map(({ place }) => place);
  const rows = await placesIn("select writer || '/' || n as place from written order by 1");
  const facts = await placesIn("select (payload->>'writer') || '/' || (payload->>'n') as place from event order by 1");
  const kept = new Set(rows);
  const lost = [...acknowledged].filter((place) => !kept.has(place));
  assert.deepEqual(lost, [], "acknowledged and lost");
  assert.deepEqual(facts, rows, "each row has its fact, and each fact its row");
}

/** One row and its fact per transaction; a number whose fate is unknown is never used again. */
async function write(db: Database, writer: number, acknowledged: Set<string>, stopped: () => boolean): Promise<void> {
  for (let n = 0; !stopped(); n++) {
    try {
      await db.tenantTx(null, async (tx) => {
        await tx.query("insert into written (writer, n) values ($1, $2)", [writer, n]);
        await publishFact(tx, written, String(writer), { writer, n });
      });
      acknowledged.add(`${writer}/${n}`);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "DATABASE_DOWN");
      await pause(10);
    }
  }
}

function kill(dataDir: string, what: (typeof KILLS)[number], chance: number): void {
  const postmaster = Number(readFileSync(join(dataDir, "postmaster.pid"), "utf8").split("\n")[0]);
  const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(postmaster)], { encoding: "utf8" })
    .trim()
    .split(/\s+/)
    .map(Number);
  const session = children[Math.floor(chance * children.length)]!;
  const chosen = { "every process": [postmaster, ...children], "the postmaster": [postmaster], "a session": [session] };
  for (const pid of chosen[what]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Ended with the one before.
    }
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(60_000);
  while (!(await holds())) {
    deadline.throwIfAborted();
    await pause(5);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

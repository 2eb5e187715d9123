/**
 * Playback sessions over the REST API of a running product, each followed by its master playlist from the edge, and a
 * bare INSERT of the same rows at the same concurrency into the same PostgreSQL, in turns in one run.
 *
 *   node bench/playback.ts          all in one process, the load from another one
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { runningUrl } from "../lib/postgres/running.ts";
import { startBench } from "./playback.fixture.ts";
import { median, report } from "./report.ts";

const CONCURRENCY = 64;
const ROUND_MS = 4_000;
const ROUNDS = 3;

const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
const asked = (url: string, options: { method: string; headers: Record<string, string>; body?: string }) =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asking = request(url, { method: options.method, headers: options.headers, agent }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text })).on("error", reject);
    });
    asking.on("error", reject).end(options.body);
  });

/** How many a second, for a while, by so many at once. */
const perSecond = async (run: () => Promise<void>): Promise<number> => {
  const startedMs = performance.now();
  let count = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - startedMs < ROUND_MS) {
      await run();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return (count * 1_000) / (performance.now() - startedMs);
};

interface Target {
  readonly api: string;
  readonly key: string;
  readonly databaseUrl: string;
}

const sessionsOf =
  ({ api, key }: Target, withPlaylist: boolean) =>
  async (): Promise<void> => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const made = await asked(api, { method: "POST", headers, body: '{"viewer":"bench"}' });
    if (made.status !== 201) throw new Error(`${made.status}: ${made.text}`);
    if (!withPlaylist) return;
    const { hls } = (JSON.parse(made.text) as { data: { hls: string } }).data;
    const playlist = await asked(hls, { method: "GET", headers: {} });
    if (playlist.status !== 200) throw new Error(`${playlist.status}: ${playlist.text}`);
  };

const load = async (target: Target) => {
  const pool = new pg.Pool({ connectionString: target.databaseUrl, max: CONCURRENCY });
  await pool.query("create unlogged table if not exists bench_plain (like playback_session including all)");
  await pool.query("alter table bench_plain set logged");
  const { rows } = await pool.query<{ id: string }>("select id from tenant limit 1");
  const tenantId = rows[0]?.id;
  const insert = async (): Promise<void> => {
    await pool.query(
      `insert into bench_plain (id, tenant_id, title_id, owner_tenant_id, viewer, is_public, created_at, expires_at)
       values (gen_random_uuid(), $1, $1, $1, 'bench', false, now(), now() + interval '6 hours')`,
      [tenantId],
    );
  };
  const figures = { whole: [] as number[], issue: [] as number[], insert: [] as number[] };
  await perSecond(sessionsOf(target, true)); // the code is compiled, connections are open
  for (let round = 0; round < ROUNDS; round += 1) {
    figures.whole.push(await perSecond(sessionsOf(target, true)));
    figures.issue.push(await perSecond(sessionsOf(target, false)));
    figures.insert.push(await perSecond(insert));
  }
  await pool.query("drop table bench_plain");
  await pool.end();
  agent.destroy();
  return figures;
};

const shown = (figures: Awaited<ReturnType<typeof load>>): void => {
  const [whole, issue, insert] = [median(figures.whole), median(figures.issue), median(figures.insert)];
  const rate = (value: number): string => `${Math.round(value)}/s`;
  report(`playback sessions, ${CONCURRENCY} at once`, [
    { what: "session and its master playlist through the edge", value: rate(whole), goal: "≥ 2000/s" },
    { what: "session alone", value: rate(issue), against: `bare INSERT ${rate(insert)}` },
    { what: "session / bare INSERT", value: (issue / insert).toFixed(2) },
    { what: "session and playlist / bare INSERT", value: (whole / insert).toFixed(2) },
  ]);
};

if (process.send) {
  process.once("message", (target: Target) => {
    load(target).then(
      (figures) => process.send?.(figures),
      (error: Error) => process.send?.({ error: error.message }),
    );
  });
} else {
  const dataDir = mkdtempSync(join(tmpdir(), "castellan-bench-"));
  const bench = await startBench(dataDir);
  const child = fork(import.meta.filename);
  try {
    child.send({ api: bench.api, key: bench.key, databaseUrl: runningUrl(dataDir) ?? "" } satisfies Target);
    const [figures] = (await once(child, "message")) as [Awaited<ReturnType<typeof load>> & { error?: string }];
    if (figures.error !== undefined) throw new Error(figures.error);
    shown(figures);
  } finally {
    child.kill();
    await bench.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

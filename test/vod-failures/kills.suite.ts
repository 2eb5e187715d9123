/** kill -9 of any process, again and again, while titles come in, are made, published and deleted. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { makeFilm } from "../e2e/vod-platform.ts";
import { until } from "../support/platform.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { assertRungs, filesIn, inventory, plantLeftovers, sweepAll, untilIdle } from "./objects.ts";
import { untilJob } from "./waiting.ts";
import {
  type Cleaner,
  createTitle,
  DEADLINE_MS,
  type Part,
  send,
  startWorks,
  type Tenant,
  untilWhole,
  type Works,
} from "./works.ts";

export interface KillsShape {
  readonly titles: number;
  readonly kills: number;
  readonly seed: number;
}
export interface KillsSeen {
  readonly kills: Readonly<Record<string, number>>;
  readonly jobs: Readonly<Record<string, number>>;
  readonly lapses: number;
  readonly objects: number;
  readonly swept: number;
}
interface Made {
  readonly tenant: Tenant;
  readonly titleId: string;
}

const FILMS = [
  { seconds: 2, width: 64, height: 36 },
  { seconds: 7, width: 160, height: 90 },
  { seconds: 4, width: 320, height: 180 },
];
/** Titles on their way at a time. */
const SENDERS = 3;
const PAUSE_MS_MAX = 200;
/** These are killed twice as often: they have jobs in their hands. */
const WORKERS: readonly string[] = ["control", "transcoder"];
const BUSY_MS_MAX = 6_000;

const makeFilms = async (t: Cleaner): Promise<string[]> => {
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return Promise.all(FILMS.map((film) => makeFilm({ ...film, folder })));
};

/** Waits until the process has a job in its hands, but not for ever: not all of them ever have. */
const busy = ({ db }: Works, { role, node }: Part): Promise<unknown> => {
  const [mine, what] = role === "transcoder" ? [node.endpoints.nodeId, "transcode%"] : [null, "%"];
  const query =
    "select from job_queue where holder is not null and kind like $2 and ($1::text is null or node_id = $1)";
  const isBusy = async () => (await db.query(query, [mine, what])).rowCount || undefined;
  return until("a job in hand", isBusy, BUSY_MS_MAX).catch(() => {});
};

/** Kills until so many kills are done and the work is done too: what is killed is up again before the next one goes. */
const killOn = async (works: Works, { kills, random }: { kills: number; random: Random }) => {
  const counts: Record<string, number> = {};
  const bag: Part[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    if (bag.length === 0) bag.push(...works.parts, ...works.parts.filter(({ role }) => WORKERS.includes(role)));
    const [part] = bag.splice(random.int(bag.length), 1) as [Part];
    await busy(works, part);
    await pause(random.int(PAUSE_MS_MAX));
    counts[part.role] = (counts[part.role] ?? 0) + 1;
    const { child } = part.node;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    await works.start(part);
  }
  return counts;
};

/** Sends titles; every third is deleted again, some while they are encoded and some when they are whole. */
const bringIn = async (works: Works, films: readonly string[], count: number) => {
  const live: Made[] = [];
  const deleted: Made[] = [];
  let next = 0;
  const sender = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      const tenant = works.tenants[index % works.tenants.length]!;
      const titleId = await createTitle(tenant, `Title ${index}`);
      await send(works, { tenant, titleId, file: films[index % films.length]! });
      const isDeleted = index % 3 === 2;
      if (!isDeleted || index % 2 === 0) await untilWhole(tenant, titleId);
      else await untilJob(tenant, titleId, ["transcode.chunk"]);
      if (isDeleted) await tenant.api.call("DELETE", `/titles/${titleId}`);
      (isDeleted ? deleted : live).push({ tenant, titleId });
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  return { live, deleted };
};

const ONCE = /(?: chunk \d+| rung \S+| (?:planning|encoding|stitching|complete)| [a-z]+\.[A-Za-z]+)$/;

const assertOnce = async ({ db }: Works, live: readonly Made[]): Promise<void> => {
  const { rows } = await db.query<{ text: string; count: number }>(
    "select text, count(*)::int as count from effect group by text order by text",
  );
  assert.deepEqual(
    rows.filter(({ text, count }) => count !== 1 && ONCE.test(text)),
    [],
    "no effect is there twice",
  );
  const seen = new Set(rows.map(({ text }) => text));
  for (const { titleId } of live) {
    for (const word of ["content.sourceAttached", "transcode.complete", "content.published", "r1 complete"]) {
      assert.ok(seen.has(`${titleId} ${word}`), `${titleId} ${word}`);
    }
  }
};

const assertJobs = async ({ db }: Works): Promise<Record<string, number>> => {
  const { rows } = await db.query<{ kind: string; state: string; error: string | null; count: number }>(
    `select kind, state, max(error_code || ': ' || error_message) as error, count(*)::int as count
     from job group by kind, state order by kind, state`,
  );
  assert.deepEqual(
    rows.filter(({ state }) => state === "dead" || state === "live"),
    [],
  );
  const { rows: facts } = await db.query("select consumer, error from event_todo where dead");
  assert.deepEqual(facts, []);
  return Object.fromEntries(rows.map(({ kind, state, count }) => [`${kind} ${state}`, count]));
};

const assertFolders = async ({ parts }: Works): Promise<void> => {
  for (const { role, dataDir } of parts) {
    if (role !== "transcoder") continue;
    assert.deepEqual(await readdir(path.join(dataDir, "transcoder")), [], "what jobs work in is gone with them");
    assert.deepEqual(await filesIn(path.join(dataDir, "run/transcoder-ffmpeg")), []);
  }
};

/** Playlist and first segment by way of the edge, with a session. */
export const assertPlays = async ({ tenant, titleId }: Made): Promise<void> => {
  const made = await tenant.api.call<{ data: { hls: string } }>("POST", `/titles/${titleId}/playback`, {});
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const follow = async (url: string): Promise<{ url: string; text: string }> => {
    const answer = await until(`200 of ${url}`, async () => {
      const got = await fetch(url, { signal: AbortSignal.timeout(10_000) });
      if (got.ok) return got;
      throw new Error(`${got.status} ${await got.text()}`);
    });
    return { url, text: Buffer.from(await answer.arrayBuffer()).toString("latin1") };
  };
  const lineOf = ({ url, text }: { url: string; text: string }): string =>
    new URL(text.split("\n").find((line) => line !== "" && !line.startsWith("#")) ?? "", url).href;
  const master = await follow(made.body.data.hls);
  const media = await follow(lineOf(master));
  assert.match(media.text, /#EXT-X-ENDLIST/);
  assert.ok((await follow(lineOf(media))).text.length > 500);
};

/** Everything ends, once, and nothing is left of what was broken off. */
export const surviveKills = async (t: Cleaner, { titles, kills, seed }: KillsShape): Promise<KillsSeen> => {
  const films = await makeFilms(t);
  const works = await startWorks(t, { env: { UPLOAD_EXPIRES: "20s", PURGE_GRACE: "0s", TRANSCODE_PRESET: "medium" } });
  const random = seeded(seed);
  const [counts, { live, deleted }] = await Promise.all([
    killOn(works, { kills, random }),
    bringIn(works, films, titles),
  ]);
  const gone = await until(
    "deleted titles to be purged",
    async () => {
      const { rows } = await works.db.query<{ id: string }>("select id from title where deleted_at is not null");
      return rows.length === 0 ? deleted : undefined;
    },
    DEADLINE_MS,
  );
  assert.equal(gone.length, Math.floor(titles / 3));
  for (const { tenant, titleId } of live) await untilWhole(tenant, titleId);
  await plantLeftovers(works, live[0]!.titleId);
  await untilIdle(works);
  const before = await filesIn(works.objectsDir);
  await sweepAll(works);
  const ids = live.map(({ titleId }) => titleId);
  const left = await until(
    "the last leftovers to be swept",
    async () => {
      const { there, named } = await inventory(works, ids);
      assert.deepEqual(there, named);
      return named;
    },
    60_000,
  );
  for (const titleId of ids) await assertRungs(works, titleId);
  await assertOnce(works, live);
  await assertFolders(works);
  const jobs = await assertJobs(works);
  for (const made of live.slice(0, 2)) await assertPlays(made);
  const { rows } = await works.db.query<{ lapses: number }>("select count(*)::int as lapses from job where epoch > 1");
  return {
    kills: counts,
    jobs,
    lapses: rows[0]?.lapses ?? 0,
    objects: left.length,
    swept: before.length - left.length,
  };
};

/** What is in the object store, against what the rows and the sets of live titles name. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type pg from "pg";
import { SWEEP_JOB } from "../../actors/catalog/sweep.ts";
import { ContentSet } from "../../contracts/content-set.ts";
import { openDatabase } from "../../lib/db/database.ts";
import { enqueueJob } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import { ffprobePath } from "../media/ffprobe.ts";
import { until } from "../support/platform.ts";
import { DEADLINE_MS, type Works } from "./works.ts";

/** Every file below a folder, relative to it, in order. */
export const filesIn = async (folder: string): Promise<string[]> => {
  if (!existsSync(folder)) return [];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => path.relative(folder, path.join(parentPath, name)))
    .sort();
};

export const setOf = async ({ objectsDir }: Pick<Works, "objectsDir">, titleId: string): Promise<ContentSet> =>
  ContentSet.parse(JSON.parse(await readFile(path.join(objectsDir, "plexbd-segments", titleId, "set.json"), "utf8")));

const inBucket = (bucket: string) => (key: string) => `plexbd-${bucket}/${key}`;

interface Pictured {
  readonly posters: readonly { readonly path: string }[];
  readonly storyboardPath: string;
  readonly previewPath: string;
  readonly trailerPath: string | null;
}

const picturesOf = async (works: Works, titleId: string): Promise<string[]> => {
  const fact = "select payload from event where name = 'transcode.pictures' and key = $1";
  const { rows } = await works.db.query<{ payload: Pictured }>(fact, [titleId]);
  assert.equal(rows.length, 1, "pictures are told of once");
  const { posters, storyboardPath, previewPath, trailerPath } = rows[0]!.payload;
  const vtt = await readFile(path.join(works.objectsDir, "plexbd-thumbnails", storyboardPath), "utf8");
  const folder = path.dirname(storyboardPath);
  const sheets = new Set([...vtt.matchAll(/^([^#\s]+\.jpg)#/gm)].map(([, name]) => `${folder}/${name}`));
  const chosen = await works.db.query<{ name: string }>(
    "select object_name as name from artwork where title_id = $1 and object_name is not null",
    [titleId],
  );
  const artwork = chosen.rows.map(({ name }) => `${titleId}/artwork/${name}`);
  const thumbnails = new Set([...posters.map((one) => one.path), storyboardPath, ...sheets, ...artwork]);
  const trailers = [previewPath, ...(trailerPath === null ? [] : [trailerPath])];
  return [...[...thumbnails].map(inBucket("thumbnails")), ...trailers.map(inBucket("trailers"))];
};

/** All objects that a title may have, by what is said of it. */
const objectsOf = async (works: Works, titleId: string): Promise<string[]> => {
  const set = await setOf(works, titleId);
  assert.equal(set.state, "complete");
  const paths = [...set.rungs.map((rung) => rung.path ?? ""), ...set.subtitles.map((one) => one.path)];
  const { rows } = await works.db.query<{ path: string }>("select path from title_source where title_id = $1", [
    titleId,
  ]);
  return [
    ...rows.map(({ path: key }) => inBucket("sources")(key)),
    ...[`${titleId}/set.json`, ...paths].map(inBucket("segments")),
    ...(await picturesOf(works, titleId)),
  ];
};

/** What is in the store and what ought to be. */
export const inventory = async (works: Works, titleIds: readonly string[]) => {
  const named = (await Promise.all(titleIds.map((titleId) => objectsOf(works, titleId)))).flat().sort();
  return { there: await filesIn(works.objectsDir), named };
};

/** A rung is as long as its set says, by ffprobe's count of its frames. */
export const assertRungs = async (works: Works, titleId: string): Promise<void> => {
  const { rungs, frameCount } = await setOf(works, titleId);
  for (const rung of rungs) {
    const file = path.join(works.objectsDir, "plexbd-segments", rung.path ?? "");
    const shown =
      "-v error -select_streams V:0 -count_frames -show_entries stream=nb_read_frames,width,height -of json";
    const { stdout, stderr } = await promisify(execFile)(ffprobePath(), [...shown.split(" "), file]);
    const [stream] = (JSON.parse(stdout) as { streams: Record<string, unknown>[] }).streams;
    const { width, height } = rung;
    assert.deepEqual({ ...stream, stderr }, { nb_read_frames: String(frameCount), width, height, stderr: "" });
  }
};

const liveJobs = async (db: pg.Pool): Promise<string[]> => {
  const { rows } = await db.query<{ text: string }>(
    "select format('%s try %s of %s, %s waits', kind, attempt, subject_id, wait_count) as text from job_queue",
  );
  return rows.map(({ text }) => text);
};

/** Waits until nothing is left to do; what waits for its hour is told that it has come. */
export const untilIdle = ({ db }: Pick<Works, "db">): Promise<boolean> =>
  until(
    "an empty queue",
    async () => {
      await db.query("update job_queue set run_at = now() where kind = 'transcode.tidy' and run_at > now()");
      const live = await liveJobs(db);
      if (live.length > 0) throw new Error(live.join(", "));
      return true;
    },
    DEADLINE_MS,
  );

/** As if kills had come at the worst moments: what each of them leaves, which no title may keep. */
export const plantLeftovers = async (works: Works, titleId: string): Promise<readonly string[]> => {
  const { objectsDir, tenants } = works;
  const { revision } = await setOf(works, titleId);
  const tenantId = tenants[0]?.id ?? "";
  const left = [
    `.staging/${"0".repeat(32)}`,
    `.uploads/${tenantId}.${randomUUID()}`, // its row was never made
    `plexbd-sources/${tenantId}/${randomUUID()}`,
    `plexbd-segments/${randomUUID()}/r1/chunks/480p/0-1.mp4`, // of a title that is gone
    `plexbd-segments/${titleId}/r${revision}/480p-99.mp4`,
    `plexbd-thumbnails/${titleId}/r${revision}/poster-0123456789ab-99-0.jpg`,
    `plexbd-trailers/${titleId}/r${revision}/preview-0123456789ab-99.mp4`,
  ];
  for (const name of left) {
    await mkdir(path.join(objectsDir, path.dirname(name)), { recursive: true });
    await writeFile(path.join(objectsDir, name), "left");
  }
  return left;
};

/** As if two days had gone by: whatever is swept by its age is swept now. */
export const sweepAll = async (works: Works): Promise<void> => {
  const { objectsDir, databaseUrl, tenants, db } = works;
  const old = new Date(Date.now() - 2 * 86_400_000);
  await db.query("update upload set updated_at = updated_at - interval '2 days' where state = 'receiving'");
  for (const file of await filesIn(objectsDir)) {
    await utimes(path.join(objectsDir, file), old, old).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error; // another sweep has it
    });
  }
  const settings = { kind: "filesystem", root: objectsDir, bucketPrefix: "plexbd" } as const;
  await (await openObjects(settings, { log: quietLog })).close(); // each start sweeps what broken writes have left
  const tenantId = tenants[0]?.id ?? "";
  const database = openDatabase({ url: databaseUrl, applicationName: "test" });
  await database.tenantTx(tenantId, (tx) => enqueueJob(tx, { kind: SWEEP_JOB, tenantId, payload: {}, key: SWEEP_JOB }));
  await database.close();
  await untilIdle(works);
};

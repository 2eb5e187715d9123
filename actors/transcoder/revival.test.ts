/** What comes of dead jobs that are replayed: at once, late, and where nobody wants their transcode any more. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { contentPurged } from "../../contracts/catalog.ts";
import { publishFact } from "../../lib/events/events.ts";
import { replayJobs } from "../../lib/jobs/jobs.ts";
import { ffmpeg, startScene } from "./transcoder.fixture.ts";

/** A title that was made whole, with its chunks' jobs and itself as if the first of them had failed. */
const failedTitle = async (t: TestContext) => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-revival-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const film = join(dir, "film.mp4");
  const source = "-f lavfi -i testsrc2=s=160x90:r=25:d=30 -c:v libx264 -preset ultrafast -g 50";
  await ffmpeg(...source.split(" "), film);
  const scene = await startScene(t);
  const titleId = await scene.attach(film);
  assert.equal((await scene.ended(titleId)).name, "transcode.complete");
  await scene.until(async () => (await liveCount()) === 0 || undefined, "nothing that waits");
  const { rows } = await scene.db.asOwner<{ id: string }>(
    "update job set state = 'dead', ended_at = now() where kind = 'transcode.chunk' returning id",
  );
  await scene.db.asOwner("update transcode set state = 'failed', failure = jsonb_build_object('jobId', $1::text)", [
    rows[0]?.id,
  ]);
  async function liveCount(): Promise<number> {
    const sql = "select from job_queue where kind <> 'transcode.tidy' and not is_over";
    return (await scene.db.asOwner(sql)).rowCount;
  }
  const states = async (): Promise<string[]> => {
    const sql = "select revision || ' ' || state as is from transcode where title_id = $1 order by revision";
    return (await scene.db.asOwner<{ is: string }>(sql, [titleId])).rows.map(({ is }) => is);
  };
  const replayAll = () => scene.db.tenantTx(scene.tenantId, (tx) => replayJobs(tx, { countMax: 100 }));
  return { scene, film, titleId, states, replayAll, liveCount };
};

test("all dead jobs of a transcode that are replayed at once bring it back once, and it is made whole", async (t) => {
  const { scene, titleId, states, replayAll, liveCount } = await failedTitle(t);
  assert.ok((await replayAll()) > 1);
  await scene.until(async () => (await liveCount()) === 0 || undefined, "their end");
  assert.deepEqual(await states(), ["1 complete"]);
  assert.equal((await scene.set(titleId))?.state, "complete");
  const { rows } = await scene.db.asOwner("select kind, error_code from job where state <> 'done' and kind <> $1", [
    "transcode.tidy",
  ]);
  assert.deepEqual(rows, []);
});

test("a job of an older source is replayed to no effect once there is a newer one", async (t) => {
  const { scene, film, titleId, states, replayAll, liveCount } = await failedTitle(t);
  await scene.attach(film, { titleId, revision: 2 });
  await scene.until(async () => (await states())[1] === "2 complete" || undefined, "the newer revision");
  await replayAll();
  await scene.until(async () => (await liveCount()) === 0 || undefined, "its end");
  assert.deepEqual(await states(), ["1 cancelled", "2 complete"]);
  assert.deepEqual([(await scene.set(titleId))?.revision, (await scene.set(titleId))?.state], [2, "complete"]);
});

test("a job of a title that was deleted, and then purged, is replayed to no effect", async (t) => {
  const { scene, titleId, states, replayAll, liveCount } = await failedTitle(t);
  await scene.delete(titleId);
  await scene.until(async () => (await states())[0] === "1 cancelled" || undefined, "its cancellation");
  assert.ok((await replayAll()) > 0);
  await scene.until(async () => (await liveCount()) === 0 || undefined, "their end");
  assert.deepEqual(await states(), ["1 cancelled"]);
  await scene.db.asOwner("update job set state = 'dead' where kind = 'transcode.chunk'");
  const { tenantId } = scene;
  await scene.db.tenantTx(
    tenantId,
    async (tx) => void (await publishFact(tx, contentPurged, titleId, { tenantId, titleId } as never)),
  );
  await scene.until(async () => (await states()).length === 0 || undefined, "no row of it");
  assert.ok((await replayAll()) > 0);
  await scene.until(async () => (await liveCount()) === 0 || undefined, "their end");
  const { rowCount } = await scene.db.asOwner("select from job where kind = 'transcode.chunk' and state <> 'done'");
  assert.deepEqual([await states(), rowCount], [[], 0]);
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { NodeSettings } from "./node-process.fixture.ts";
import { ffmpeg, framesOf, gridOf, startScene } from "./transcoder.fixture.ts";

const childrenOf = async (pid: number): Promise<number[]> => {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").filter(Boolean).map(Number);
};
/** Stopped or dead ones of other tests aside: what `ps` calls a zombie is gone. */
const isAlive = async (pid: number): Promise<boolean> => {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text !== "" && !/\) [ZX] /.test(text);
};

test("a node that is frozen in the middle of a chunk loses it, and stops its ffmpeg when it wakes", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-frozen-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const film = join(dir, "film.mp4");
  const picture = "-f lavfi -i testsrc2=s=1280x720:r=25:d=20 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
  await ffmpeg(...`${picture} ${film}`.split(" "));
  const scene = await startScene(t, { slots: 1 });
  const settings: NodeSettings = {
    ...{ url: scene.db.url, root: scene.root, dataDir: join(dir, "data"), nodeId: "sleeper", leaseTtlMs: 3_000 },
  };
  const script = join(import.meta.dirname, "node-process.fixture.ts");
  const node = spawn(process.execPath, [script, JSON.stringify(settings)], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(node, "exit");
  t.after(() => node.kill("SIGKILL"));
  await once(node.stdout, "data");
  const titleId = await scene.attach(film);
  const own = `select (j.payload->>'index')::int as index, q.epoch from job_queue q
    join job_worker w on w.incarnation = q.holder join job j on j.id = q.job_id
    where w.node_id = 'sleeper' and q.kind = 'transcode.chunk'`;
  const { chunk, encoders } = await scene.until(async () => {
    const [row] = (await scene.db.asOwner<{ index: number; epoch: number }>(own)).rows;
    if (!row || !node.pid) return undefined;
    node.kill("SIGSTOP"); // from here on it neither starts a child nor hears of the end of one
    const pids: number[] = [];
    for (const pid of await childrenOf(node.pid)) {
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      if (command.includes("libx264") && (await isAlive(pid))) pids.push(pid);
    }
    for (const pid of pids) process.kill(pid, "SIGSTOP"); // the whole machine, as it were
    if (pids.length > 0 && (await Promise.all(pids.map(isAlive))).every(Boolean)) return { chunk: row, encoders: pids };
    for (const pid of [...pids, node.pid]) process.kill(pid, "SIGCONT");
    return undefined;
  }, "a chunk in the hands of the node");
  const end = await scene.ended(titleId, 180_000);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  for (const pid of [...encoders, node.pid ?? 0]) process.kill(pid, "SIGCONT");
  await scene.until(
    async () => ((await Promise.all(encoders.map(isAlive))).includes(true) ? undefined : true),
    "the end of its ffmpeg",
  );
  node.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  const sql = "select chunk_index as index, paths from transcode_chunk where title_id = $1 order by chunk_index";
  const { rows } = await scene.db.asOwner<{ index: number; paths: Record<string, string> }>(sql, [titleId]);
  const path = rows[chunk.index]?.paths["720p"] ?? "";
  assert.ok(Number(/-(\d+)\.mp4$/.exec(path)?.[1]) > chunk.epoch, `${path} was made under epoch ${chunk.epoch}`);
  const set = await scene.set(titleId);
  const { shown } = await framesOf(scene.file(set?.rungs[0]?.path ?? ""));
  assert.deepEqual(
    shown.map((at) => Math.round(at * 1_000)),
    gridOf(500, { num: 25, den: 1 }).map((at) => Math.round(at * 1_000)),
  );
});

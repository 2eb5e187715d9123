import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { quietLog } from "../log/log.ts";
import { isAlive } from "../postgres/processes.ts";
import { type Ffmpeg, findFfmpeg } from "./binary.ts";
import { PidFiles } from "./pid-files.ts";
import { FfmpegProcess, runFfmpeg } from "./process.ts";
import { LineLimiter, LineSplitter, withoutSecrets } from "./stderr.ts";

const ffmpeg = await findFfmpeg(process.env.FFMPEG_PATH ?? null);
const unlaunched: Ffmpeg = { ...ffmpeg, launcher: [] };
/** Nothing is ever sent there: an ffmpeg that hangs in its UDP read and does not hear SIGTERM. */
const HUNG = ["-loglevel", "quiet", "-f", "mpegts", "-i", "udp://127.0.0.1:0", "-f", "null", "-"];

const tempDir = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(path.join(tmpdir(), "ffmpeg-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};
const gone = async (pid: number): Promise<void> => {
  const endsAt = Date.now() + 20_000;
  while (isAlive(pid)) {
    assert.ok(Date.now() < endsAt, `process ${pid} is still there`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

test("a child that does not hear SIGTERM is killed a second later", async (t) => {
  const pidFiles = new PidFiles(await tempDir(t));
  const deaf = "process.on('SIGTERM', () => {}); console.error('deaf'); setInterval(() => {}, 1000);";
  const options = { ffmpeg: { ...ffmpeg, path: process.execPath }, args: ["-e", deaf], outputCount: 0, pidFiles };
  const child = await new Promise<FfmpegProcess>((resolve) => {
    const started: FfmpegProcess = new FfmpegProcess({ ...options, log: quietLog, onLine: () => resolve(started) });
  });
  assert.equal((await child.stop()).signal, "SIGKILL");
  assert.equal(isAlive(child.pid ?? 0), false);
});

test("a failing ffmpeg rejects with its own words and no secret", async (t) => {
  const pidFiles = new PidFiles(await tempDir(t));
  const run = { ffmpeg, log: quietLog, pidFiles, deadlineMs: 20_000 };
  await assert.rejects(
    runFfmpeg({ ...run, args: ["-loglevel", "level+error", "-i", "/nowhere.mp4", "-f", "null", "-"] }),
    /ffmpeg failed: .*No such file/,
  );
  await assert.rejects(runFfmpeg({ ...run, ffmpeg: { ...unlaunched, path: "/nowhere" }, args: [] }), /ENOENT/);
  await assert.rejects(runFfmpeg({ ...run, deadlineMs: 100, args: HUNG }), /took longer than 100 ms/);
});

test("no ffmpeg without one: the error is one line that says what to do", async () => {
  await assert.rejects(findFfmpeg("/nowhere/ffmpeg"), /^Error: FFMPEG_PATH: \/nowhere\/ffmpeg can't be run$/);
  await assert.rejects(findFfmpeg("/bin/true"), /lacks the encoders/);
});

/** A process of ours that starts a hung ffmpeg, says its pid, and waits to be killed. */
const parent = `
import { PidFiles } from "${import.meta.dirname}/pid-files.ts";
import { FfmpegProcess } from "${import.meta.dirname}/process.ts";
import { quietLog } from "${import.meta.dirname}/../log/log.ts";
const [ffmpeg, dir, args] = JSON.parse(process.argv[1]);
const child = new FfmpegProcess({ ffmpeg, args, outputCount: 0, log: quietLog, pidFiles: new PidFiles(dir) });
console.log(child.pid);
setInterval(() => {}, 1000);`;

const killedParent = async (t: TestContext, used: Ffmpeg, dir: string): Promise<number> => {
  const argument = JSON.stringify([used, dir, HUNG]);
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", parent, argument], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const pid = Number(String(line));
  assert.ok(isAlive(pid));
  child.kill("SIGKILL");
  await once(child, "exit");
  return pid;
};

test("kill -9 of our process takes its ffmpeg along", async (t) => {
  if (ffmpeg.launcher.length === 0) return t.skip("skipped: needs setpriv");
  await gone(await killedParent(t, ffmpeg, await tempDir(t)));
});

test("where the kernel can't be told, the next start kills what was left behind, and nothing else", async (t) => {
  const dir = await tempDir(t);
  const pid = await killedParent(t, unlaunched, dir);
  t.after(() => (isAlive(pid) ? void process.kill(pid, "SIGKILL") : undefined));
  const pidFiles = new PidFiles(dir);
  pidFiles.add(process.pid, ["another", "command"]);
  assert.deepEqual(await pidFiles.reap(), [pid]);
  await gone(pid);
  assert.deepEqual(await readdir(dir), []);
  assert.deepEqual(await new PidFiles(path.join(dir, "none")).reap(), []);
});

test("a child's note is gone when the child is", async (t) => {
  const dir = await tempDir(t);
  const args = ["-loglevel", "quiet", "-f", "lavfi", "-i", "anullsrc", "-t", "0.1", "-f", "null", "-"];
  await runFfmpeg({ ffmpeg: unlaunched, args, log: quietLog, pidFiles: new PidFiles(dir), deadlineMs: 20_000 });
  assert.equal(existsSync(dir), true);
  assert.deepEqual(await readdir(dir), []);
});

test("lines are cut at line ends wherever the bytes were", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const text of ["one\ntw", "o\r", "thr", "ee\n\n", "rest"]) splitter.push(text);
  assert.deepEqual(lines, ["one", "two", "three"]);
});

test("a flood of lines is cut to 20 and one a second, and the rest is counted", () => {
  const limiter = new LineLimiter();
  const taken = Array.from({ length: 100 }, () => limiter.take(1000)).filter((line) => line !== null);
  assert.equal(taken.length, 20);
  const later = Array.from({ length: 100 }, () => limiter.take(60_000)).filter((line) => line !== null);
  assert.deepEqual([later.length, later[0]], [20, { left: 80 }]);
});

test("passwords and stream keys do not reach the log", () => {
  assert.equal(
    withoutSecrets("from 'srt://h:9000?passphrase=secret&x=1': rtmp://h/live/key1 http://u:p@h/a?token=t end"),
    "from 'srt://h:9000?…': rtmp://h/live/… http://…@h/a?… end",
  );
});

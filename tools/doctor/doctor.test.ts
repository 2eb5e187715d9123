import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readSettings } from "../../lib/config/config.ts";
import { checkClockAlone, judgeClock, offsetOf } from "./clock.ts";
import { doctor, examine } from "./doctor.ts";
import { checkFfmpeg, judgeFfmpeg } from "./ffmpeg.ts";
import { checkDataDir, checkMachine, judgeDisk } from "./machine.ts";
import { checkPorts, wantedPorts } from "./ports.ts";

const GiB = 2 ** 30;

const tempDir = (t: TestContext): string => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-doctor-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

const freePorts = { PORT: "0", EDGE_PORT: "0", STREAMER_PORT: "0", PACKAGER_PORT: "0", UPLOAD_PORT: "0" };
const settingsIn = (dataDir: string, env: Record<string, string> = {}) =>
  readSettings({ ...freePorts, DATA_DIR: dataDir, ...env }, false);

const run = async (env: Record<string, string>): Promise<{ status: number; text: string }> => {
  let text = "";
  const status = await doctor(env, (more) => {
    text += more;
  });
  return { status, text };
};

test("a machine with the npm packages and free ports passes", async (t) => {
  const { status, text } = await run({ ...freePorts, DATA_DIR: tempDir(t) });
  assert.equal(status, 0, text);
  for (const subject of ["node", "machine", "data directory", "disk", "ffmpeg", "database", "clock"]) {
    assert.match(text, new RegExp(`^(ok|warn)\\s+${subject}: `, "m"));
  }
});

test("a port that another program has is named with its variable and fails", async (t) => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => server.close());
  const port = String((server.address() as AddressInfo).port);
  const { status, text } = await run({ ...freePorts, DATA_DIR: tempDir(t), EDGE_PORT: port });
  assert.equal(status, 1);
  assert.match(
    text,
    new RegExp(`^fail  port ${port}: in use by another program on 127.0.0.1\n +→ .*set EDGE_PORT`, "m"),
  );
});

test("an address that this machine does not have is told from a taken port", async (t) => {
  const findings = await checkPorts(settingsIn(tempDir(t), { HOST: "192.0.2.1", PORT: "8080" }));
  assert.equal(findings.length, 1);
  assert.equal(findings[0]?.state, "fail");
  assert.match(findings[0]?.todo ?? "", /HOST/);
});

test("only the ports of this process's roles are looked at", () => {
  const env = { NATS_URL: "nats://127.0.0.1", ROLES: "streamer", STREAMERS: "3", HEALTH_PORT: "9000" };
  assert.deepEqual(
    wantedPorts(readSettings(env, false)).map(({ port }) => port),
    [8082, 8083, 8084, 9000],
  );
});

test("a data directory that can't be written fails", (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, "file"), "");
  const [finding] = checkDataDir(settingsIn(join(dir, "file", "data")));
  assert.equal(finding?.state, "fail");
  assert.equal(checkDataDir(settingsIn("/proc/nothing"))[0]?.state, "fail");
});

test("little space is warned about and none fails", () => {
  assert.equal(judgeDisk("/d", 100 * GiB).state, "ok");
  assert.equal(judgeDisk("/d", 1 * GiB).state, "warn");
  assert.equal(judgeDisk("/d", 0.1 * GiB).state, "fail");
});

test("a small machine is warned about where it has streamers", (t) => {
  const settings = settingsIn(tempDir(t));
  const last = (cores: number, memory: number) => checkMachine(settings, { cores, memory }).at(-1)?.state;
  assert.equal(last(2, 4 * GiB), "ok");
  assert.equal(last(1, 4 * GiB), "warn");
  assert.equal(last(4, 1 * GiB), "warn");
});

test("a clock that is off is warned about from 100 ms and fails from 1 s, less what the reading is unsure of", () => {
  assert.equal(offsetOf(1000, 1540, 1080), 500);
  assert.equal(judgeClock("the database", 90, 0).state, "ok");
  assert.equal(judgeClock("the database", -500, 10).state, "warn");
  assert.equal(judgeClock("the database", 500, 450).state, "ok");
  assert.equal(judgeClock("the database", 5_000, 10).state, "fail");
  assert.match(judgeClock("NATS", 5_000, 10).text, /5000 ms behind NATS/);
  assert.equal(checkClockAlone(0).state, "fail");
  assert.equal(checkClockAlone(Date.UTC(2027, 0, 1)).state, "ok");
});

test("an old ffmpeg, one without SRT, and one that can outlive its node are warned about", () => {
  const all = "Input:\n  http\n  https\n  rtmp\n  srt\n  udp\n";
  const found = { path: "/f", version: "7.0", major: 7, minor: 0, launcher: ["setpriv"] };
  assert.deepEqual(
    judgeFfmpeg(found, all).map(({ state }) => state),
    ["ok"],
  );
  assert.match(judgeFfmpeg({ ...found, version: "4.3", major: 4 }, all)[0]?.text ?? "", /4\.3 at \/f is old/);
  assert.match(judgeFfmpeg(found, all.replace("srt", ""))[0]?.text ?? "", /can't take in srt/);
  const alone = judgeFfmpeg({ ...found, launcher: [] }, all);
  assert.equal(alone[1]?.state, process.platform === "linux" ? "warn" : undefined);
});

test("an ffmpeg that is not there, does not run or can't encode fails", async (t) => {
  const dir = tempDir(t);
  for (const [name, script] of [
    ["broken", "exit 3"],
    ["mute", "exit 0"],
  ] as const) {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(dir, name), 0o755);
  }
  for (const name of ["broken", "mute", "none"]) {
    const findings = await checkFfmpeg(settingsIn(dir, { FFMPEG_PATH: join(dir, name) }));
    assert.deepEqual(
      findings.map(({ state }) => state),
      ["fail"],
      name,
    );
  }
});

test("a bad variable is a finding, not a crash", async () => {
  const { status, text } = await run({ PORT: "abc" });
  assert.equal(status, 1);
  assert.match(text, /^fail {2}configuration: PORT: "abc" is not a port/);
});

test("servers that do not answer fail with the variable to look at", async (t) => {
  const env = { NATS_URL: "nats://127.0.0.1:9", DATABASE_URL: "postgres://nobody@127.0.0.1:9/none" };
  const findings = await examine(settingsIn(tempDir(t), env));
  const todo = (subject: string) => findings.find((f) => f.subject === subject && f.state === "fail")?.todo ?? "";
  assert.match(todo("NATS"), /NATS_URL/);
  assert.match(todo("database"), /DATABASE_URL/);
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { readSettings } from "../../lib/config/config.ts";
import { tempDir } from "../../test/support/platform.ts";
import { checkPackager } from "./packager.ts";

const findings = (dataDir: string, env: Record<string, string> = {}) =>
  checkPackager(readSettings({ ROLES: "packager", DATA_DIR: dataDir, ...env }, false));
const states = async (dataDir: string, env: Record<string, string> = {}): Promise<Record<string, string>> =>
  Object.fromEntries((await findings(dataDir, env)).map(({ subject, state }) => [subject, state]));

test("a packager whose folder can be read and whose places can be written passes", async (t) => {
  const dir = await tempDir(t);
  const found = await states(dir, {
    CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: dir,
    CASTERPAK_FILESYSTEM_CACHE_INPUT: "on",
    CASTERPAK_INPUT_VIDEOCACHEPATH: join(dir, "in"),
    CASTERPAK_CACHE_INPUT_FILE_CACHE_SIZE: "1",
    CASTERPAK_LOGGING_ACCESS_LOG: join(dir, "logs", "access.log"),
    CASTERPAK_LOGGING_ERROR_LOG: "-",
  });
  assert.deepEqual(found, { "video folder": "ok", "input cache": "ok", "cache index": "ok", "access log": "ok" });
});

test("a folder that is missing fails where packaging is all there is, and does not where it is one role of many", async (t) => {
  const dir = await tempDir(t);
  const missing = { CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: join(dir, "none") };
  const [alone] = await findings(dir, missing);
  assert.deepEqual([alone?.state, alone?.subject], ["fail", "video folder"]);
  assert.match(alone?.todo ?? "", /CASTERPAK_FILESYSTEM_VIDEOPARENTPATH/);
  assert.equal((await states(dir, { ...missing, ROLES: "all" }))["video folder"], "fail", "somebody has named it");
  const unset = await checkPackager(readSettings({ DATA_DIR: dir }, false));
  assert.equal(unset[0]?.state, "ok", JSON.stringify(unset[0]));
});

test("a cache or a log that can't be written is named with its variable, a small disk is warned about", async (t) => {
  const dir = await tempDir(t);
  writeFileSync(join(dir, "file"), "");
  mkdirSync(join(dir, "videos"));
  const all = await findings(dir, {
    CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: join(dir, "videos"),
    CASTERPAK_CACHE_SEGMENT_CACHE: "on",
    CASTERPAK_OUTPUT_SEGMENTPARENTPATH: join(dir, "file", "segments"),
    CASTERPAK_FILESYSTEM_CACHE_INPUT: "on",
    CASTERPAK_INPUT_VIDEOCACHEPATH: join(dir, "in"),
    CASTERPAK_CACHE_INPUT_FILE_CACHE_SIZE: "900000000",
    CASTERPAK_LOGGING_CACHE_LOG: join(dir, "file", "cache.log"),
    CASTERPAK_CACHE_DATABASE: join(dir, "file", "cacheDB.db"),
  });
  const wrong = all
    .filter(({ state }) => state !== "ok")
    .map(({ state, subject, todo = "" }) => [state, subject, todo]);
  assert.deepEqual(
    wrong.map(([state, subject]) => [state, subject]),
    [
      ["warn", "input cache"],
      ["fail", "segment cache"],
      ["fail", "cache index"],
      ["fail", "cache log"],
    ],
  );
  for (const [index, variable] of [
    [1, "SEGMENTPARENTPATH"],
    [2, "CACHE_DATABASE"],
    [3, "CACHE_LOG"],
  ] as const) {
    assert.ok(wrong[index]?.[2]?.includes(variable), variable);
  }
});

test("a source that is a server has to take connections, and an SSH login its files", async (t) => {
  const dir = await tempDir(t);
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = String((server.address() as AddressInfo).port);
  const scp = {
    CASTERPAK_INPUT_INPUT_TYPE: "scp",
    CASTERPAK_SCP_HOST: "127.0.0.1",
    CASTERPAK_SCP_PORT: port,
    CASTERPAK_SCP_KEYFILE: join(dir, "none"),
    CASTERPAK_SCP_KNOWN_HOSTS: dir,
    CASTERPAK_INPUT_VIDEOCACHEPATH: join(dir, "in"),
    CASTERPAK_CACHE_INPUT_FILE_CACHE_SIZE: "1",
  };
  assert.deepEqual(await states(dir, scp), {
    ...{ "source scp": "ok", "the private key": "fail", "the known hosts": "ok" },
    ...{ "input cache": "ok", "cache index": "ok" },
  });
  const http = { CASTERPAK_INPUT_INPUT_TYPE: "http", CASTERPAK_HTTP_URL: `http://127.0.0.1:${port}/v` };
  assert.equal((await states(dir, http))["source http"], "ok");
  await new Promise<void>((done) => server.close(() => done()));
  assert.equal((await states(dir, http))["source http"], "fail");
  const amazon = { CASTERPAK_INPUT_INPUT_TYPE: "s3", CASTERPAK_S3_BUCKET: "films" };
  assert.equal((await states(dir, amazon))["source s3"], "ok");
});

test("rsync and ssh have to be there where files come that way", async (t) => {
  const dir = await tempDir(t);
  const { PATH } = process.env;
  t.after(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = dir; // nothing is in it
  const found = await states(dir, {
    CASTERPAK_INPUT_INPUT_TYPE: "rsync",
    CASTERPAK_RSYNC_HOST: "127.0.0.1",
    CASTERPAK_RSYNC_PORT: "1",
    CASTERPAK_INPUT_VIDEOCACHEPATH: join(dir, "in"),
  });
  assert.deepEqual([found.rsync, found.ssh], ["fail", "fail"]);
});

test("a setting without effect is one to look at", async (t) => {
  const dir = await tempDir(t);
  const env = { CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: dir, CASTERPAK_OUTPUT_SERVER: "x" };
  assert.deepEqual((await findings(dir, env)).at(-1), {
    state: "warn",
    subject: "setting",
    text: "CASTERPAK_OUTPUT_SERVER is no setting",
    todo: "Correct its name; `npm start -- --help` lists all of them.",
  });
});

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { ROLES } from "../lib/config/config.ts";
import { VARIABLES } from "../lib/config/variables.ts";
import { startNode, tempDir } from "./support/platform.ts";

const START = join(import.meta.dirname, "..", "start.mjs");

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}
const start = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: 30_000 };
    execFile(process.execPath, [START, ...args], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });

test("--help lists every role and variable in at most 100 columns", async () => {
  const { status, stdout } = await start(["--help"]);
  assert.equal(status, 0);
  for (const role of ROLES) assert.match(stdout, new RegExp(`^  ${role} `, "m"));
  for (const { env } of Object.values(VARIABLES)) assert.match(stdout, new RegExp(`^  ${env} `, "m"));
  for (const line of stdout.split("\n")) assert.ok(line.length <= 100, line);
});

test("a bad value stops the start with 64 and one line that names the variable", async () => {
  assert.deepEqual(await start([], { EDGE_PORT: "eighty" }), {
    status: 64,
    stdout: "",
    stderr: 'castellan: EDGE_PORT: "eighty" is not a port from 0 to 65535 (0 takes a free one).\n',
  });
});

test("an unknown role and an unknown argument stop it with 64 and one line", async () => {
  for (const ended of [await start([], { ROLES: "watcher" }), await start(["--port"]), await start(["doctor", "x"])]) {
    assert.equal(ended.status, 64);
    assert.equal(ended.stdout, "");
    assert.equal(ended.stderr.trim().split("\n").length, 1, ended.stderr);
  }
});

/** One role, without a bus that it could reach. */
const alone = {
  ...{ NATS_URL: "nats://127.0.0.1:1", LOG_LEVEL: "silent" },
  ...{ PORT: "0", EDGE_PORT: "0", STREAMER_PORT: "0", PACKAGER_PORT: "0", UPLOAD_PORT: "0" },
};

test("a port that is taken stops the start with 64 and one line that names its variable", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const port = String((server.address() as AddressInfo).port);
  const roles = {
    ...{ PORT: "gateway", EDGE_PORT: "edge", STREAMER_PORT: "streamer", PACKAGER_PORT: "packager" },
    HEALTH_PORT: "gateway",
  };
  for (const [variable, ROLES] of Object.entries(roles)) {
    const env = { ...alone, ROLES, DATA_DIR: await tempDir(t), [variable]: port };
    assert.deepEqual(await start([], env), {
      ...{ status: 64, stdout: "" },
      stderr: `castellan: ${variable}: port ${port} on 127.0.0.1 is taken by another program.\n`,
    });
  }
});

test("a HOST that is not this machine's stops it likewise", async (t) => {
  for (const EDGE_PORT of ["0", "8081"]) {
    const env = { ...alone, ROLES: "streamer", HOST: "192.0.2.1", EDGE_PORT, DATA_DIR: await tempDir(t) };
    assert.deepEqual(await start([], env), {
      ...{ status: 64, stdout: "" },
      stderr: "castellan: HOST: 192.0.2.1 is no address of this machine.\n",
    });
  }
});

test("a second process on one DATA_DIR is refused with 64 and one line, and not after a kill of the first", async (t) => {
  const dataDir = await tempDir(t);
  const env = { ...alone, ROLES: "streamer" };
  const first = await startNode(t, { env, dataDir });
  assert.deepEqual(await start([], { ...env, DATA_DIR: dataDir }), {
    ...{ status: 64, stdout: "" },
    stderr:
      `castellan: DATA_DIR: ${dataDir} is in use by another Castellan (process ${first.child.pid}); ` +
      "each process needs one of its own.\n",
  });
  const ended = once(first.child, "exit");
  first.kill("SIGKILL");
  await ended;
  await startNode(t, { env, dataDir });
});

test("a reader of the help who has seen enough is no error", async () => {
  const child = spawn(process.execPath, [START, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
  let complaints = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaints += chunk;
  });
  child.stdout.destroy();
  const [status] = await once(child, "close");
  assert.equal(complaints, "");
  assert.equal(status, 0);
});

test("a Node that can't run TypeScript is told in one line what to do", async () => {
  const run = (version: string): Promise<Ended> => {
    const pretend = `Object.defineProperty(process.versions, "node", { value: "${version}" })`;
    const args = ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`, START, "--help"];
    return new Promise((resolve) => {
      execFile(process.execPath, args, { timeout: 30_000 }, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  };
  for (const version of ["18.20.0", "20.19.0", "22.17.1", "23.5.0"]) {
    const { status, stderr } = await run(version);
    assert.equal(status, 1, version);
    assert.match(stderr, /^castellan: this is Node [\d.]+, and it needs 22\.18 or newer: [^\n]+\n$/);
  }
  for (const version of ["22.18.0", "23.6.0", "24.0.0"]) assert.equal((await run(version)).status, 0, version);
});

test("a file of sites can be looked at before an edge is given it", async (t) => {
  const file = join(await tempDir(t), "edge.json");
  const check = (text: string) =>
    writeFile(file, text).then(() => start(["--config", file, "--check"], { ...alone, ROLES: "edge" }));
  const site = { hostnames: ["a.example"], origins: [{ id: "a", url: "http://127.0.0.1:1" }] };
  const good = { customers: [{ id: "acme", sites: [site] }] };
  assert.deepEqual(await check(JSON.stringify(good)), { status: 0, stdout: `${file} can be served.\n`, stderr: "" });
  const bad = await check(JSON.stringify({ customers: [{ id: "acme", sites: [{ ...site, hostnames: ["A B"] }] }] }));
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^castellan: customers\.0\.sites\.0\.hostnames\.0: .*\n$/);
});

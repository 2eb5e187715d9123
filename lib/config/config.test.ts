import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { baseUrlOf, ConfigError, loadConfig, readSettings } from "./config.ts";
import { CONTROL_ACTORS, VARIABLES } from "./variables.ts";

const problemOf = (env: Record<string, string>): string => {
  try {
    readSettings(env, false);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return "";
};

test("an empty environment is one process with every role, two streamers and the demo", () => {
  const settings = readSettings({}, false);
  assert.deepEqual(settings.roles, ["gateway", "control", "streamer", "transcoder", "packager", "edge"]);
  assert.equal(settings.allInOne, true);
  assert.equal(settings.streamers, 2);
  assert.equal(settings.demo, true);
  assert.deepEqual(
    [settings.port, settings.edgePort, settings.streamerPort, settings.packagerPort],
    [8080, 8081, 8082, 5000],
  );
  assert.equal(settings.host, "127.0.0.1");
  assert.equal(settings.databaseUrl, null);
  assert.equal(settings.natsUrl, null);
  assert.equal(settings.nodeId, null);
});

test("a process with one role has one streamer and no demo", () => {
  const settings = readSettings({ ROLES: "streamer", NATS_URL: "nats://bus:4222" }, false);
  assert.deepEqual(settings.roles, ["streamer"]);
  assert.equal(settings.allInOne, false);
  assert.equal(settings.streamers, 1);
  assert.equal(settings.demo, false);
});

test("a single actor of control may be a process of its own", () => {
  const backends = { NATS_URL: "nats://bus:4222", DATABASE_URL: "postgres://db/castellan" };
  const one = readSettings({ ROLES: "channel-supervisor", ...backends }, false);
  assert.deepEqual([one.roles, one.controlActors], [["control"], ["channel-supervisor"]]);
  const some = readSettings({ ROLES: "gateway, tenant,channel", ...backends }, false);
  assert.deepEqual(
    [some.roles, some.controlActors, some.allInOne],
    [["gateway", "control"], ["tenant", "channel"], false],
  );
  const whole = readSettings({ ROLES: "control,fleet", ...backends }, false);
  assert.deepEqual(whole.controlActors, CONTROL_ACTORS);
  const named = { ROLES: `gateway,streamer,edge,${CONTROL_ACTORS.filter((actor) => actor !== "fleet").join(",")}` };
  assert.equal(problemOf(named), "NATS_URL: is needed: without fleet in ROLES this process must reach other nodes.");
  assert.equal(readSettings({ ...named, ROLES: `${named.ROLES},fleet` }, false).allInOne, true);
});

test("values come with their units", () => {
  const settings = readSettings(
    { EDGE_CACHE_BYTES: "1.5GiB", RING_BYTES_MAX: "8000000", LEASE_TTL: "2500ms", DEMO: "OFF", PORT: "0" },
    false,
  );
  assert.equal(settings.edgeCacheBytes, 1.5 * 2 ** 30);
  assert.equal(settings.ringBytesMax, 8_000_000);
  assert.equal(settings.leaseTtlMs, 2500);
  assert.equal(settings.demo, false);
  assert.equal(settings.port, 0);
});

test("an empty variable counts as unset, and spaces around a value do not count", () => {
  const settings = readSettings({ PORT: "", PUBLIC_URL: " https://tv.example.net/ " }, false);
  assert.equal(settings.port, 8080);
  assert.equal(settings.publicUrl, "https://tv.example.net");
});

test("a bad value is one line that names its variable", () => {
  const bad: Record<string, string[]> = {
    PORT: ["abc", "-1", "65536", "80.5"],
    ROLES: ["edge,watcher", "all,edge", "al"],
    STREAMERS: ["0", "65"],
    EDGE_CACHE_BYTES: ["12 parsecs", "1k", "100"],
    LEASE_TTL: ["6", "0s", "1000h"],
    ALLOW_PRIVATE_SOURCES: ["10.0.0.0/33", "lan", "::1/129"],
    DATABASE_URL: ["mysql://db/x", "nonsense"],
    NATS_URL: ["http://bus"],
    PUBLIC_URL: ["ftp://x", "http://user:pw@x", "http://x/?a=b"],
    ADMIN_API_KEY: ["short", "with some spaces in it"],
    NODE_ID: ["a.b", "-x", "x".repeat(64)],
    LOG_LEVEL: ["loud"],
    LOG_FORMAT: ["xml"],
    DEMO: ["perhaps"],
    FFMPEG_PRESET: ["placebo"],
    HOST: ["not a host"],
  };
  for (const [variable, values] of Object.entries(bad)) {
    for (const value of values) {
      const problem = problemOf({ [variable]: value });
      assert.ok(problem.startsWith(`${variable}: `), `${variable}=${value}: ${problem}`);
      assert.ok(!problem.includes("\n"), problem);
    }
  }
});

test("a bad secret is not repeated", () => {
  for (const variable of Object.values(VARIABLES)) {
    if (!("secret" in variable)) continue;
    assert.ok(!problemOf({ [variable.env]: "hunter two" }).includes("hunter"), variable.env);
  }
});

test("a process without every role needs a bus, and the role control a database then", () => {
  assert.match(problemOf({ ROLES: "edge" }), /^NATS_URL: is needed/);
  assert.match(problemOf({ ROLES: "control,gateway", NATS_URL: "nats://bus" }), /^DATABASE_URL: is needed/);
  assert.equal(problemOf({ ROLES: "edge", NATS_URL: "nats://bus" }), "");
  assert.equal(problemOf({ NATS_URL: "nats://bus" }), "");
});

test("two listeners of one process can't have the same port", () => {
  assert.match(problemOf({ EDGE_PORT: "8080" }), /^EDGE_PORT: port 8080 is also taken by PORT/);
  assert.match(problemOf({ HEALTH_PORT: "8083" }), /^HEALTH_PORT: port 8083 is also taken by STREAMER_PORT/);
  assert.match(problemOf({ STREAMER_PORT: "65535" }), /^STREAMER_PORT: leaves no ports/);
  assert.equal(
    problemOf({
      PORT: "0",
      EDGE_PORT: "0",
      STREAMER_PORT: "0",
      PACKAGER_PORT: "0",
      UPLOAD_PORT: "0",
      HEALTH_PORT: "0",
    }),
    "",
  );
  assert.equal(problemOf({ ROLES: "edge", NATS_URL: "nats://bus", EDGE_PORT: "8080" }), "");
});

test("unknown variables are none of our business", () => {
  assert.equal(problemOf({ CASTELLAN_COLOUR: "green", STREAMERZ: "x" }), "");
});

test("each variable's default is a value of its kind", () => {
  for (const variable of Object.values(VARIABLES)) {
    if (variable.fallback !== null && variable.fallback !== "") variable.kind.parse(variable.fallback);
    else if (variable.fallback === null) assert.ok(variable.otherwise, variable.env);
  }
});

test("the node's name is made once and kept in the data directory", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-config-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const dataDir = join(dir, "deep", "data");
  const first = loadConfig({ DATA_DIR: dataDir });
  assert.match(first.nodeId, /^[A-Za-z0-9][A-Za-z0-9-]*-[0-9a-f]{6}$/);
  assert.equal(loadConfig({ DATA_DIR: dataDir }).nodeId, first.nodeId);
  assert.equal(loadConfig({ DATA_DIR: dataDir, NODE_ID: "edge-7" }).nodeId, "edge-7");
  writeFileSync(join(dataDir, "run", "node-id"), "not a name\n");
  assert.throws(() => loadConfig({ DATA_DIR: dataDir }), /^ConfigError: NODE_ID: .*node-id holds no usable name/);
});

test("a data directory that can't be made is named", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-config-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, "file"), "");
  assert.throws(() => loadConfig({ DATA_DIR: join(dir, "file", "data") }), /^ConfigError: DATA_DIR: can't be used/);
});

test("an address for a listener is made from its host and port", () => {
  assert.equal(baseUrlOf("127.0.0.1", 8080), "http://127.0.0.1:8080");
  assert.equal(baseUrlOf("::1", 8080), "http://[::1]:8080");
  assert.ok(!baseUrlOf("0.0.0.0", 8080).includes("0.0.0.0"));
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { CacheCleaner } from "../../actors/packager/cache-cleaner.ts";
import { CacheIndex } from "../../actors/packager/cache-index.store.ts";
import { contentOf, filesBelow, MiB, tempFolder } from "../../actors/packager/caches.fixture.ts";
import { FakeSource } from "../../actors/packager/fake-source.fixture.ts";
import { forgetFiles, meantBy } from "../../actors/packager/forget.ts";
import { openInputCache } from "../../actors/packager/input-cache.ts";
import { answerAdmin, isAdminPath } from "../../actors/packager/purge.ts";
import { openSegmentCache } from "../../actors/packager/segment-cache.ts";
import { TokenGate } from "../../actors/packager/tokens.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { claimDataDir } from "../../lib/config/data-dir-owner.ts";
import { openRawListener } from "../../lib/http/raw-listener.ts";
import { quietLog } from "../../lib/log/log.ts";
import { main } from "./packager.ts";

const TOOL = resolve(import.meta.dirname, "packager.ts");
const ADMIN_TOKEN = "an admin token of the test".replaceAll(" ", "-");

const environment = (root: string): Record<string, string> => ({
  DATA_DIR: root,
  CASTERPAK_FILESYSTEM_CACHE_INPUT: "on",
  CASTERPAK_CACHE_SEGMENT_CACHE: "on",
  CASTERPAK_INPUT_VIDEOCACHEPATH: join(root, "input"),
  CASTERPAK_OUTPUT_SEGMENTPARENTPATH: join(root, "segments"),
});

const inProcess = async (argv: readonly string[], env: Record<string, string> = {}) => {
  const out: string[] = [];
  const complaints: string[] = [];
  const io = { print: (text: string) => void out.push(text), complain: (text: string) => void complaints.push(text) };
  const status = await main(argv, env, io);
  return { status, out: out.join(""), complaint: complaints.join("") };
};

/** As an operator runs it, in a process of its own. */
const command = async (argv: readonly string[], env: Record<string, string>) => {
  const script = `process.exitCode = await (await import(${JSON.stringify(TOOL)})).main(${JSON.stringify(argv)}, process.env)`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => (texts.stdout += text));
  child.stderr.on("data", (text) => (texts.stderr += text));
  const [status] = await once(child, "close");
  assert.equal(status, 0, texts.stderr);
  return JSON.parse(texts.stdout) as Record<string, unknown>;
};

/** Two files and three segments in the caches of a packager; `close` ends it. */
const packager = async (t: TestContext, root: string) => {
  const index = new CacheIndex({ file: join(root, "packager", "cacheDB.db"), clock, log: quietLog, flushMs: 20 });
  const common = { index, limitPercent: 85, ageMs: 3_600_000, maxBytes: 100 * MiB, clock, log: quietLog };
  const source = new FakeSource();
  const input = await openInputCache({ ...common, source, mode: "ranges", dir: join(root, "input") });
  const segments = await openSegmentCache({ ...common, dir: join(root, "segments") });
  for (const path of ["a/film_low.mp4", "a/film_high.mp4", "b/other.mp4"]) {
    source.put(path, contentOf(1, MiB));
    const object = await input.open(path);
    await object.readRange(0, Buffer.alloc(100));
    await object.close();
    await segments.put({ path, version: "1", leaf: "segment1_0_av.ts" }, contentOf(2, 10_000));
  }
  const cleaner = new CacheCleaner({
    stores: [input.store, segments.store],
    index,
    intervalMs: 3_600_000,
    cron: null,
    clock,
    log: quietLog,
  });
  cleaner.start();
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await cleaner.stop();
    await segments.close();
    await input.close();
    index.close();
  };
  t.after(close);
  return { input, segments, cleaner, close };
};

const counts = ({ by, inputCount, segmentCount }: Record<string, unknown>) => ({ by, inputCount, segmentCount });
const SET = "https://video.example.net/i/a/film_,low,high,.mp4.csmil/master.m3u8?x=1";

test("what is not understood is said in one line, with status 64; help is printed", async () => {
  const cases: [argv: string[], complaint: RegExp][] = [
    [["frobnicate"], /"frobnicate" is no command/],
    [["purge"], /takes addresses or --all/],
    [["purge", "--all", "/i/a.mp4"], /takes addresses or --all/],
    [["stat", "--all"], /stat takes no --all/],
    [["stat", "x"], /stat takes no address/],
    [["token"], /needs --path/],
    [["token", "--path", "/i/x", "--ttl", "soon"], /--ttl soon is no time/],
    [["token", "--path", "/i/x"], /no tokens are asked for/],
    [["purge", "--nonsense"], /Unknown option/],
    [["purge", "--all", "--server", "http://127.0.0.1:1"], /needs CASTERPAK_APPLICATION_ADMIN_TOKEN|nothing listens/],
  ];
  for (const [argv, complaint] of cases) {
    const { status, out, complaint: said } = await inProcess(argv);
    assert.match(said, complaint, argv.join(" "));
    assert.match(said, /^packager: .*\n$/);
    assert.equal(status, argv.includes("--server") ? 1 : 64, argv.join(" "));
    assert.equal(out, "");
  }
  for (const argv of [[], ["--help"], ["purge", "-h"]])
    assert.match((await inProcess(argv)).out, /^Looks after the caches/);
});

test("a token that is made opens what it names, for its time", async () => {
  const key = "52a152a152a152a152a152a152a1";
  const env = { CASTERPAK_TOKEN_PATHS: "/protected/*", CASTERPAK_TOKEN_PASSWORD: key };
  const nowMs = Date.now();
  const rules = [{ paths: ["/protected/*"], password: key, alternatePassword: null, sessionMs: 60_000 }];
  const allows = (query: string, path: string, atMs = nowMs): boolean =>
    new TokenGate({ rules, prefix: "/i/", clock: { nowMs: () => atMs } }).check({
      path,
      query,
      remoteAddress: "192.0.2.1",
    }).allowed;
  const made = async (...argv: string[]): Promise<string> => {
    const { status, out, complaint } = await inProcess(["token", ...argv], env);
    assert.equal(status, 0, complaint);
    return out.trim();
  };
  const wide = await made("--path", "/i/protected/*", "--ttl", "5m", "--id", "viewer 7");
  const [, body = "", hmac] =
    /^hdnts=(st=\d+~exp=\d+~acl=\/i\/protected\/\*~id=viewer%207)~hmac=([0-9a-f]{64})$/.exec(wide) ?? [];
  assert.equal(hmac, createHmac("sha256", Buffer.from(key, "hex")).update(body).digest("hex"));
  assert.ok(allows(wide, "/i/protected/film.mp4/master.m3u8"));
  assert.ok(allows(wide, "/i/protected/film.mp4/master.m3u8", nowMs + 300_000));
  assert.ok(!allows(wide, "/i/protected/film.mp4/master.m3u8", nowMs + 330_000));
  const one = await made("--path", "/i/protected/a%20film.mp4/master.m3u8");
  assert.ok(allows(one, "/i/protected/a%20film.mp4/master.m3u8"));
  assert.ok(!allows(one, "/i/protected/other.mp4/master.m3u8"));
  const two = await made("--path", "/i/protected/a%20film.mp4/*", "--path", "/i/protected/b.mp4/*");
  assert.ok(allows(two, "/i/protected/a%20film.mp4/cmaf.m3u8") && allows(two, "/i/protected/b.mp4/x"));
  assert.match((await inProcess(["token", "--path", "/i/free/*"], env)).complaint, /no rule fits/);
  assert.match(
    (await inProcess(["token", "--path", "/i/free/*", "--rule", "x"], env)).complaint,
    /there is no rule x: default/,
  );
});

test("where no packager runs, the command works on the folders itself", async (t) => {
  const root = tempFolder(t);
  await (await packager(t, root)).close();
  const env = environment(root);
  const { caches } = (await command(["stat", "--json"], env)) as { caches: Record<string, unknown>[] };
  assert.deepEqual(
    caches.map(({ cache, entryCount }) => [cache, entryCount]),
    [
      ["input", 3],
      ["segment", 3],
    ],
  );
  const planned = await command(["purge", SET, "--dry-run", "--json"], env);
  assert.deepEqual(counts(planned), { by: "command", inputCount: 2, segmentCount: 2 });
  assert.equal(filesBelow(join(root, "input")).size, 3);
  assert.deepEqual(counts(await command(["purge", SET, "--json"], env)), {
    by: "command",
    inputCount: 2,
    segmentCount: 2,
  });
  const old = { ...env, CASTERPAK_CACHE_SEGMENT_FILE_CACHE_SIZE: "1", CASTERPAK_CACHE_SEGMENT_FILE_CACHE_LIMIT: "1" };
  assert.deepEqual(counts(await command(["clean", "--json"], old)), { by: "command", inputCount: 0, segmentCount: 1 });
  assert.deepEqual(counts(await command(["purge", "--all", "--json"], env)), {
    by: "command",
    inputCount: 1,
    segmentCount: 0,
  });
  assert.equal(filesBelow(join(root, "input")).size + filesBelow(join(root, "segments")).size, 0);
});

test("a packager that runs without an admin token follows what its index is told, and the command waits for it", async (t) => {
  const root = tempFolder(t);
  claimDataDir(root);
  const { input, segments } = await packager(t, root);
  const env = environment(root);
  assert.deepEqual(counts(await command(["purge", SET, "--dry-run", "--json"], env)), {
    by: "index",
    inputCount: 2,
    segmentCount: 2,
  });
  assert.equal(input.store.usage().entryCount, 3);
  assert.deepEqual(counts(await command(["purge", SET, "--json"], env)), {
    by: "index",
    inputCount: 2,
    segmentCount: 2,
  });
  assert.equal(input.store.usage().entryCount, 1);
  assert.equal(segments.store.usage().entryCount, 1);
  assert.deepEqual(counts(await command(["clean", "--json"], env)), { by: "index", inputCount: 0, segmentCount: 0 });
});

test("a packager with an admin token is asked, and takes nobody else's word", async (t) => {
  const root = tempFolder(t);
  const { input, segments, cleaner } = await packager(t, root);
  const options = {
    prefix: "/i/",
    childManifestFilename: "index_0_av.m3u8",
    sanitize: "refuse" as const,
    filesOfSmil: async () => [],
  };
  const kept = { library: { forget: () => 4 }, derived: [], input, segments };
  const deps = {
    adminToken: ADMIN_TOKEN,
    purge: async (targets: Parameters<typeof meantBy>[0]) => forgetFiles(await meantBy(targets, options), kept),
    meantBy: (targets: Parameters<typeof meantBy>[0]) => meantBy(targets, options),
    stores: [input.store, segments.store],
    clean: () => cleaner.runOnce(),
  };
  const listener = await openRawListener({
    ...{
      name: "test",
      host: "127.0.0.1",
      port: 0,
      portVariable: "PORT",
      log: quietLog,
      ready: () => ({ ready: true }) as never,
    },
    handle: (exchange) =>
      isAdminPath(exchange.path) ? answerAdmin(exchange, deps) : exchange.problem({ code: "NOT_FOUND" }),
  });
  t.after(() => listener.close());
  const url = `http://127.0.0.1:${listener.port}`;
  const env = {
    ...environment(root),
    CASTERPAK_APPLICATION_ADMIN_TOKEN: ADMIN_TOKEN,
    PACKAGER_PORT: String(listener.port),
  };
  const planned = await command(["purge", SET, "--dry-run", "--json"], env);
  assert.deepEqual(counts(planned), { by: "packager", inputCount: 2, segmentCount: 2 });
  assert.ok(Number(planned.sizeBytes) > 2 * MiB);
  const purged = await command(["purge", SET, "--json", "--server", url], env);
  assert.deepEqual(purged, { ...planned, dryRun: false, indexCount: 4 });
  const post = (path: string, init: RequestInit) => fetch(`${url}${path}`, { method: "POST", ...init });
  const authorization = `Bearer ${ADMIN_TOKEN}`;
  const cases: [path: string, init: RequestInit, status: number][] = [
    ["/purge", { body: '{"all":true}' }, 401],
    ["/purge", { body: '{"all":true}', headers: { authorization: `${authorization}x` } }, 401],
    ["/purge", { body: "{", headers: { authorization } }, 400],
    ["/purge", { body: "{}", headers: { authorization } }, 422],
    ["/purge", { body: '{"all":true,"urls":["/i/a"]}', headers: { authorization } }, 422],
    ["/purge", { body: '{"all":true,"everything":1}', headers: { authorization } }, 422],
    ["/purge", { body: '{"urls":["/i/../x"]}', headers: { authorization } }, 400],
    ["/caches", { headers: { authorization } }, 405],
    ["/caches", { method: "GET", headers: { authorization } }, 200],
    ["/clean", { headers: { authorization } }, 200],
    ["/purge", { body: '{"all":true}', headers: { authorization } }, 200],
  ];
  for (const [path, init, status] of cases) {
    const response = await post(path, init);
    assert.equal(response.status, status, `${path} ${JSON.stringify(init)}`);
    await response.arrayBuffer();
  }
  assert.equal(input.store.usage().entryCount, 0);
});

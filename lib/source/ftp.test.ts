import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type FtpStandIn, ftpStandIn, type Interruption } from "../../test/support/ftp-stand-in.ts";
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { ContentSource } from "./port.ts";
import type { SourceTools } from "./settings.ts";
import { bytesOf, readAll, tempDir } from "./suite-stage.ts";

const QUICK = { connectTimeoutMs: 1_500, idleTimeoutMs: 1_500 };
const BODY = bytesOf(1, 300_000);

interface Stage {
  readonly ftp: FtpStandIn;
  readonly source: ContentSource;
}

const begin = async (t: TestContext, tools: Partial<SourceTools> = QUICK): Promise<Stage> => {
  const ftp = await ftpStandIn(t);
  ftp.files.set("/m/a.bin", BODY);
  const login = { host: "127.0.0.1", port: ftp.port, user: "viewer", password: "s3cret", secure: "off" } as const;
  const source = await openSource(
    { kind: "ftp", path: "/m", ...login },
    { log: quietLog, connectionsMax: 1, ...tools },
  );
  t.after(() => source.close());
  return { ftp, source };
};

/** The code that a range ends with, whether the target stays as it was then, and whether the next range is good. */
const interrupted = async (t: TestContext, interruption: Interruption): Promise<string | undefined> => {
  const { ftp, source } = await begin(t);
  const object = await source.open("a.bin");
  ftp.interruption = interruption;
  const target = new Uint8Array(200_000);
  const code = await object.readRange(50_000, target).then(
    () => "read",
    (error: { code?: string }) => error.code,
  );
  const kept = target.slice();
  ftp.interruption = null;
  assert.ok(BODY.equals(await readAll(object)), "the next range");
  assert.deepEqual(target, kept);
  return code;
};

test("a data connection that hangs ends in SOURCE_TIMEOUT, and the only connection is free again", async (t) => {
  assert.equal(await interrupted(t, { after: 100_000, next: "hang" }), "SOURCE_TIMEOUT");
});

test("a data connection that breaks fails, and the next one is good", async (t) => {
  assert.equal(await interrupted(t, { after: 100_000, next: "reset" }), "SOURCE_FAILED");
});

test("a file that ends too soon is truncated, though the server says that all is done", async (t) => {
  assert.equal(await interrupted(t, { after: 100_000, next: "end" }), "SOURCE_TRUNCATED");
});

test("a fetch that hangs or ends too soon leaves no file", async (t) => {
  const codes = { hang: "SOURCE_TIMEOUT", reset: "SOURCE_FAILED", end: "SOURCE_TRUNCATED" } as const;
  for (const next of ["hang", "reset", "end"] as const) {
    const { ftp, source } = await begin(t);
    const dir = await tempDir(t);
    ftp.interruption = { after: 100_000, next };
    await assert.rejects(source.fetchTo("a.bin", join(dir, "f")), { code: codes[next] }, next);
    assert.deepEqual(await readdir(dir), []);
    ftp.interruption = null;
    assert.equal((await source.fetchTo("a.bin", join(dir, "f"))).sizeBytes, BODY.length);
  }
});

test("a caller who leaves in the middle of a range is let go at once, and the connection with him", async (t) => {
  const { ftp, source } = await begin(t, {});
  const object = await source.open("a.bin");
  ftp.interruption = { after: 100_000, next: "hang" };
  const leaving = new AbortController();
  const target = new Uint8Array(200_000);
  const reading = object.readRange(50_000, target, { signal: leaving.signal });
  await ftp.interrupted;
  const reason = new Error("the viewer has left");
  leaving.abort(reason);
  await assert.rejects(reading, reason);
  const kept = target.slice();
  ftp.interruption = null;
  assert.ok(BODY.equals(await readAll(object)));
  assert.deepEqual(target, kept);
});

test("a reply that comes in pieces is one reply", async (t) => {
  const { ftp, source } = await begin(t, {});
  ftp.replies.set("SIZE", { raw: ["21", "3 300", "000", "\r", "\n"] });
  assert.equal((await source.stat("a.bin")).sizeBytes, 300_000);
});

test("a reply without end is given up", async (t) => {
  const { ftp, source } = await begin(t, {});
  ftp.replies.set("SIZE", { raw: Array<string>(20).fill("x".repeat(10_000)) });
  await assert.rejects(source.stat("a.bin"), { code: "SOURCE_FAILED" });
});

test("a server without MDTM has sizes alone", async (t) => {
  const { ftp, source } = await begin(t);
  ftp.replies.set("MDTM", "502 unknown");
  const object = await source.open("a.bin");
  assert.equal(object.stat.modifiedMs, null);
  assert.ok(BODY.equals(await readAll(object)));
});

test("what the server says in numbers is an error of the catalogue", async (t) => {
  const cases: [string, string, string][] = [
    ["", "421 too many connections", "SOURCE_FAILED"],
    ["USER", "530 no such user", "SOURCE_DENIED"],
    ["PASS", "530 wrong", "SOURCE_DENIED"],
    ["SIZE", "550 Permission denied.", "SOURCE_DENIED"],
    ["SIZE", "550 Could not get file size.", "SOURCE_NOT_FOUND"],
    ["SIZE", "213 many", "SOURCE_FAILED"],
    ["MDTM", "450 busy", "SOURCE_FAILED"],
  ];
  for (const [word, reply, code] of cases) {
    const { ftp, source } = await begin(t);
    ftp.replies.set(word, reply);
    await assert.rejects(source.stat("a.bin"), { code }, reply);
  }
});

test("a server that sends its data from elsewhere is not followed there", async (t) => {
  const { ftp, source } = await begin(t);
  ftp.replies.set("EPSV", "502 unknown").set("PASV", "227 entering (10,1,2,3,4,5)");
  const object = await source.open("a.bin");
  await assert.rejects(object.readRange(0, new Uint8Array(10)), { code: "SOURCE_FAILED" });
});

test("a listing by MLSD has files and folders; a link is what it leads to", async (t) => {
  const { ftp, source } = await begin(t);
  ftp.files.set("/m/link", bytesOf(1, 77));
  ftp.replies.set("CWD", "250 there");
  const listed = async () => {
    const entries = [];
    for await (const entry of source.list("")) entries.push(entry);
    return entries;
  };
  const rest = [
    { path: "a", kind: "folder", sizeBytes: null },
    { path: "b c", kind: "file", sizeBytes: 3 },
  ];
  assert.deepEqual(await listed(), [...rest, { path: "link", kind: "folder", sizeBytes: null }]);
});

test("one connection serves one request after the other", async (t) => {
  const { ftp, source } = await begin(t);
  const object = await source.open("a.bin");
  for (const offset of [0, 100_000, 299_990]) await object.readRange(offset, new Uint8Array(10));
  assert.equal(ftp.asked.filter((command) => command === "USER viewer").length, 1);
  assert.deepEqual(ftp.asked.slice(-5), ["EPSV", "REST 299990", "RETR /m/a.bin", "SIZE /m/a.bin", "MDTM /m/a.bin"]);
});

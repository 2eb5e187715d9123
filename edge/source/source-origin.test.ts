/** Content sources as origins: what an HTTP server in front of them would answer. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ErrorCode, fail } from "../../contracts/errors.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openSource } from "../../lib/source/open.ts";
import type { ContentSource, SourceObject, SourceStat } from "../../lib/source/port.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import { OriginSet } from "../origin/site/origin-set.ts";
import { UpstreamError } from "../origin/upstream.ts";
import { SourceOrigin } from "./source-origin.ts";

const MODIFIED = "Sat, 21 Nov 2026 10:00:00 GMT";
const nowMs = (): number => performance.now();

const tempDir = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), "source-origin-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

const patterned = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 31) % 251));

const askerOf = (t: TestContext, source: ContentSource, dir?: string) => {
  const origin = new SourceOrigin({ id: "films", source, nowMs, tempDir: dir });
  t.after(() => origin.close());
  return (target: string, fields: readonly string[] = [], method = "GET"): Promise<OriginAnswer> =>
    origin.ask({ method, target, fields, key: target }, { signal: new AbortController().signal, firstByteMs: 5_000 });
};

/** A folder with a few files, and a way to ask it. */
const folder = async (t: TestContext) => {
  const dir = await tempDir(t);
  await mkdir(join(dir, "Ä b"));
  await writeFile(join(dir, "Ä b", "film.mp4"), patterned(3_000_000));
  await writeFile(join(dir, "list.m3u8"), "#EXTM3U\n");
  await writeFile(join(dir, "empty"), "");
  const at = Date.parse(MODIFIED) / 1_000;
  await utimes(join(dir, "list.m3u8"), at, at);
  return { dir, ask: askerOf(t, await openSource({ kind: "filesystem", root: dir }, { log: quietLog })) };
};

const bytesOf = async (answer: OriginAnswer): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  await answer.read((chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks);
};
const fieldsOf = ({ fields }: OriginAnswer): Record<string, string> =>
  Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1] ?? ""]] : [])));

test("a file is given whole, with its type, size and validators", async (t) => {
  const { ask } = await folder(t);
  const answer = await ask("/list.m3u8?session=1");
  const { ETag: etag, ...rest } = fieldsOf(answer);
  assert.match(etag ?? "", /^W\/"[\w-]{16}"$/);
  assert.deepEqual(rest, {
    "Content-Type": "application/vnd.apple.mpegurl",
    "Last-Modified": MODIFIED,
    "Accept-Ranges": "bytes",
    "Content-Length": "8",
  });
  assert.deepEqual([answer.status, answer.sizeBytes, answer.framed, answer.originId], [200, 8, true, "films"]);
  assert.equal((await bytesOf(answer)).toString(), "#EXTM3U\n");
});

test("a path is decoded once; a file of several pieces is given in order, as fast as it is taken", async (t) => {
  const { ask } = await folder(t);
  const answer = await ask("/%C3%84%20b/film.mp4");
  let atOnce = 0;
  const chunks: Buffer[] = [];
  await answer.read(async (chunk) => {
    atOnce += 1;
    assert.equal(atOnce, 1);
    await new Promise(setImmediate);
    chunks.push(chunk);
    atOnce -= 1;
  });
  assert.ok(chunks.length > 1);
  assert.ok(Buffer.concat(chunks).equals(patterned(3_000_000)));
  assert.equal((await ask("/%25C3%2584%2520b/film.mp4")).status, 404);
});

test("single ranges are parts, others the whole, one behind the end neither", async (t) => {
  const { ask } = await folder(t);
  const film = patterned(3_000_000);
  const cases: [range: string, status: number, contentRange: string | undefined, from: number, to: number][] = [
    ["bytes=0-99", 206, "bytes 0-99/3000000", 0, 100],
    ["bytes=1048570-1048590", 206, "bytes 1048570-1048590/3000000", 1_048_570, 1_048_591],
    ["bytes=2999990-", 206, "bytes 2999990-2999999/3000000", 2_999_990, 3_000_000],
    ["bytes=-5", 206, "bytes 2999995-2999999/3000000", 2_999_995, 3_000_000],
    ["bytes=2999990-9999999", 206, "bytes 2999990-2999999/3000000", 2_999_990, 3_000_000],
    ["bytes=0-1,5-6", 200, undefined, 0, 3_000_000],
    ["lines=0-1", 200, undefined, 0, 3_000_000],
    ["bytes=3000000-", 416, "bytes */3000000", 0, 0],
  ];
  for (const [range, status, contentRange, from, to] of cases) {
    const answer = await ask("/%C3%84%20b/film.mp4", ["Range", range]);
    const fields = fieldsOf(answer);
    assert.deepEqual([answer.status, fields["Content-Range"]], [status, contentRange], range);
    assert.equal(fields["Content-Length"], String(to - from), range);
    assert.equal(answer.sizeBytes, to - from, range);
    assert.ok((await bytesOf(answer)).equals(film.subarray(from, to)), range);
  }
});

test("conditions are answered: 304 for what is known, 412 for what is another, If-Range only for a strong tag", async (t) => {
  const { ask } = await folder(t);
  const first = await ask("/list.m3u8");
  first.drop();
  const etag = fieldsOf(first).ETag ?? "";
  const statusOf = async (...fields: string[]): Promise<number> => {
    const answer = await ask("/list.m3u8", fields);
    answer.drop();
    return answer.status;
  };
  assert.equal(await statusOf("If-None-Match", etag), 304);
  assert.equal(await statusOf("if-none-match", '"other"'), 200);
  assert.equal(await statusOf("If-Modified-Since", MODIFIED), 304);
  assert.equal(await statusOf("If-Modified-Since", "Sat, 21 Nov 2026 09:59:59 GMT"), 200);
  assert.equal(await statusOf("If-Match", etag), 412);
  assert.equal(await statusOf("Range", "bytes=0-1", "If-Range", etag), 200);
  const notModified = await ask("/list.m3u8", ["If-None-Match", etag]);
  assert.deepEqual(fieldsOf(notModified), { ETag: etag, "Last-Modified": MODIFIED });
  assert.equal((await bytesOf(notModified)).length, 0);
});

test("HEAD has the fields of GET and no body; an empty file is one; other methods are refused", async (t) => {
  const { ask } = await folder(t);
  const head = await ask("/list.m3u8", ["Range", "bytes=0-1"], "HEAD");
  assert.deepEqual([head.status, head.sizeBytes, fieldsOf(head)["Content-Length"]], [200, 0, "8"]);
  assert.equal((await bytesOf(head)).length, 0);
  const empty = await ask("/empty");
  assert.deepEqual([empty.status, empty.sizeBytes, (await bytesOf(empty)).length], [200, 0, 0]);
  const post = await ask("/list.m3u8", [], "POST");
  assert.deepEqual([post.status, fieldsOf(post).Allow], [405, "GET, HEAD"]);
});

test("nothing outside of the folder, and no path that is not one, is found", async (t) => {
  const { ask, dir } = await folder(t);
  await symlink("/etc/passwd", join(dir, "link"));
  const targets = ["/no", "/", "/..", "/%2e%2e/etc/passwd", "/a//b", "/list.m3u8/", "/%00", "/%", "/%ff", "/link"];
  for (const target of [...targets, "/%C3%84%20b%2Ffilm.mp4", "/%C3%84%20b"]) {
    const answer = await ask(target);
    assert.equal(answer.status, 404, target);
    assert.equal((await bytesOf(answer)).length, 0, target);
  }
});

test("a file that changes while it is read is no whole body", async (t) => {
  const { ask, dir } = await folder(t);
  const answer = await ask("/%C3%84%20b/film.mp4");
  let isChanged = false;
  const reading = answer.read(async () => {
    if (!isChanged) await writeFile(join(dir, "Ä b", "film.mp4"), patterned(2_000));
    isChanged = true;
  });
  await assert.rejects(reading, (error: unknown) => error instanceof UpstreamError && error.reason === "reset");
});

/** A source in memory, whose failures and abilities the test chooses. */
class MemorySource implements ContentSource {
  readonly kind = "memory";
  readonly files = new Map<string, Buffer>();
  capabilities = { ranges: true, list: false, strongVersion: true };
  etag: string | null = null;
  wholeOnly = false;
  failure: ErrorCode | undefined;
  openCount = 0;
  fetchCount = 0;
  isClosed = false;
  /** Opening and reading wait for it, and for nothing else: as a disk behind a dead network does. */
  gate: Promise<void> | undefined;

  async stat(path: string): Promise<SourceStat> {
    if (this.failure) fail(this.failure, { path, retryAfterSeconds: 7.5 });
    const bytes = this.files.get(path) ?? fail("SOURCE_NOT_FOUND", { path });
    return { sizeBytes: bytes.length, modifiedMs: null, etag: this.etag, version: `v${bytes.length}` };
  }
  async open(path: string): Promise<SourceObject> {
    const stat = await this.stat(path);
    await this.gate;
    this.openCount += 1;
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (isOpen) this.openCount -= 1;
      isOpen = false;
    };
    const readRange = async (offset: number, target: Uint8Array): Promise<void> => {
      await this.gate;
      if (this.failure) fail(this.failure, { path });
      if (this.wholeOnly) fail("SOURCE_FAILED", { path });
      target.set(this.files.get(path)!.subarray(offset, offset + target.length));
    };
    return this.wholeOnly ? { stat, readRange, close, wholeOnly: true } : { stat, readRange, close };
  }
  // biome-ignore lint/correctness/useYield: there is nothing to give
  async *list(path: string): AsyncIterable<never> {
    fail("SOURCE_FAILED", { path });
  }
  async fetchTo(path: string, file: string): Promise<SourceStat> {
    const stat = await this.stat(path);
    this.fetchCount += 1;
    await writeFile(file, this.files.get(path)!, { flag: "wx" });
    return stat;
  }
  async close(): Promise<void> {
    this.isClosed = true;
  }
}

const inMemory = async (t: TestContext) => {
  const source = new MemorySource();
  source.files.set("a.ts", patterned(2_500_000));
  const dir = await tempDir(t);
  return { source, dir, ask: askerOf(t, source, dir) };
};

test("a tag is strong when the source's own is, or its version is; a strong one is good for If-Range", async (t) => {
  const { source, ask } = await inMemory(t);
  const tagOf = async (): Promise<string | undefined> => {
    const answer = await ask("/a.ts");
    answer.drop();
    return fieldsOf(answer).ETag;
  };
  assert.equal(await tagOf(), '"v2500000"');
  const part = await ask("/a.ts", ["Range", "bytes=2499999-", "If-Range", '"v2500000"']);
  assert.deepEqual([part.status, (await bytesOf(part)).length], [206, 1]);
  const changed = await ask("/a.ts", ["Range", "bytes=2499999-", "If-Range", '"v1"']);
  assert.equal(changed.status, 200);
  changed.drop();
  source.capabilities.strongVersion = false;
  assert.equal(await tagOf(), 'W/"v2500000"');
  source.etag = '"abc-1"';
  assert.equal(await tagOf(), '"abc-1"');
  source.etag = "abc-2";
  assert.equal(await tagOf(), '"abc-2"');
});

test("each failure of a source has its status", async (t) => {
  const { source, ask } = await inMemory(t);
  const expected = {
    SOURCE_NOT_FOUND: 404,
    SOURCE_DENIED: 403,
    SOURCE_ARCHIVED: 503,
    SOURCE_CHANGED: 503,
    SOURCE_FAILED: 502,
    SOURCE_TRUNCATED: 502,
    SOURCE_TIMEOUT: 504,
  } as const;
  for (const [code, status] of Object.entries(expected)) {
    source.failure = code as keyof typeof expected; // Object.entries forgets what keys are
    const answer = await ask("/a.ts");
    assert.equal(answer.status, status, code);
    assert.equal(fieldsOf(answer)["Retry-After"], code === "SOURCE_ARCHIVED" ? "8" : undefined);
  }
});

test("a source that fails in the middle of a file is no whole body, and nothing stays open", async (t) => {
  const { source, ask } = await inMemory(t);
  const answer = await ask("/a.ts");
  let got = 0;
  const reading = answer.read((chunk) => {
    got += chunk.length;
    source.failure = "SOURCE_TIMEOUT";
  });
  await assert.rejects(reading, (error: unknown) => error instanceof UpstreamError && error.reason === "idle");
  assert.equal(got, 1024 * 1024);
  assert.equal(source.openCount, 0);
});

test("what is dropped, before or while it is read, is closed; what has no body was never left open", async (t) => {
  const { source, ask } = await inMemory(t);
  (await ask("/a.ts")).drop();
  (await ask("/a.ts", ["If-None-Match", '"v2500000"'])).drop();
  await ask("/a.ts", [], "HEAD");
  await ask("/a.ts", ["Range", "bytes=9999999-"]);
  const answer = await ask("/a.ts");
  const reading = answer.read(() => answer.drop());
  await assert.rejects(reading, (error: unknown) => error instanceof UpstreamError);
  assert.equal(source.openCount, 0);
});

test("a source that opens or reads nothing in time is late, one that is left is left, and nothing stays open", async (t) => {
  const { source } = await inMemory(t);
  const gate = Promise.withResolvers<void>();
  source.gate = gate.promise;
  const origin = new SourceOrigin({ id: "films", source, nowMs });
  const request = { method: "GET", target: "/a.ts", fields: [], key: "" };
  const never = new AbortController();
  await assert.rejects(
    origin.ask(request, { signal: never.signal, firstByteMs: 20 }),
    (error: unknown) => error instanceof UpstreamError && error.reason === "first-byte",
  );
  const asking = origin.ask(request, { signal: never.signal, firstByteMs: 10_000 });
  const reason = new Error("left");
  never.abort(reason);
  await assert.rejects(asking, reason);
  source.gate = undefined;
  const answer = await origin.ask(request, { signal: new AbortController().signal, firstByteMs: 10_000 });
  source.gate = gate.promise;
  const reading = answer.read(() => {}, { idleMs: 20 });
  await assert.rejects(reading, (error: unknown) => error instanceof UpstreamError && error.reason === "idle");
  gate.resolve();
  // What was opened too late is closed, too.
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  assert.equal(source.openCount, 0);
});

test("a file that is had whole only is copied, read, and its copy is gone", async (t) => {
  const { source, dir, ask } = await inMemory(t);
  source.wholeOnly = true;
  const whole = await ask("/a.ts");
  let copies = -1;
  const chunks: Buffer[] = [];
  await whole.read(async (chunk) => {
    copies = (await readdir(dir)).length;
    chunks.push(chunk);
  });
  assert.ok(Buffer.concat(chunks).equals(patterned(2_500_000)));
  assert.equal(copies, 0, "a crash in the middle leaves nothing behind");
  const part = await ask("/a.ts", ["Range", "bytes=5-9"]);
  assert.ok((await bytesOf(part)).equals(patterned(2_500_000).subarray(5, 10)));
  assert.equal(source.fetchCount, 2);
  (await ask("/a.ts", [], "HEAD")).drop();
  assert.equal(source.fetchCount, 2);
  const changed = await ask("/a.ts");
  source.files.set("a.ts", patterned(10));
  await assert.rejects(bytesOf(changed), (error: unknown) => error instanceof UpstreamError);
  const many = await Promise.all(Array.from({ length: 12 }, async () => bytesOf(await ask("/a.ts"))));
  assert.ok(many.every((bytes) => bytes.length === 10));
  assert.deepEqual(await readdir(dir), []);
  assert.equal(source.openCount, 0);
});

test("a set asks sources as it asks servers, fails over from them, and closes them", async (t) => {
  const { source } = await inMemory(t);
  const backup = new MemorySource();
  backup.files.set("a.ts", Buffer.from("backup"));
  const set = new OriginSet({
    origins: [
      { id: "bucket", source, order: 0 },
      { id: "backup", source: backup, order: 1 },
    ],
    site: "cdn.example",
    trusted: true,
    nowMs,
    log: quietLog,
    random: () => 0.5,
  });
  const request = { method: "GET", target: "/a.ts", fields: [], key: "a" };
  const first = await set.ask(request);
  first.drop();
  assert.equal(first.originId, "bucket");
  source.failure = "SOURCE_FAILED";
  const second = await set.ask(request);
  assert.equal(`${second.originId} ${await bytesOf(second)}`, "backup backup");
  await set.close();
  assert.deepEqual([source.isClosed, backup.isClosed], [true, true]);
});

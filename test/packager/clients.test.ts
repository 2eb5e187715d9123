/** Clients as they are: those who leave, close half of a connection, send all at once, come by the thousand. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, symlinkSync } from "node:fs";
import http from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writeHostile } from "../media/hostile.ts";
import { makeInput, sharedMediaDir } from "../media/make.ts";
import { tempDir, until } from "../support/platform.ts";
import { seeded } from "../support/seeded.ts";
import { ENCRYPTED, encryptedFolders } from "./judged.ts";
import { exchanged, firstAnswer, type RawAnswer } from "./raw.ts";
import { aloneOn, askerOf, startWatched, type WatchedPackager } from "./watched.ts";

const MiB = 2 ** 20;
const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

const start = async (t: TestContext): Promise<WatchedPackager> => {
  const folder = await tempDir(t);
  copyFileSync(await makeInput("moov-first", await sharedMediaDir()), join(folder, "film.mp4"));
  await writeHostile("large-pictures", join(folder, "large.mp4"));
  for (const method of ENCRYPTED) symlinkSync(".", join(folder, method));
  return startWatched(t, { env: { ...aloneOn(folder), ...encryptedFolders() } });
};

const SEGMENTS = [1, 2, 3, 4].flatMap((number) => ["av.ts", "av.m4s"].map((tail) => `segment${number}_0_${tail}`));

const figureOf = async ({ ask }: WatchedPackager, name: string): Promise<number> => {
  const { bytes } = await ask("/metrics");
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(bytes.toString())?.[1]);
};

test("a thousand viewers at once get the same bytes as one alone", async (t) => {
  const packager = await start(t);
  const truth = new Map<string, string>();
  for (const name of SEGMENTS) truth.set(name, digest((await packager.ask(`/i/film.mp4/${name}`)).bytes));
  const agent = new http.Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  t.after(() => agent.destroy());
  const ask = askerOf(packager.url, agent);
  const viewers = Array.from({ length: 1_000 }, async (_, viewer) => {
    const name = SEGMENTS[viewer % SEGMENTS.length] ?? "";
    const { status, bytes } = await ask(`/i/film.mp4/${name}`);
    assert.equal(status, 200);
    assert.equal(digest(bytes), truth.get(name), name);
  });
  await Promise.all(viewers);
  const { most } = packager.residentBytes();
  t.diagnostic(`${Math.round(most / MiB)} MiB resident at most`);
  assert.ok(most <= 400 * MiB, `${most} bytes resident`);
});

/** Asks for a large segment and leaves when some of it has come, by a reset or by a close. */
const abandon = (url: string, afterBytes: number, isReset: boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    let got = 0;
    socket.on("data", (part) => {
      got += part.length;
      if (got < afterBytes) return;
      if (isReset) socket.resetAndDestroy();
      else socket.destroy();
    });
    socket.once("error", reject);
    socket.once("close", () => resolve());
    const name = afterBytes % 2 === 0 ? "segment1_0_av.ts" : "segment1_0_av.m4s";
    socket.write(`GET /i/large.mp4/${name} HTTP/1.1\r\nHost: x\r\n\r\n`);
  });

test("viewers who leave in the middle leave nothing behind: slots, files and connections are free again", async (t) => {
  const packager = await start(t);
  await packager.ask("/i/large.mp4/index.m3u8");
  const slots = await figureOf(packager, "castellan_packager_free_slots");
  const filesBefore = packager.openFileCount();
  const { int } = seeded(5);
  for (let round = 0; round < 3; round += 1) {
    const leaving = Array.from({ length: 50 }, () => abandon(packager.url, 1 + int(3 * MiB), int(2) === 0));
    await Promise.all(leaving);
  }
  await until("all slots to be free", async () =>
    (await figureOf(packager, "castellan_packager_free_slots")) === slots ? true : undefined,
  );
  await until("connections to be closed", () => (packager.openFileCount() <= filesBefore + 4 ? true : undefined));
  const { most } = packager.residentBytes();
  t.diagnostic(`${Math.round(most / MiB)} MiB resident at most`);
  assert.ok(most <= 400 * MiB, `${most} bytes resident`);
  assert.deepEqual(packager.errors(), []);
});

test("a client that has closed its half of the connection gets its answers", async (t) => {
  const packager = await start(t);
  const { bytes } = await packager.ask("/i/film.mp4/segment1_0_av.ts");
  const { hostname, port } = new URL(packager.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const parts: Buffer[] = [];
  socket.on("data", (part) => parts.push(part));
  socket.end(
    "GET /i/film.mp4/segment1_0_av.ts HTTP/1.1\r\nHost: x\r\n\r\nGET /i/none/master.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n",
  );
  await new Promise((resolve) => socket.once("end", resolve));
  const first = firstAnswer(Buffer.concat(parts)) ?? assert.fail("no answer");
  assert.ok(first.body.equals(bytes));
  assert.equal(firstAnswer(first.rest)?.status, 404);
});

test("a hundred requests in one write are answered in their order, each as if it were alone", async (t) => {
  const { url } = await start(t);
  const { int } = seeded(7);
  const targets = ["film.mp4/master.m3u8", "film.mp4/cmaf_0_v.m3u8", "none.mp4/master.m3u8", "film.mp4/manifest.mpd"];
  const lines = Array.from({ length: 100 }, () => {
    const name = int(2) === 0 ? `film.mp4/${SEGMENTS[int(SEGMENTS.length)]}` : targets[int(targets.length)];
    const range = int(3) === 0 ? `Range: bytes=${int(900)}-${900 + int(900)}\r\n` : "";
    return `GET /i/${name} HTTP/1.1\r\nHost: x\r\n${range}`;
  });
  const alone = new Map<string, RawAnswer>();
  for (const line of lines) {
    const answer = firstAnswer(await exchanged(url, `${line}Connection: close\r\n\r\n`));
    alone.set(line, answer ?? assert.fail(line));
  }
  const last = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  let rest = await exchanged(url, `${lines.map((line) => `${line}\r\n`).join("")}${last}`);
  for (const [index, line] of lines.entries()) {
    const answer = firstAnswer(rest) ?? assert.fail(`answer ${index} is not whole`);
    const { status, body } = alone.get(line) ?? assert.fail();
    assert.equal(answer.status, status, line);
    if (status < 400) assert.ok(answer.body.equals(body), line);
    rest = answer.rest;
  }
  assert.equal(firstAnswer(rest)?.status, 200);
});

const MEDIA = ["", "aes-128/", "cbcs/"].flatMap((place) =>
  ["segment1_0_av.m4s", "init_0_av.mp4", "iframe2_0_v.m4s", ...(place === "cbcs/" ? [] : ["segment2_0_av.ts"])].map(
    (name) => `/i/${place}film.mp4/${name}`,
  ),
);

test("any range of any media is that part of the whole, and nonsense is the whole or 416", async (t) => {
  const { ask } = await start(t);
  const { int } = seeded(11);
  for (const path of MEDIA) {
    const { bytes, headers } = await ask(path);
    const size = bytes.length;
    const part = async (range: string, more: Record<string, string> = {}) => ask(path, { headers: { range, ...more } });
    for (let round = 0; round < 12; round += 1) {
      const from = int(size);
      const to = from + int(size);
      const { status, bytes: some, headers: told } = await part(`bytes=${from}-${to}`);
      assert.equal(status, 206, path);
      assert.equal(told["content-range"], `bytes ${from}-${Math.min(to, size - 1)}/${size}`);
      assert.ok(some.equals(bytes.subarray(from, to + 1)), `${path}: ${from}-${to}`);
    }
    const suffix = await part("bytes=-100");
    assert.ok(suffix.bytes.equals(bytes.subarray(-100)), path);
    assert.equal((await part(`bytes=${size}-`)).status, 416, path);
    for (const range of ["bytes=5-4", "bytes=x", "bits=0-5", "bytes=0-1,4-5,7-", "bytes=", "bytes=--5"]) {
      const { status, bytes: all } = await part(range);
      assert.ok(status === 416 || (status === 200 && all.equals(bytes)), `${path}: ${range}: ${status}`);
    }
    const { etag = "" } = headers;
    assert.equal((await part("bytes=0-9", { "if-range": etag })).status, 206, path);
    assert.equal((await part("bytes=0-9", { "if-range": '"another"' })).status, 200, path);
    assert.equal((await ask(path, { headers: { "if-none-match": etag } })).status, 304, path);
  }
});

/** What is not served of titles: hostile addresses, sets that can't be read, what is away, what is not public. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";
import { publicMarkPath } from "../../../contracts/content-set.ts";
import { fail } from "../../../contracts/errors.ts";
import type { ObjectStore } from "../../../lib/objects/port.ts";
import type { ContentSource } from "../../../lib/source/port.ts";
import { linesInto } from "../log-lines.fixture.ts";
import { get, listed } from "./asks.fixture.ts";
import { makeTitle, startTitlePackager } from "./titles.fixture.ts";

before(() => makeTitle({ put: async () => ({}) } as never), { timeout: 60_000 });

const NEVER = new Promise<never>(() => {});

/** A store that fails, or never answers. */
const broken = (objects: ObjectStore, how: "fails" | "hangs"): ObjectStore => {
  const act = async (): Promise<never> => (how === "hangs" ? NEVER : fail("OBJECT_STORE_DOWN"));
  const source = (): ContentSource => ({
    kind: "s3",
    capabilities: { ranges: true, list: true, strongVersion: true },
    stat: act,
    open: act,
    list: () => assert.fail("nothing is listed"),
    fetchTo: act,
    close: async () => {},
  });
  return {
    kind: "s3",
    head: act,
    get: act,
    getBytes: act,
    source,
    close: () => objects.close(),
  } as never as ObjectStore;
};

test("hostile addresses are 400 or 404, whatever they try", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  await objects.put({ bucket: "thumbnails", key: `${title.contentId}/r1/poster.jpg` }, Buffer.from("a picture"));
  const id = title.contentId;
  const names = [
    `hls/${id}/../${id}/master.m3u8`,
    `hls/${id}/..%2f..%2fset.json`,
    `hls/${id}/%2e%2e/set.json`,
    `hls/${id}/set.json`,
    `hls/${id}/480p/..%5c..%5cset.json`,
    `hls/${id}/480p/segment99999999999999999999_0_av.ts`,
    `hls/${id}/480p/segment0_0_av.ts`,
    `hls/${id}/480p/segment1_7_av.ts`,
    `hls/${id}/480p/segment999999999_0_av.ts`,
    `hls/${id}/480p/segment01_0_av.ts`,
    `hls/${id}/480p/segment-0.ts`,
    `hls/${id}/480p/index_0_a99.m3u8`,
    `hls/${id}/480p/master.m3u8`,
    `hls/${id}/480P.m3u8`,
    `hls/${id}/4k.m3u8`,
    `hls/${id}/480p/%00segment1_0_av.ts`,
    `hls/${id}/${"a".repeat(3_000)}.m3u8`,
    `hls/${id}/subtitle_7_en.m3u8`,
    `hls/${id}/subtitle_0_de.m3u8`,
    `hls/${id}/subtitle999_0_en.vtt`,
    `hls/${id}/key.1.bin`,
    `hls/${id}/storyboard.vtt`,
    `hls/${id}/poster.jpg`,
    `hls/${id.toUpperCase()}/master.m3u8`,
    `hls/${randomUUID()}/master.m3u8`,
    "hls/1/master.m3u8",
    `dash/${id}/master.m3u8`,
    `dash/${id}/480p/segment1_0_av.ts`,
    `hls/${id}/manifest.mpd`,
    `images/${id}/r1/../r1/poster.jpg`,
    `images/${id}/poster.jpg`,
    `images/${id}/r1/set.json`,
    `images/${id}/chunks/480p-0.mp4`,
    `images/${id}/artwork/none.jpg`,
    `previews/${id}/r1/none.mp4`,
    `public/images/${id}/r1/poster.jpg`,
    `public/hls/${id}/master.m3u8`,
    `public/public/hls/${id}/master.m3u8`,
  ];
  for (const name of names) {
    // fetch would normalize them
    const { status, text } = await raw(url, `/${name}`);
    assert.ok(status === 400 || status === 404, `${name}: ${status}`);
    assert.doesNotMatch(text, /tenantId|rungs/, name);
  }
  assert.equal((await get(`${url}/images/${id}/r1/poster.jpg`)).text, "a picture");
  const posted = await fetch(`${url}/hls/${id}/master.m3u8`, { method: "POST" });
  assert.equal(posted.status, 405);
});

const raw = async (url: string, target: string): Promise<{ status: number; text: string }> => {
  const { request } = await import("node:http");
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const asking = request({ hostname, port, path: target, timeout: 10_000 }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
    });
    asking.on("error", reject);
    asking.end();
  });
};

for (const how of ["fails", "hangs"] as const) {
  test(`while the object store ${how}, what is known goes on and the rest is told to come again`, async (t) => {
    const { url, objects, through, clock } = await startTitlePackager(t);
    const [known, unknown] = [await makeTitle(objects), await makeTitle(objects)];
    await Promise.all([known.complete(), unknown.complete()]);
    const playlistUrl = `${url}/hls/${known.contentId}/480p.m3u8`;
    const { text } = await get(playlistUrl);
    const [segment = ""] = listed(text, playlistUrl);
    through((store) => broken(store, how));
    for (let round = 0; round < 3; round += 1) {
      clock.pass(10_000);
      const begun = performance.now();
      assert.equal((await get(playlistUrl)).text, text);
      assert.equal((await get(segment)).status, 200); // its file is open
      assert.ok(performance.now() - begun < 3_500, "nobody waits long for what is known");
    }
    const names = [`hls/${unknown.contentId}/480p.m3u8`, `images/${unknown.contentId}/r1/poster.jpg`];
    const answers = await Promise.all(names.map((name) => get(`${url}/${name}`)));
    for (const { status, headers } of answers) assert.deepEqual([status, headers.get("retry-after")], [503, "1"]);
  });
}

test("a set that can't be read is 503 and told of once; what was known goes on", async (t) => {
  const { log, lines } = linesInto("info");
  const { url, objects, clock } = await startTitlePackager(t, { log });
  const [never, once] = [await makeTitle(objects), await makeTitle(objects)];
  const set = await once.complete();
  const playlistUrl = `${url}/hls/${once.contentId}/480p.m3u8`;
  const { text } = await get(playlistUrl);
  const garbage = ["{", "[]", { ...set, rungs: [] }, { ...set, contentId: randomUUID() }];
  const escaping = { ...set, rungs: [{ ...set.rungs[0], path: `${never.contentId}/r1/480p.mp4` }] };
  for (const written of [...garbage, escaping]) {
    await never.write(written);
    await once.write(written);
    const before = lines.filter(({ msg }) => /can't be read/.test(String(msg))).length;
    for (let round = 0; round < 3; round += 1) {
      clock.pass(1_500);
      const { status, headers } = await get(`${url}/hls/${never.contentId}/480p.m3u8`);
      assert.equal(status, 503);
      assert.ok(headers.get("retry-after"));
      assert.equal((await get(playlistUrl)).text, text);
    }
    const told = lines.filter(({ msg }) => /can't be read/.test(String(msg))).length - before;
    assert.ok(told <= 2 + 1, `${told} lines`); // of each title one, and one of the refusals
  }
});

test("a title that is deleted is gone within a second", async (t) => {
  const { url, objects, clock } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  const playlistUrl = `${url}/hls/${title.contentId}/480p.m3u8`;
  const [segment = ""] = listed((await get(playlistUrl)).text, playlistUrl);
  await objects.delete("segments", [`${title.contentId}/set.json`]);
  clock.pass(1_500);
  assert.equal((await get(playlistUrl)).status, 404);
  assert.equal((await get(segment)).status, 404);
});

test("without a session a title is served for as long as it is marked as public", async (t) => {
  const { url, objects, clock } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  const mark = { bucket: "segments", key: publicMarkPath(title.contentId) } as const;
  const playlistUrl = `${url}/public/hls/${title.contentId}/480p.m3u8`;
  assert.equal((await get(playlistUrl)).status, 404);
  await objects.put(mark, Buffer.from("{}"));
  clock.pass(1_500);
  const { status, text } = await get(playlistUrl);
  assert.equal(status, 200);
  assert.equal(text, (await get(playlistUrl.replace("/public", ""))).text);
  const [segment = ""] = listed(text, playlistUrl);
  assert.equal((await get(segment)).status, 200);
  assert.equal((await get(`${url}/public/dash/${title.contentId}/manifest.mpd`)).status, 200);
  await objects.delete("segments", [mark.key]);
  clock.pass(1_500);
  assert.equal((await get(playlistUrl)).status, 404);
  assert.equal((await get(segment)).status, 404);
});

test("caches ask within a minute whether what they have of a public title may still be seen", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  await objects.put({ bucket: "segments", key: publicMarkPath(title.contentId) }, Buffer.from("{}"));
  const playlistUrl = `${url}/public/hls/${title.contentId}/480p.m3u8`;
  const playlist = await get(playlistUrl);
  const [segmentUrl = ""] = listed(playlist.text, playlistUrl);
  const segment = await get(segmentUrl);
  for (const { headers } of [playlist, segment]) assert.equal(headers.get("cache-control"), "public, max-age=60");
  const etag = segment.headers.get("etag") ?? "";
  const again = await fetch(segmentUrl, { headers: { "If-None-Match": etag } });
  assert.equal(again.status, 304);
  const inSession = await get(segmentUrl.replace("/public", ""));
  assert.equal(inSession.headers.get("cache-control"), "public, max-age=31536000, immutable");
});

test("pictures, storyboards and previews are given with their types, previews by ranges too", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  const { contentId } = title;
  const home = `${contentId}/r1`;
  await title.complete({ storyboardPath: `${home}/storyboard-1.vtt` });
  const put = (bucket: "thumbnails" | "trailers", key: string, text: string) =>
    objects.put({ bucket, key }, Buffer.from(text));
  await put(
    "thumbnails",
    `${home}/storyboard-1.vtt`,
    "WEBVTT\n\n00:00.000 --> 00:10.000\nstoryboard-1-0.jpg#xywh=0,0,1,1\n",
  );
  await put("thumbnails", `${home}/storyboard-1-0.jpg`, "a sprite");
  await put("thumbnails", `${contentId}/artwork/cover.png`, "a cover");
  await put("trailers", `${home}/preview-1.mp4`, "0123456789");
  const board = await get(`${url}/hls/${contentId}/storyboard.vtt`);
  assert.equal(board.headers.get("content-type"), "text/vtt; charset=utf-8");
  const [, sprite = ""] = /^(.+\.jpg)#/m.exec(board.text) ?? [];
  const picture = await get(`${url}/hls/${contentId}/${sprite}`);
  assert.deepEqual([picture.text, picture.headers.get("content-type")], ["a sprite", "image/jpeg"]);
  const cover = await get(`${url}/images/${contentId}/artwork/cover.png`);
  assert.deepEqual([cover.text, cover.headers.get("content-type")], ["a cover", "image/png"]);
  assert.equal(cover.headers.get("cache-control"), "public, max-age=60");
  const preview = await get(`${url}/previews/${contentId}/r1/preview-1.mp4`, { range: "bytes=2-5" });
  assert.deepEqual([preview.status, preview.text], [206, "2345"]);
  assert.equal(preview.headers.get("cache-control"), "public, max-age=31536000, immutable");
  const head = await fetch(`${url}/previews/${contentId}/r1/preview-1.mp4`, { method: "HEAD" });
  assert.deepEqual([head.status, head.headers.get("content-length")], [200, "10"]);
});

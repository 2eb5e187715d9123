/** Titles on customers' hosts: by `/api/media/` alone, however the address is written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isRefusal } from "../../domain/csmil/path.ts";
import { parseContentPath } from "../../domain/vod/content-path.ts";
import { FaultyOrigin, headOf } from "../../test/edge-failures/faulty-origin.ts";
import { type Cleaner, edgeScene } from "../../test/edge-failures/scene.ts";
import { Viewer, view } from "../../test/edge-failures/viewer.ts";
import { type Random, seeded } from "../../test/support/seeded.ts";

const TITLE = "01890000-0000-7000-8000-000000000001";
const SEED = 20_261_122;
const REQUESTS = 1_500;
const HIDDEN = ["/hls/", "/dash/", "/public/hls/", "/public/dash/", "/upto/480/hls/", "/images/", "/previews/"];

const sceneOf = async (t: Cleaner, threads: number) => {
  const asked: string[] = [];
  const packager = await FaultyOrigin.open(t, ({ socket, target }) => {
    asked.push(target);
    socket.write(`${headOf("200 OK", "Content-Length: 2", "Cache-Control: max-age=60")}ok`);
  });
  const site = { hostnames: ["*"], origins: [{ id: "a", plexbd: "packager" as const }] };
  const config = { customers: [{ id: "acme", sites: [site] }] };
  return { asked, edge: await edgeScene(t, config, { threads, packagerUrls: [packager.url] }) };
};

for (const threads of [1, 2]) {
  test(`a customer's site has packaged files, and no titles but by a session (${threads} threads)`, async (t) => {
    const { asked, edge } = await sceneOf(t, threads);
    const viewer = await Viewer.to(edge.port);
    t.after(() => viewer.leave());
    assert.equal((await viewer.get("/i/film.mp4/master.m3u8")).status, 200);
    for (const start of [...HIDDEN, "/%68ls/", "/u%70to/480/hls/"]) {
      assert.equal((await viewer.get(`${start}${TITLE}/master.m3u8`)).status, 404, start);
    }
    assert.equal((await viewer.get(`/api/media/~token/hls/${TITLE}/master.m3u8`)).status, 403);
    assert.deepEqual(asked, ["/i/film.mp4/master.m3u8"]);
    // What is public needs no token, here as on the platform's own hosts.
    assert.equal((await viewer.get(`/api/media/hls/${TITLE}/master.m3u8`)).status, 200);
    assert.equal(asked.at(-1), `/public/hls/${TITLE}/master.m3u8`);
    // A file is one wherever it lies.
    assert.equal((await viewer.get("/images/logo.mp4/master.m3u8")).status, 200);
    assert.equal(asked.at(-1), "/images/logo.mp4/master.m3u8");
  });
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random.int(from.length)]!; // an index within it

const escaped = (random: Random, text: string): string =>
  [...text].map((letter) => (random.int(12) === 0 ? `%${letter.charCodeAt(0).toString(16)}` : letter)).join("");

const pathOf = (random: Random): string => {
  const front = pick(random, ["", "", "/", "/.", "/i/..", "/%2e", "/x/%2e%2e", "\\", "/%5c", "/api/media/..", "/API"]);
  const place = pick(random, [
    ...HIDDEN,
    "/HLS/",
    "//hls/",
    "/hls//",
    "/upto/0/hls/",
    "/upto/480/public/hls/",
    "/hls%2f",
  ]);
  const id = pick(random, [TITLE, TITLE.toUpperCase(), `${TITLE}%00`, `%20${TITLE}`, `${TITLE};x`]);
  const leaf = pick(random, ["/master.m3u8", "/1080p.m3u8", "/manifest.mpd", "/r1/a.jpg", "//master.m3u8", "/?/x", ""]);
  return front + (random.int(3) === 0 ? escaped(random, place + id + leaf) : place + id + leaf);
};

test("no way to write an address, a host, a method or a range reaches a title without a session", async (t) => {
  const { asked, edge } = await sceneOf(t, 1);
  const random = seeded(SEED);
  const bad: unknown[] = [];
  for (let count = 0; count < REQUESTS; count += 1) {
    const path = pathOf(random);
    const target = random.int(8) === 0 ? `http://${pick(random, ["localhost", "packager", "a.b:80"])}${path}` : path;
    const wish = {
      method: pick(random, ["GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "PURGE", "QUERY"]),
      host: pick(random, ["localhost", "LOCALHOST.", "x:80", "[::1]", "films.example", "127.0.0.1:1"]),
      headers: {
        ...(random.int(3) === 0 ? { range: pick(random, ["bytes=0-", "bytes=-1", "bytes=5-1,7-", "x"]) } : {}),
        ...(random.int(6) === 0 ? { "x-original-url": `/hls/${TITLE}/master.m3u8`, "x-rewrite-url": path } : {}),
      },
    };
    const before = asked.length;
    const { status } = await view(edge.port, target.replaceAll(" ", "%20"), wish);
    if (status >= 500) bad.push({ status, target, ...wish });
    for (const reached of asked.slice(before)) {
      const [reachedPath = ""] = reached.split("?", 1);
      if (!isRefusal(parseContentPath(reachedPath))) bad.push({ reached, target, ...wish });
    }
  }
  assert.deepEqual(bad, [], `seed ${SEED}`);
});

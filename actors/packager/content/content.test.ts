/** Titles that are complete: what is listed, what ffmpeg makes of it, and what is refused. */
import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { before, test } from "node:test";
import HLS from "hls-parser";
import type { RawExchange } from "../../../lib/http/exchange.ts";
import { playlistProblems } from "../../../test/support/hls-grammar.ts";
import { decoded, get, listed } from "./asks.fixture.ts";
import { FRAME_COUNT, makeTitle, startTitlePackager, type TestKeys, type TestTitle } from "./titles.fixture.ts";

HLS.setOptions({ strictMode: true });

before(() => makeTitle({ put: async () => ({}) } as never), { timeout: 60_000 }); // ffmpeg makes it once

/** Gives keys as the gateway does, to whoever asks. */
const keyFront =
  (keysOf: () => TestKeys, titles: readonly TestTitle[]) =>
  (exchange: RawExchange): boolean => {
    const [, contentId, generation] = /\/([0-9a-f-]{36})\/key\.(\d+)\.bin$/.exec(exchange.path) ?? [];
    const title = titles.find((one) => one.contentId === contentId);
    if (!title || Number(generation) !== keysOf().now(title).generation) return false;
    exchange.send(200, "Content-Type: application/octet-stream\r\n", keysOf().now(title).key.key);
    return true;
  };

test("a title's playlists name every rung, sound and subtitle, by relative addresses alone", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  const below = `${url}/hls/${title.contentId}`;
  for (const name of ["master.m3u8", "cmaf.m3u8"]) {
    const { status, headers, text } = await get(`${below}/${name}`);
    assert.equal(status, 200);
    assert.equal(headers.get("cache-control"), "public, max-age=60, stale-while-revalidate=60");
    assert.deepEqual(playlistProblems(text), []);
    const parsed = HLS.parse(text);
    assert.ok(parsed.isMasterPlaylist);
    assert.deepEqual(
      parsed.variants.filter(({ isIFrameOnly }) => !isIFrameOnly).map(({ resolution }) => resolution?.height),
      [144, 216],
    );
    assert.match(text, /VIDEO-RANGE=SDR/);
    assert.match(text, /FRAME-RATE=25\.000/);
    assert.match(text, /NAME="Deutsch",LANGUAGE="de"/);
    assert.match(text, /CHANNELS="6"/);
    assert.match(text, /TYPE=SUBTITLES/);
    assert.match(text, /EXT-X-I-FRAME-STREAM-INF/);
    assert.doesNotMatch(text, /(?:https?:|="\/|^\/)/m);
  }
  const again = await get(`${below}/master.m3u8`);
  const known = await fetch(`${below}/master.m3u8`, { headers: { "if-none-match": again.headers.get("etag") ?? "" } });
  assert.equal(known.status, 304);
  for (const name of ["720p.m3u8", "480p/iframes_0_v.m3u8", "480p/cmaf_0_a2.m3u8", "subtitle_0_en.m3u8"]) {
    const { status, text } = await get(`${below}/${name}`);
    assert.equal(status, 200, name);
    assert.deepEqual(playlistProblems(text), [], name);
    for (const address of listed(text, `${below}/${name}`)) {
      const segment = await get(address);
      assert.equal(segment.status, 200, address);
      if (address.includes(".vtt")) continue;
      assert.equal(segment.headers.get("cache-control"), "public, max-age=31536000, immutable");
    }
  }
});

test("ffmpeg decodes every picture of HLS in both containers and of DASH, in the clear", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  for (const name of ["hls/ID/master.m3u8", "hls/ID/480p.m3u8", "hls/ID/cmaf.m3u8", "dash/ID/manifest.mpd"]) {
    const { frames, audioPackets } = await decoded(`${url}/${name.replace("ID", title.contentId)}`);
    assert.equal(frames, FRAME_COUNT, name);
    assert.ok(audioPackets > (22 * 48_000) / 1_024 - 3, `${audioPackets} packets of sound in ${name}`);
  }
});

test("segments under AES-128 are the clear ones once they are decrypted, and no two titles share a key", async (t) => {
  const titles: TestTitle[] = [];
  let keys: TestKeys | undefined;
  const front = keyFront(() => keys ?? assert.fail("no keys"), titles);
  const packager = await startTitlePackager(t, { front });
  const { url, objects } = packager;
  keys = packager.keys;
  const clear = await makeTitle(objects);
  const one = await makeTitle(objects, { encryption: "aes-128" });
  const other = await makeTitle(objects, { encryption: "aes-128", tenantId: one.tenantId });
  titles.push(one, other);
  await Promise.all([clear, one, other].map((title) => title.complete()));
  const ivs = new Set<string>();
  for (const name of ["720p.m3u8", "480p.m3u8", "720p/cmaf_0_v.m3u8", "720p/cmaf_0_a.m3u8", "480p/index_0_a2.m3u8"]) {
    const plain = await get(`${url}/hls/${clear.contentId}/${name}`);
    for (const title of [one, other]) {
      const playlistUrl = `${url}/hls/${title.contentId}/${name}`;
      const { text } = await get(playlistUrl);
      assert.deepEqual(playlistProblems(text), []);
      const found = [...text.matchAll(/EXT-X-KEY:METHOD=AES-128,URI="([^"]+)",IV=0x([0-9a-f]{32})/g)];
      assert.equal(found.length, 4);
      const segments = listed(text, playlistUrl).filter((address) => !address.includes("init"));
      const originals = listed(plain.text, `${url}/hls/${clear.contentId}/${name}`).filter((a) => !a.includes("init"));
      for (const [n, [, uri = "", iv = ""]] of found.entries()) {
        ivs.add(iv);
        const key = (await get(new URL(uri, playlistUrl).href)).bytes;
        assert.equal(key.length, 16);
        const decipher = createDecipheriv("aes-128-cbc", key, Buffer.from(iv, "hex"));
        const { bytes } = await get(segments[n] ?? "");
        const opened = Buffer.concat([decipher.update(bytes), decipher.final()]);
        assert.ok(opened.equals((await get(originals[n] ?? "")).bytes), `${name} ${n}`);
      }
    }
  }
  assert.equal(ivs.size, 5 * 2 * 4, "no vector is used twice");
  const { frames } = await decoded(`${url}/hls/${one.contentId}/master.m3u8`);
  assert.equal(frames, FRAME_COUNT);
  const [first, second] = [keys.now(one).key, keys.now(other).key];
  assert.ok(!first.key.equals(second.key));
});

test("sample encryption is told of in playlists and the MPD, which has it under AES-128 too", async (t) => {
  const { url, objects, keys } = await startTitlePackager(t);
  const expected = [
    ["cbcs", /METHOD=SAMPLE-AES,URI="key\.1\.bin"/, /value="cbcs"/],
    ["cenc", /METHOD=SAMPLE-AES-CTR,URI="key\.1\.bin"/, /value="cenc"/],
    ["aes-128", /METHOD=AES-128,URI="key\.1\.bin"/, /value="cenc"/],
  ] as const;
  for (const [encryption, inHls, inDash] of expected) {
    const title = await makeTitle(objects, { encryption });
    await title.complete();
    const master = await get(`${url}/hls/${title.contentId}/master.m3u8`);
    assert.match(master.text, inHls, encryption);
    assert.match(master.text, /EXT-X-SESSION-KEY/);
    const mpd = await get(`${url}/dash/${title.contentId}/manifest.mpd`);
    assert.match(mpd.text, inDash, encryption);
    const keyId = keys.now(title).key.keyId.toString("hex");
    assert.ok(mpd.text.replaceAll("-", "").includes(keyId), "its key id");
    const media = await get(`${url}/hls/${title.contentId}/480p/cmaf_0_v.m3u8`);
    assert.match(media.text, /URI="\.\.\/key\.1\.bin"/);
    const version = /segment1_0_v\.m4s\?v=(\w+)/.exec(media.text)?.[1];
    const hls = await get(`${url}/hls/${title.contentId}/480p/segment1_0_v.m4s?v=${version}`);
    assert.equal(hls.status, 200);
    const inMpd = /segment\$Number\$_0_v\.m4s\?v=(\w+)/.exec(mpd.text)?.[1];
    const dash = await get(`${url}/dash/${title.contentId}/480p/segment1_0_v.m4s?v=${inMpd}`);
    assert.equal(dash.status, 200);
    assert.equal(hls.bytes.equals(dash.bytes), encryption !== "aes-128");
  }
});

test("the packager gives no key, and goes on with those that it knows while nobody tells any", async (t) => {
  const { url, objects, keys, clock } = await startTitlePackager(t);
  const [known, unknown] = [
    await makeTitle(objects, { encryption: "aes-128" }),
    await makeTitle(objects, { encryption: "aes-128" }),
  ];
  await Promise.all([known.complete(), unknown.complete()]);
  const playlistUrl = `${url}/hls/${known.contentId}/480p.m3u8`;
  const { text } = await get(playlistUrl);
  assert.equal((await get(`${url}/hls/${known.contentId}/key.1.bin`)).status, 404);
  keys.isDown = true;
  clock.pass(3_600_000);
  assert.equal((await get(playlistUrl)).text, text);
  const [segment = ""] = listed(text, playlistUrl);
  assert.equal((await get(segment)).status, 200);
  const none = await get(`${url}/hls/${unknown.contentId}/480p.m3u8`);
  assert.equal(none.status, 503);
  assert.equal(none.headers.get("retry-after"), "1");
});

test("a renewed key is in new playlists, and what was listed under the former one goes on", async (t) => {
  const packager = await startTitlePackager(t);
  const { url, objects, keys, clock } = packager;
  const title = await makeTitle(objects, { encryption: "aes-128" });
  await title.complete();
  const playlistUrl = `${url}/hls/${title.contentId}/480p.m3u8`;
  const before = await get(playlistUrl);
  const [old = ""] = listed(before.text, playlistUrl);
  const { bytes } = await get(old);
  keys.renew(title);
  clock.pass(3_600_000);
  await get(playlistUrl); // asks for it behind its answer
  const after = await get(playlistUrl);
  assert.match(after.text, /URI="key\.2\.bin"/);
  const [fresh = ""] = listed(after.text, playlistUrl);
  assert.notEqual(fresh, old);
  assert.ok((await get(old)).bytes.equals(bytes));
  assert.ok(!(await get(fresh)).bytes.equals(bytes));
  // Players don't ask for the playlist of a whole title again, and a packager that starts has seen none.
  const started = await startTitlePackager(t, { beside: packager });
  const later = await get(old.replace(url, started.url));
  assert.equal(later.status, 200);
  assert.ok(later.bytes.equals(bytes));
});

test("after another transcode old addresses are gone, and nothing of two revisions is mixed", async (t) => {
  const { url, objects, clock } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete();
  const playlistUrl = `${url}/hls/${title.contentId}/480p.m3u8`;
  const before = await get(playlistUrl);
  const again = await makeTitle(objects, { contentId: title.contentId, tenantId: title.tenantId, revision: 2 });
  await again.complete();
  clock.pass(1_500);
  const after = await get(playlistUrl);
  const [old, fresh] = [listed(before.text, playlistUrl), listed(after.text, playlistUrl)];
  assert.equal(old.filter((address) => fresh.includes(address)).length, 0);
  for (const address of old) assert.equal((await get(address)).status, 404);
  for (const address of fresh) assert.equal((await get(address)).status, 200);
});

/** Titles that play while they are made. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { playlistProblems } from "../../../test/support/hls-grammar.ts";
import { get, listed } from "./asks.fixture.ts";
import { CHUNK_COUNT, makeTitle, startTitlePackager } from "./titles.fixture.ts";

before(() => makeTitle({ put: async () => ({}) } as never), { timeout: 60_000 });

const PLAYLISTS = [
  ...["480p.m3u8", "720p.m3u8", "480p/cmaf_0_v.m3u8", "480p/cmaf_0_a.m3u8", "480p/index_0_a2.m3u8"],
  ...["480p/cmaf_iframes_0_v.m3u8", "720p/iframes_0_v.m3u8", "subtitle_0_en.m3u8"],
];

for (const encryption of ["none", "aes-128", "cbcs"] as const) {
  test(`what was listed while a title grew has the same bytes when it is complete (${encryption})`, async (t) => {
    const { url, objects, clock } = await startTitlePackager(t);
    const title = await makeTitle(objects, { encryption });
    const seen = new Map<string, Buffer>();
    const texts = new Map<string, string>();
    const look = async (isComplete: boolean): Promise<void> => {
      for (const name of PLAYLISTS) {
        const playlistUrl = `${url}/hls/${title.contentId}/${name}`;
        const { status, text, headers } = await get(playlistUrl);
        assert.equal(status, 200, `${name}: ${text}`);
        assert.deepEqual(playlistProblems(text), [], name);
        assert.match(text, /^#EXT-X-MEDIA-SEQUENCE:1$/m);
        assert.equal(/^#EXT-X-ENDLIST$/m.test(text), isComplete, name);
        assert.equal(/^#EXT-X-PLAYLIST-TYPE:EVENT$/m.test(text), !isComplete);
        if (!isComplete) assert.equal(headers.get("cache-control"), "public, max-age=1");
        // From the first segment on what was there stays, line by line.
        const lines = text.slice(text.search(/#EXT-X-KEY|#EXTINF/)).replace("#EXT-X-ENDLIST\n", "");
        const former = texts.get(name) ?? "";
        assert.ok(lines.startsWith(former), `${name}\n${former}\nbecame\n${lines}`);
        texts.set(name, lines);
        for (const address of listed(text, playlistUrl)) {
          const { status: there, bytes } = await get(address);
          assert.equal(there, 200, address);
          const known = seen.get(address);
          assert.ok(!known || known.equals(bytes), `${address} has other bytes`);
          seen.set(address, bytes);
        }
      }
    };
    for (const chunkCount of [1, 3, CHUNK_COUNT]) {
      await title.grow(chunkCount);
      clock.pass(1_500);
      await look(false);
    }
    const countGrowing = seen.size;
    await title.complete();
    clock.pass(1_500);
    await look(true);
    assert.ok(seen.size > countGrowing, "its last segment is listed once it is whole");
  });
}

test("before its first chunk a title says when to come again", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.grow(0);
  for (const name of ["hls/ID/master.m3u8", "hls/ID/480p.m3u8", "dash/ID/manifest.mpd"]) {
    const { status, headers } = await get(`${url}/${name.replace("ID", title.contentId)}`);
    assert.equal(status, 503);
    assert.equal(headers.get("retry-after"), "1");
  }
});

test("a segment that another node has listed is found by a node that looked before it was there", async (t) => {
  const { url, objects, clock } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.grow(1);
  const playlistUrl = `${url}/hls/${title.contentId}/480p.m3u8`;
  const [first = ""] = listed((await get(playlistUrl)).text, playlistUrl);
  await title.grow(2);
  clock.pass(200); // not yet looked at again by itself
  assert.equal((await get(first.replace("segment1_", "segment2_"))).status, 200);
  assert.equal((await get(first.replace("segment1_", "segment9_"))).status, 404);
});

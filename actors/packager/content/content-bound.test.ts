/** Titles below `/upto/{lines}`: the rungs that have no more lines, and nothing of the others. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { get, listed } from "./asks.fixture.ts";
import { withinHeight } from "./rungs.ts";
import { makeTitle, startTitlePackager } from "./titles.fixture.ts";

before(() => makeTitle({ put: async () => ({}) } as never), { timeout: 60_000 }); // ffmpeg makes it once

const heightsIn = (text: string): string[] => [
  ...new Set([...text.matchAll(/(?:RESOLUTION=\d+x|height=")(\d+)/g)].map(([, height = ""]) => height)),
];

test("a bound leaves out what is larger from each list, and its media too", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  await title.complete(); // 144 and 216 lines
  const at = (bound: string, name: string) => get(`${url}${bound}/${name.replace("ID", title.contentId)}`);
  for (const name of ["hls/ID/master.m3u8", "hls/ID/cmaf.m3u8", "dash/ID/manifest.mpd"]) {
    assert.deepEqual(heightsIn((await at("/upto/215", name)).text), ["144"], name);
    assert.equal((await at("/upto/216", name)).text, (await at("", name)).text, name);
  }
  const { text: free } = await at("", "hls/ID/720p.m3u8");
  const [segment = ""] = listed(free, `${url}/hls/${title.contentId}/720p.m3u8`);
  for (const name of ["hls/ID/720p.m3u8", "hls/ID/720p/iframes_0_v.m3u8", "dash/ID/720p/init_0_v.mp4"]) {
    assert.equal((await at("", name)).status, 200, name);
    assert.equal((await at("/upto/215", name)).status, 404, name);
  }
  const path = segment.slice(url.length);
  assert.deepEqual([(await get(segment)).status, (await get(`${url}/upto/215${path}`)).status], [200, 404]);
  // What is allowed is the same, byte for byte, and at the same names.
  const [free480, bound480] = [await at("", "hls/ID/480p.m3u8"), await at("/upto/215", "hls/ID/480p.m3u8")];
  assert.equal(bound480.text, free480.text);
  const [small = ""] = listed(bound480.text, `${url}/upto/215/hls/${title.contentId}/480p.m3u8`);
  const same = await get(small.replace("/upto/215", ""));
  assert.ok((await get(small)).bytes.equals(same.bytes));
  // Whatever is for all rungs is there.
  assert.equal((await at("/upto/215", "hls/ID/subtitle_0_en.m3u8")).status, 200);
  for (const name of ["hls/ID/master.m3u8", "dash/ID/manifest.mpd", "hls/ID/480p.m3u8"]) {
    assert.equal((await at("/upto/100", name)).status, 404, name);
  }
});

test("a title that is still made is as long under a bound as without", async (t) => {
  const { url, objects } = await startTitlePackager(t);
  const title = await makeTitle(objects);
  const set = await title.grow(3);
  const [low, high] = set.rungs;
  // The smaller rung is further than the larger one.
  await title.write({ ...set, rungs: [low, { ...high, chunks: high?.chunks.slice(0, 2) }] });
  const name = `hls/${title.contentId}/480p.m3u8`;
  const [free, bound] = [await get(`${url}/${name}`), await get(`${url}/upto/144/${name}`)];
  assert.equal(free.status, 200);
  assert.equal(bound.text, free.text);
});

test("a film that stands upright has the lines of one that lies", async (t) => {
  const { objects } = await startTitlePackager(t);
  const set = await (await makeTitle(objects)).complete();
  const upright = set.rungs.map((rung) => ({ ...rung, width: rung.height, height: rung.width }));
  const namesAt = (lines: number) => withinHeight({ ...set, rungs: upright }, lines).rungs.map(({ name }) => name);
  assert.deepEqual([namesAt(216), namesAt(215), namesAt(143)], [set.rungs.map(({ name }) => name), ["480p"], []]);
});

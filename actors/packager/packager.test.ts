/** Addresses of the packager as operators of MSOD and of the seed use them, asked over HTTP. */
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { probe } from "../../test/media/ffprobe.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { tempDir } from "../../test/support/platform.ts";
import { startTestPackager, type TestPackager } from "./packager.fixture.ts";

let media = "";
before(async () => {
  media = await sharedMediaDir();
});

/** Copies of inputs under other names. */
const folderWith = async (t: TestContext, files: Readonly<Record<string, string>>): Promise<string> => {
  const folder = await tempDir(t);
  for (const [path, input] of Object.entries(files)) {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await copyFile(await makeInput(input, media), join(folder, path));
  }
  return folder;
};

const THREE = {
  "my_video_low.mp4": "moov-first",
  "my_video_medium.mp4": "moov-last",
  "my_video_highdef.mp4": "moov-first",
};
const SET = "my_video_,highdef,medium,low,.mp4.csmil";

const text = async (packager: TestPackager, path: string): Promise<string> => {
  const answer = await fetch(packager.url + path);
  assert.equal(answer.status, 200, `${path}: ${await answer.clone().text()}`);
  return answer.text();
};
/** With the path as it is: `fetch` would resolve what looks like `..`. */
const statusOf = (packager: TestPackager, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(packager.url);
    const request = http.get({ hostname, port, path }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0));
    });
    request.on("error", reject);
  });
const bytesOf = async (packager: TestPackager, path: string): Promise<Buffer> => {
  const answer = await fetch(packager.url + path);
  assert.equal(answer.status, 200, path);
  return Buffer.from(await answer.arrayBuffer());
};

const README = { CASTERPAK_OUTPUT_SERVERNAME: "this_application", CASTERPAK_OUTPUT_SEGMENT_VERSION: "off" };

test("a csmil address at the root gives the README's master: ascending, absolute, lines of three attributes", async (t) => {
  const packager = await startTestPackager(t, { folder: await folderWith(t, THREE), env: README });
  const lines = (await text(packager, `/i/${SET}/master.m3u8`)).split("\r\n");
  assert.equal(lines[0], "#EXTM3U");
  assert.equal(lines.length, 8, "three variants of two lines, and the end of the last line");
  for (const at of [1, 3, 5])
    assert.match(lines[at] ?? "", /^#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=\d+,RESOLUTION=192x108$/);
  const children = [2, 4, 6].map((at) => lines[at]);
  for (const name of ["low", "medium", "highdef"]) {
    assert.ok(children.includes(`http://this_application/i/my_video_${name}.mp4/index_0_av.m3u8`), children.join());
  }
});

test("a media playlist is the README's text", async (t) => {
  const packager = await startTestPackager(t, {
    folder: await folderWith(t, { "my_video_highdef.mp4": "moov-first" }),
    env: { ...README, CASTERPAK_OUTPUT_SEGMENTDURATION: "2" },
  });
  const segment = (number: number) =>
    `#EXTINF:2.000,\nhttp://this_application/i/my_video_highdef.mp4/segment${number}_0_av.ts\n`;
  const expected =
    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ALLOW-CACHE:YES\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-VERSION:3\n" +
    `#EXT-X-MEDIA-SEQUENCE:1\n${[1, 2, 3, 4].map(segment).join("")}#EXT-X-ENDLIST\n`;
  assert.equal(await text(packager, "/i/my_video_highdef.mp4/index_0_av.m3u8"), expected);
  assert.equal(await text(packager, "/i/my_video_highdef.mp4/index.m3u8"), expected);
});

test("the same set in any order of its bitrates is the same manifest, at any depth", async (t) => {
  const folder = await folderWith(t, { "a/b c/vidéo_1.mp4": "moov-first", "a/b c/vidéo_2.mp4": "moov-last" });
  const packager = await startTestPackager(t, { folder });
  const at = (bitrates: string) => text(packager, `/i/a/b%20c/vid%C3%A9o_,${bitrates},.mp4.csmil/master.m3u8`);
  assert.equal(await at("1,2"), await at("2,1"));
  assert.equal(await at("1,,2"), await at("2,1"));
  assert.match(await at("1,2"), /\.\.\/vid%C3%A9o_1\.mp4\/index_0_av\.m3u8/);
});

test("a set lacks what is not there for seconds only, and is 404 when nothing is there", async (t) => {
  const folder = await folderWith(t, { "v_1.mp4": "moov-first" });
  const packager = await startTestPackager(t, { folder });
  const answer = await fetch(`${packager.url}/i/v_,1,2,.mp4.csmil/master.m3u8`);
  assert.equal((await answer.text()).match(/STREAM-INF/g)?.length, 1);
  assert.match(answer.headers.get("cache-control") ?? "", /max-age=2$/);
  await copyFile(join(folder, "v_1.mp4"), join(folder, "v_2.mp4"));
  assert.equal((await text(packager, "/i/v_,1,2,.mp4.csmil/master.m3u8")).match(/STREAM-INF/g)?.length, 2);
  assert.equal(await statusOf(packager, "/i/w_,1,2,.mp4.csmil/master.m3u8"), 404);
});

test("segments are counted from 1, and from 0 under the seed's other name: the same bytes", async (t) => {
  const packager = await startTestPackager(t, { folder: await folderWith(t, { "v.mp4": "moov-first" }) });
  assert.deepEqual(
    await bytesOf(packager, "/i/v.mp4/segment2_0_av.ts"),
    await bytesOf(packager, "/i/v.mp4/segment-1.ts"),
  );
  const answer = await fetch(`${packager.url}/i/v.mp4/segment1_0_av.ts`, { headers: { range: "bytes=188-375" } });
  assert.equal(answer.status, 206);
  assert.equal(answer.headers.get("content-type"), "video/MP2T");
  const whole = await bytesOf(packager, "/i/v.mp4/segment1_0_av.ts");
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), whole.subarray(188, 376));
});

test("what is not there is 404, what no name may have is 400, what can't be served is 415: never 5xx", async (t) => {
  const folder = await folderWith(t, { "v.mp4": "moov-first" });
  await writeFile(join(folder, "text.mp4"), "no movie at all");
  await writeFile(join(folder, "empty.mp4"), "");
  const packager = await startTestPackager(t, { folder });
  const expected: Readonly<Record<string, number>> = {
    "/i/v.mp4": 404, // C-13
    "/i/v.mp4/segment999_0_av.ts": 404, // C-46
    "/i/v.mp4/segment0_0_av.ts": 404,
    "/i/v.mp4/segment1_1_av.ts": 404,
    "/i/v.mp4/segment1_0_a2.m4s": 404,
    "/i/v.mp4/other.m3u8": 404,
    "/i/none.mp4/index_0_av.m3u8": 404,
    "/other": 404,
    "/i/text.mp4/master.m3u8": 415,
    "/i/empty.mp4/index_0_av.m3u8": 415,
    "/i/%2e%2e/v.mp4/master.m3u8": 400,
    "/i/..%2fv.mp4/master.m3u8": 400,
    "/i/a%00/v.mp4/master.m3u8": 400,
    "/i/v.mp4/master.m3u8?b=x": 400,
    "/i/v.mp4/index_0_av.m3u8?start=9999": 400,
  };
  const got: Record<string, number> = {};
  for (const path of Object.keys(expected)) got[path] = await statusOf(packager, path);
  assert.deepEqual(got, expected);
});

test("a file that is replaced gets segments of another name, and the old ones are gone", async (t) => {
  const folder = await folderWith(t, { "v.mp4": "moov-first", "other.mp4": "moov-last" });
  const packager = await startTestPackager(t, { folder });
  const nameIn = (playlist: string) => /segment1_0_av\.ts\?v=\w+/.exec(playlist)?.[0] ?? "";
  const old = nameIn(await text(packager, "/i/v.mp4/index_0_av.m3u8"));
  assert.equal(await statusOf(packager, `/i/v.mp4/${old}`), 200);
  await rename(join(folder, "other.mp4"), join(folder, "v.mp4"));
  assert.equal(await statusOf(packager, `/i/v.mp4/${old}`), 404);
  const now = nameIn(await text(packager, "/i/v.mp4/index_0_av.m3u8"));
  assert.notEqual(now, old);
  assert.equal(await statusOf(packager, `/i/v.mp4/${now}`), 200);
  await rm(join(folder, "v.mp4"));
  assert.equal(await statusOf(packager, `/i/v.mp4/${now}`), 404);
});

test("a file that only seems to be touched keeps its bytes, and its Last-Modified follows", async (t) => {
  const folder = await folderWith(t, { "v.mp4": "moov-first" });
  const packager = await startTestPackager(t, { folder });
  const modified = new Date("2025-01-02T03:04:05Z");
  await utimes(join(folder, "v.mp4"), modified, modified);
  const answer = await fetch(`${packager.url}/i/v.mp4/segment1_0_av.ts`);
  await answer.arrayBuffer();
  assert.equal(answer.headers.get("last-modified"), modified.toUTCString());
  const etag = answer.headers.get("etag") ?? "";
  const again = await fetch(`${packager.url}/i/v.mp4/segment1_0_av.ts`, { headers: { "if-none-match": etag } });
  assert.equal(again.status, 304);
});

test("files whose key frames differ are cut where both have one, below the set", async (t) => {
  const folder = await folderWith(t, { "v_1.mp4": "moov-first", "v_2.mp4": "one-key-frame" });
  const packager = await startTestPackager(t, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "2" } });
  const master = await text(packager, "/i/v_,1,2,.mp4.csmil/master.m3u8");
  assert.match(master, /^index_0_av\.m3u8\r$/m);
  assert.match(master, /^index_1_av\.m3u8\r$/m);
  const durations = async (rendition: number) =>
    (await text(packager, `/i/v_,1,2,.mp4.csmil/index_${rendition}_av.m3u8`)).match(/EXTINF:[\d.]+/g);
  assert.deepEqual(await durations(0), await durations(1));
});

test("a set in a SMIL file is the set of its files", async (t) => {
  const folder = await folderWith(t, { "x/v_1.mp4": "moov-first", "x/v_2.mp4": "moov-last" });
  const smil =
    '<smil><body><switch><video src="v_1.mp4" system-bitrate="300000"/><video src="v_2.mp4"/></switch></body></smil>';
  await writeFile(join(folder, "x/set.smil"), smil);
  const packager = await startTestPackager(t, { folder });
  const master = await text(packager, "/i/x/set.smil/master.m3u8");
  assert.match(master, /^\.\.\/v_1\.mp4\/index_0_av\.m3u8\r$/m);
  assert.match(master, /^\.\.\/v_2\.mp4\/index_0_av\.m3u8\r$/m);
});

test("captions of a video are told where a master tells of captions at all", async (t) => {
  const folder = await folderWith(t, { "with.mp4": "captions-608", "without.mp4": "moov-first" });
  const packager = await startTestPackager(t, { folder });
  assert.match(await text(packager, "/i/with.mp4/cmaf.m3u8"), /CLOSED-CAPTIONS="cc"/);
  assert.match(await text(packager, "/i/without.mp4/cmaf.m3u8"), /CLOSED-CAPTIONS=NONE/);
  const revised = await text(packager, "/i/with.mp4/master.m3u8?set-akamai-hls-revision=5");
  assert.match(revised, /TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC1",INSTREAM-ID="CC1"/);
});

test("sound alone carries the picture that lies beside the file, as a timed ID3 tag", async (t) => {
  const folder = await folderWith(t, { "song.mp4": "audio-only", "film.mp4": "moov-first" });
  const picture = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
  await writeFile(join(folder, "song.png"), picture);
  const packager = await startTestPackager(t, { folder });
  const segment = await bytesOf(packager, "/i/song.mp4/segment1_0_a.ts");
  assert.ok(segment.includes("APIC"));
  await writeFile(join(folder, "heard.ts"), segment);
  const { streams } = await probe(join(folder, "heard.ts"));
  assert.deepEqual(streams.map(({ codec_name }) => codec_name).sort(), ["aac", "timed_id3"]);
  assert.ok(!(await bytesOf(packager, "/i/film.mp4/segment1_0_a.ts")).includes("APIC"));
});

test("another picture gives sound alone other addresses and other ETags, and leaves all else as it is", async (t) => {
  const folder = await folderWith(t, { "song.mp4": "audio-only", "film.mp4": "two-languages" });
  const startWith = async (picture: string | null): Promise<TestPackager> => {
    for (const name of ["song.png", "film.png"]) {
      if (picture === null) await rm(join(folder, name), { force: true });
      else await writeFile(join(folder, name), picture);
    }
    return startTestPackager(t, { folder });
  };
  const heard = ["song.mp4/index_0_av.m3u8", "song.mp4/index_0_a.m3u8", "film.mp4/index_0_a2.m3u8"];
  const others = ["film.mp4/index_0_av.m3u8", "film.mp4/iframes_0_v.m3u8", "song.mp4/cmaf_0_a.m3u8"];
  const firstIn = async (packager: TestPackager, list: string): Promise<string> => {
    const [uri = ""] = (await text(packager, `/i/${list}`)).match(/^[^#].*$/m) ?? [];
    return new URL(uri.trim(), `${packager.url}/i/${list}`).href.slice(packager.url.length);
  };
  const headOf = async (packager: TestPackager, address: string) => {
    const { status, headers } = await fetch(packager.url + address, { method: "HEAD" });
    return { status, etag: headers.get("etag"), kept: /immutable/.test(headers.get("cache-control") ?? "") };
  };
  const seen = new Map<string, { readonly address: string; readonly etag: string | null }[]>();
  let last: TestPackager | undefined;
  for (const picture of [null, "one picture", "another picture"]) {
    last = await startWith(picture);
    for (const list of [...heard, ...others]) {
      const address = await firstIn(last, list);
      const { status, etag, kept } = await headOf(last, address);
      assert.deepEqual([status, kept], [200, true], address);
      seen.set(list, [...(seen.get(list) ?? []), { address, etag }]);
      const bytes = await bytesOf(last, address);
      if (heard.includes(list)) assert.equal(bytes.includes("APIC"), picture !== null, list);
    }
  }
  const differing = (list: string): number[] => {
    const all = seen.get(list) ?? [];
    return [new Set(all.map(({ address }) => address)).size, new Set(all.map(({ etag }) => etag)).size];
  };
  for (const list of heard) assert.deepEqual(differing(list), [3, 3], list);
  for (const list of others) assert.deepEqual(differing(list), [1, 1], list);
  assert.ok(last);
  const [, old] = seen.get("song.mp4/index_0_av.m3u8") ?? [];
  const { kept, ...answer } = await headOf(last, old?.address ?? "");
  assert.deepEqual([answer.status, kept], [200, false], "the address of an older picture has the present one, for now");
  assert.notEqual(answer.etag, old?.etag);
  assert.equal((await headOf(last, "/i/song.mp4/segment1_0_a.ts?v=01234567")).status, 404);
});

test("files of an HTTP server that ignores ranges are served from whole copies", async (t) => {
  const folder = await folderWith(t, { "v.mp4": "moov-last" });
  const bytes = await readFile(join(folder, "v.mp4"));
  const origin = http.createServer((request, response) => {
    const isThere = request.url === "/archive/v.mp4";
    response.writeHead(isThere ? 200 : 404, { etag: '"1"', "content-length": isThere ? bytes.length : 0 });
    response.end(isThere && request.method !== "HEAD" ? bytes : undefined);
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  t.after(() => void origin.close());
  const { port } = origin.address() as AddressInfo; // it listens on TCP
  const env = {
    CASTERPAK_INPUT_INPUT_TYPE: "http",
    CASTERPAK_HTTP_URL: `http://127.0.0.1:${port}/archive`,
    CASTERPAK_HTTP_RANGES: "off",
  };
  const [packager, local] = [await startTestPackager(t, { env }), await startTestPackager(t, { folder })];
  const path = "/i/v.mp4/segment1_0_av.ts";
  assert.deepEqual(await bytesOf(packager, path), await bytesOf(local, path));
  assert.equal(await statusOf(packager, "/i/w.mp4/master.m3u8"), 404);
});

test("an MPD names one key: a set of files in folders with different ones has none", async (t) => {
  const folder = await folderWith(t, { "a/1.mp4": "moov-first", "b/1.mp4": "moov-last" });
  const method = { CASTERPAK_ENCRYPTION_METHOD: "cenc" };
  const derived = { ...method, CASTERPAK_ENCRYPTION_SECRET: "a-secret-that-is-long-enough" };
  const fixed = { ...method, CASTERPAK_ENCRYPTION_KEY: "00112233445566778899aabbccddeeff" };
  const path = "/i/,a,b,/1.mp4.csmil/manifest.mpd";
  assert.equal(await statusOf(await startTestPackager(t, { folder, env: derived }), path), 415);
  assert.equal(await statusOf(await startTestPackager(t, { folder, env: fixed }), path), 200);
});

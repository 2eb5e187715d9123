/** Paths and names of all kinds: what is in the folder is served under its name, and nothing outside is ever read. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { makeInput, sharedMediaDir } from "../media/make.ts";
import { tempDir } from "../support/platform.ts";
import { rawGet } from "./raw.ts";

const FILM = "moov-first";
const SECRET = "b-frames-3";

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

interface Place {
  readonly url: string;
  /** The source's folder, with `film.mp4` in it. */
  readonly root: string;
  /** A folder beside it, with `secret.mp4`, `secret_en.vtt` and `secret.smil` in it. */
  readonly outside: string;
  /** First segments as TS. */
  readonly filmDigest: string;
  readonly secretDigest: string;
}

/** A packager of a folder, and a folder beside it that is none of its business. */
const placeOf = async (t: TestContext): Promise<Place> => {
  const base = await tempDir(t);
  const media = await sharedMediaDir();
  const [root, outside] = [join(base, "root"), join(base, "outside")];
  for (const folder of [root, outside]) mkdirSync(folder);
  copyFileSync(await makeInput(FILM, media), join(root, "film.mp4"));
  copyFileSync(await makeInput(SECRET, media), join(outside, "secret.mp4"));
  writeFileSync(join(outside, "secret_en.vtt"), "WEBVTT\n\n00:00.000 --> 00:09.000\nsecret\n");
  writeFileSync(join(outside, "secret.smil"), '<smil><body><video src="film.mp4"/></body></smil>');
  const { url } = await startTestPackager(t, { folder: root });
  const elsewhere = await startTestPackager(t, { folder: outside });
  const segmentOf = async (at: string, file: string): Promise<string> =>
    digest((await rawGet(at, `/i/${file}/segment1_0_av.ts`)).body);
  const filmDigest = await segmentOf(url, "film.mp4");
  const secretDigest = await segmentOf(elsewhere.url, "secret.mp4");
  assert.notEqual(filmDigest, secretDigest);
  return { url, root, outside, filmDigest, secretDigest };
};

/** Whether the file system notes reads (relatime: the first one after a change). */
const notesReads = (file: string): boolean => {
  writeFileSync(file, "x");
  const before = statSync(file, { bigint: true }).atimeNs;
  execFileSync("cat", [file]);
  return statSync(file, { bigint: true }).atimeNs !== before;
};

/** A difference is to be read by somebody. */
const shortened = (statuses: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(statuses).map(([target, status]) => [`${target.slice(0, 80)} (${target.length})`, status]),
  );

const statusesOf = async (url: string, targets: readonly string[]): Promise<Record<string, number>> => {
  const statuses: Record<string, number> = {};
  for (const target of targets) statuses[target] = (await rawGet(url, target)).status;
  return shortened(statuses);
};

const of = (status: number, targets: readonly string[]): Record<string, number> =>
  Object.fromEntries(targets.map((target) => [target, status]));

test("a path that leads out of the folder, however it is written, is refused or names nothing", async (t) => {
  const { url, outside } = await placeOf(t);
  const secret = join(outside, "secret.mp4");
  const before = statSync(secret, { bigint: true }).atimeNs;
  const expected = {
    ...of(400, [
      "/i/../outside/secret.mp4/master.m3u8",
      "/i/film.mp4/../../outside/secret.mp4/master.m3u8",
      "/i/%2e%2e/outside/secret.mp4/master.m3u8",
      "/i/.%2E/outside/secret.mp4/master.m3u8",
      "/i/..%2foutside%2fsecret.mp4/master.m3u8",
      "/i/..%2Foutside/secret.mp4/master.m3u8",
      "/i/..%5coutside%5csecret.mp4/master.m3u8",
      "/i/..\\outside\\secret.mp4/master.m3u8",
      "/i/%c0%ae%c0%ae/outside/secret.mp4/master.m3u8",
      "/i/%c0%af%c0%ae%c0%ae%c0%afoutside/secret.mp4/master.m3u8",
      "/i/%e0%80%ae%e0%80%ae/outside/secret.mp4/master.m3u8",
      "/i/%f0%80%80%ae%f0%80%80%ae/outside/secret.mp4/master.m3u8",
      "/i/%ff%fe/film.mp4/master.m3u8",
      "/i/%ed%a0%80/film.mp4/master.m3u8",
      "/i/%zz/film.mp4/master.m3u8",
      "/i/%2/film.mp4/master.m3u8",
      "/i/film.mp4%00/master.m3u8",
      "/i/film.mp4%00.mp4/master.m3u8",
      "/i/film%0a.mp4/master.m3u8",
      "/i/film%7f.mp4/master.m3u8",
      "/i//film.mp4/master.m3u8",
      "/i/./film.mp4/master.m3u8",
      "/i/film.mp4//master.m3u8",
      "/i/film.mp4/",
      `/i/${encodeURIComponent(secret)}/master.m3u8`,
      `/i/${secret}/master.m3u8`,
      "/i/.,./outside/secret,.mp4.csmil/master.m3u8",
      "/i/,../outside/secret,.mp4.csmil/master.m3u8",
      "/i/x,/../../outside/secret,.mp4.csmil/master.m3u8",
      "/i/.,.,/outside/secret.mp4.csmil/master.m3u8",
      "/i/../outside/secret.smil/master.m3u8",
      `/i/${"a/".repeat(600)}film.mp4/master.m3u8`,
      `/i/${"a".repeat(300)}.mp4/master.m3u8`,
    ]),
    ...of(404, [
      "/i/%252e%252e/outside/secret.mp4/master.m3u8",
      "/i/%252e%252e%252foutside%252fsecret.mp4/master.m3u8",
      "/i/%25c0%25ae/film.mp4/master.m3u8",
      "/i/%EF%BC%8E%EF%BC%8E/outside/secret.mp4/master.m3u8", // full-width dots
      "/i/%E2%80%A5/outside/secret.mp4/master.m3u8", // one character that looks like two dots
      "/i/~root/film.mp4/master.m3u8",
      "/i/film.mp4",
      "/i/film.mp4/film.mp4/master.m3u8",
      "/i/FILM.mp4/master.m3u8",
      "/i/film.mp4./master.m3u8",
      "/i/film.mp4::$DATA/master.m3u8",
      "/I/film.mp4/master.m3u8",
      "/../i/film.mp4/master.m3u8",
      "/i/master.m3u8",
      `/i/${"a".repeat(255)}/master.m3u8`,
    ]),
    ...of(414, [`/i/${"a/".repeat(5_000)}film.mp4/master.m3u8`]),
    "http://other/i/film.mp4/master.m3u8": 200,
    "http://other/i/../outside/secret.mp4/master.m3u8": 400,
    "/i/film%2Emp4/master%2Em3u8": 200,
  };
  assert.deepEqual(await statusesOf(url, Object.keys(expected)), shortened(expected));
  if (notesReads(join(outside, "noted"))) assert.equal(statSync(secret, { bigint: true }).atimeNs, before);
});

test("a name out of which characters are stripped never becomes a way out of the folder", async (t) => {
  const { root } = await placeOf(t);
  const { url } = await startTestPackager(t, { folder: root, env: { CASTERPAK_INPUT_SANITIZE: "strip" } });
  const expected = {
    "/i/fi%20lm.mp4/master.m3u8": 200,
    ...of(400, [
      "/i/.%20./outside/secret.mp4/master.m3u8",
      "/i/.(.)/outside/secret.mp4/master.m3u8",
      "/i/%C2%A0..%C2%A0/outside/secret.mp4/master.m3u8",
      "/i/((/film.mp4/master.m3u8",
      "/i/.(,./outside/secret,.mp4.csmil/master.m3u8",
    ]),
  };
  assert.deepEqual(await statusesOf(url, Object.keys(expected)), shortened(expected));
});

test("links within the folder are followed; those out of it, and all that is no file, name nothing", async (t) => {
  const { url, root, outside, filmDigest } = await placeOf(t);
  const at = (name: string): string => join(root, name);
  mkdirSync(at("folder"));
  mkdirSync(at("folder.mp4"));
  const links = {
    "inside.mp4": "film.mp4",
    "inside-folder": "folder",
    "folder/up.mp4": "../film.mp4",
    "folder/here": "..",
    "out.mp4": "../outside/secret.mp4",
    "absolute.mp4": join(outside, "secret.mp4"),
    "out-folder": "../outside",
    "by-way-of.mp4": "out.mp4",
    "loop.mp4": "loop.mp4",
    "nowhere.mp4": "nothing.mp4",
    "zero.mp4": "/dev/zero",
    "memory.mp4": "/proc/self/mem",
    "descriptor.mp4": "/proc/self/fd/0",
    "out_en.vtt": "../outside/secret_en.vtt",
    "out.smil": "../outside/secret.smil",
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, at(name));
  execFileSync("mkfifo", [at("fifo.mp4")]);
  const listener = createServer().listen(at("socket.mp4"));
  t.after(() => void listener.close());
  writeFileSync(at("empty.mp4"), "");
  writeFileSync(at("unreadable.mp4"), "x");
  chmodSync(at("unreadable.mp4"), 0);
  const isAllowedAll = process.getuid?.() === 0;
  const expected = {
    "film.mp4": 200,
    "inside.mp4": 200,
    "folder/up.mp4": 200,
    "inside-folder/up.mp4": 200,
    "folder/here/folder/here/film.mp4": 200,
    "out.mp4": 404,
    "absolute.mp4": 404,
    "out-folder/secret.mp4": 404,
    "folder/here/out-folder/secret.mp4": 404,
    "by-way-of.mp4": 404,
    "loop.mp4": 404,
    "nowhere.mp4": 404,
    "zero.mp4": 404,
    "memory.mp4": 404,
    "descriptor.mp4": 404,
    "fifo.mp4": 404,
    "socket.mp4": 404,
    folder: 404,
    "folder.mp4": 404,
    "film.mp4/film.mp4": 404,
    "out.smil": 404,
    "empty.mp4": 415,
    "unreadable.mp4": isAllowedAll ? 415 : 403,
  };
  const statuses: Record<string, number> = {};
  for (const name of Object.keys(expected)) {
    const { status, body } = await rawGet(url, `/i/${name}/segment1_0_av.ts`);
    statuses[name] = status;
    if (status === 200) assert.equal(digest(body), filmDigest, name);
  }
  assert.deepEqual(statuses, expected);
});

test("subtitles are looked for in the folder alone, wherever a query or a link says that they are", async (t) => {
  const { url, root } = await placeOf(t);
  symlinkSync("../outside", join(root, "out"));
  symlinkSync("../outside/secret_en.vtt", join(root, "film_en.vtt"));
  const queries = {
    "": 404,
    "subtitle_location=../outside": 400,
    "subtitle_location=/../outside": 400,
    "subtitle_location=%2e%2e%2foutside": 400,
    "subtitle_location=%252e%252e/outside": 404,
    "subtitle_location=..%5coutside": 400,
    "subtitle_location=/etc": 404,
    "subtitle_location=//etc": 400,
    "subtitle_location=out&subtitle_identifier=secret": 404,
    "subtitle_identifier=../outside/secret": 400,
    "subtitle_identifier=..": 400,
    "subtitle_identifier=secret%00": 400,
    "subtitle_file_pattern=identifier/../langcode": 400,
    "subtitle_file_pattern=identifier_langcode.vtt%00": 400,
  };
  const statuses: Record<string, number> = {};
  for (const query of Object.keys(queries)) {
    const { status, body } = await rawGet(url, `/i/film.mp4/subtitle_0_en.vtt?${query}`);
    assert.ok(!body.includes("secret\n"), query);
    statuses[query] = status;
    const master = await rawGet(url, `/i/film.mp4/master.m3u8?${query}`);
    assert.ok([200, 400].includes(master.status) && !master.body.includes("TYPE=SUBTITLES"), query);
  }
  assert.deepEqual(statuses, queries);
});

test("a SMIL file in the folder names nothing outside of it", async (t) => {
  const { url, root } = await placeOf(t);
  const sources = [
    "../outside/secret.mp4",
    "../../outside/secret.mp4",
    "/../outside/secret.mp4",
    "%2e%2e/outside/secret.mp4",
    "..%2foutside%2fsecret.mp4",
    "..\\outside\\secret.mp4",
    "file:///etc/passwd",
    "folder/../../outside/secret.mp4",
    "&#x2e;&#x2e;/outside/secret.mp4",
  ];
  for (const source of sources) {
    writeFileSync(join(root, "set.smil"), `<smil><body><switch><video src="${source}"/></switch></body></smil>`);
    const { status } = await rawGet(url, "/i/set.smil/segment1_0_av.ts");
    assert.ok([400, 404, 415].includes(status), `${source}: ${status}`);
  }
});

const NAMES = [
  "with space.mp4",
  "'single' \"double\" `back`.mp4",
  "vidéo.mp4", // one code point
  "vide\u0301o.mp4", // two: another file
  "日本語 фильм 🎬.mp4",
  "a?b=c.mp4",
  "a#b.mp4",
  "100%.mp4",
  "%2e%2e.mp4",
  "%41.mp4",
  "a&b;c=d+e$f!g*h(i)j@k~l.mp4",
  "a:b|c<d>e^f{g}h[i].mp4",
  ".hidden.mp4",
  "..double.mp4",
  "-dash.mp4",
  "trailing..mp4",
  "trailing space .mp4",
  "comma,in,name.mp4",
  "comma, in folder/also, here/film.mp4",
  "folder.csmil/film.mp4",
  "folder.mp4/film.mp4",
  "master.m3u8/film.mp4",
  "deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/film.mp4",
  `${"é".repeat(98)}.mp4`, // 200 bytes
  `${"x".repeat(251)}.mp4`, // all that a name may have
  "nbsp\u00a0zwj\u200d.mp4",
  "noextension",
];

/** What a player fetches first, by the addresses that it is given. */
const playedFrom = async (master: string): Promise<string> => {
  const linesOf = async (url: string): Promise<string[]> => {
    const answer = await fetch(url);
    const text = await answer.text();
    assert.equal(answer.status, 200, `${url}: ${text}`);
    return text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
  };
  const [media = ""] = await linesOf(master);
  const list = new URL(media, master).href;
  const [segment = ""] = await linesOf(list);
  const answer = await fetch(new URL(segment, list));
  const bytes = Buffer.from(await answer.arrayBuffer());
  assert.equal(answer.status, 200, `${segment}: ${bytes.subarray(0, 300)}`);
  return digest(bytes);
};

test("a file of any name that a folder can have is played by the addresses that its playlists give", async (t) => {
  const { url, root, filmDigest } = await placeOf(t);
  for (const name of NAMES) {
    mkdirSync(join(root, name, ".."), { recursive: true });
    copyFileSync(join(root, "film.mp4"), join(root, name));
    const path = name.split("/").map(encodeURIComponent).join("/");
    for (const leaf of ["master.m3u8", "cmaf.m3u8"]) {
      const played = await playedFrom(`${url}/i/${path}/${leaf}`);
      if (leaf === "master.m3u8") assert.equal(played, filmDigest, name);
    }
  }
  // Each is the file of just this name, and there is no other form of it.
  rmSync(join(root, "vidéo.mp4"));
  assert.equal((await rawGet(url, `/i/${encodeURIComponent("vidéo.mp4")}/master.m3u8`)).status, 404);
  assert.equal((await rawGet(url, `/i/${encodeURIComponent("vide\u0301o.mp4")}/master.m3u8`)).status, 200);
});

test("csmil sets have names with spaces, Unicode and folders with commas", async (t) => {
  const { url, root, filmDigest } = await placeOf(t);
  mkdirSync(join(root, "a, b/ç d"), { recursive: true });
  for (const rate of ["100 k", "ü"]) copyFileSync(join(root, "film.mp4"), join(root, `a, b/ç d/film '${rate}'.mp4`));
  const set = `a, b/ç d/film ',100 k,ü,'.mp4.csmil`;
  const path = set.split("/").map(encodeURIComponent).join("/");
  assert.equal(await playedFrom(`${url}/i/${path}/master.m3u8`), filmDigest);
  assert.equal(await playedFrom(`${url}/i/${path.replaceAll("%2C", ",")}/master.m3u8`), filmDigest);
});

test("a link that is turned to the outside while it is served never shows what is there", async (t) => {
  const { url, root, filmDigest } = await placeOf(t);
  mkdirSync(join(root, "folder"));
  copyFileSync(join(root, "film.mp4"), join(root, "folder/secret.mp4"));
  const turns = [
    { name: "turned.mp4", targets: ["film.mp4", "../outside/secret.mp4"], file: "turned.mp4" },
    { name: "turned", targets: ["folder", "../outside"], file: "turned/secret.mp4" },
  ];
  let isOver = false;
  const turning = (async () => {
    for (let turn = 0; !isOver; turn += 1) {
      for (const { name, targets } of turns) {
        symlinkSync(targets[turn % 2] ?? "", join(root, "new"));
        renameSync(join(root, "new"), join(root, name));
      }
      await new Promise(setImmediate);
    }
  })();
  const seen: Record<number, number> = {};
  for (let round = 0; round < 300; round += 1) {
    const { file } = turns[round % 2] ?? { file: "" };
    const { status, body } = await rawGet(url, `/i/${file}/segment1_0_av.ts`);
    seen[status] = (seen[status] ?? 0) + 1;
    assert.ok(status === 200 || status === 404, `${file}: ${status} ${body}`);
    if (status === 200) assert.equal(digest(body), filmDigest, "what is outside was read");
  }
  isOver = true;
  await turning;
  t.diagnostic(JSON.stringify(seen));
  assert.ok((seen[200] ?? 0) > 0 && (seen[404] ?? 0) > 0, "both sides of the turn were seen");
});

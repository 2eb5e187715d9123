/** What of a request is decided before and around its answer: who may see it, and from when on it is made anew. */
import assert from "node:assert/strict";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { tempDir } from "../../test/support/platform.ts";
import { startTestPackager, type TestPackager } from "./packager.fixture.ts";
import { makeToken, tokenKey } from "./tokens.ts";

let movie = "";
before(async () => {
  movie = await makeInput("moov-first", await sharedMediaDir());
});

const PROTECTED = { CASTERPAK_TOKEN_PATHS: "/protected/*", CASTERPAK_TOKEN_PASSWORD: "a-password" };

const archive = async (t: TestContext, texts: Readonly<Record<string, string>> = {}): Promise<string> => {
  const folder = await tempDir(t);
  await mkdir(join(folder, "protected"));
  for (const path of ["open.mp4", "other.mp4", "protected/movie.mp4"]) await copyFile(movie, join(folder, path));
  for (const [path, text] of Object.entries(texts)) await writeFile(join(folder, path), text);
  return folder;
};

const asked = async ({ url }: TestPackager, path: string): Promise<{ status: number; text: string }> => {
  const answer = await fetch(url + path);
  return { status: answer.status, text: await answer.text() };
};

const SUBTITLE = "WEBVTT\n\n00:00.000 --> 00:01.000\nA secret line\n";

test("subtitles that need a token are not read by way of a file that needs none", async (t) => {
  const folder = await archive(t, { "protected/movie_en.vtt": SUBTITLE, "open_en.vtt": SUBTITLE });
  const packager = await startTestPackager(t, { folder, env: PROTECTED });
  const there = "subtitle_identifier=movie&subtitle_location=/protected";
  for (const leaf of ["subtitle1_0_en.vtt", "subtitle_0_en.vtt"]) {
    const { status, text } = await asked(packager, `/i/open.mp4/${leaf}?${there}`);
    assert.equal(status, 403, text);
    assert.doesNotMatch(text, /secret/);
    assert.equal((await asked(packager, `/i/open.mp4/${leaf}`)).status, 200);
  }
  const master = await asked(packager, `/i/open.mp4/cmaf.m3u8?${there}`);
  assert.equal(master.status, 200);
  assert.doesNotMatch(master.text, /TYPE=SUBTITLES/);
  const own = await asked(packager, "/i/open.mp4/cmaf.m3u8?subtitle_identifier=open");
  assert.match(own.text, /TYPE=SUBTITLES.*LANGUAGE="en"/);
});

test("a token for one film reads its own subtitles, and those of others only where its ACL has them", async (t) => {
  const texts = { "protected/movie_en.vtt": SUBTITLE, "protected/movie_two_en.vtt": SUBTITLE };
  const packager = await startTestPackager(t, { folder: await archive(t, texts), env: PROTECTED });
  const film = "/i/protected/movie.mp4";
  const tokenFor = (...acl: readonly string[]): string => {
    const fields = { ip: null, startSeconds: null, endSeconds: Math.floor(Date.now() / 1000) + 600, id: null };
    return `hdnts=${makeToken({ ...fields, acl, data: null }, { key: tokenKey("a-password") })}`;
  };
  const own = tokenFor(`${film}/*`);
  const wide = tokenFor(`${film}/*`, "/i/protected/movie_two_*");
  const other = "subtitle_identifier=movie_two";
  const disguised = "subtitle_file_pattern=identifier_two_langcode";
  for (const leaf of ["subtitle_0_en.m3u8", "subtitle1_0_en.vtt", "subtitle_0_en.vtt"]) {
    const statusOf = async (query: string) => (await asked(packager, `${film}/${leaf}?${query}`)).status;
    assert.equal(await statusOf(own), 200, leaf);
    assert.equal(await statusOf(`${other}&${own}`), 403, leaf);
    assert.equal(await statusOf(`${disguised}&${own}`), 403, leaf);
    assert.equal(await statusOf(`${other}&${wide}`), 200, leaf);
  }
  const subtitlesIn = async (query: string): Promise<readonly string[]> =>
    (await asked(packager, `${film}/cmaf.m3u8?${query}`)).text.match(/TYPE=SUBTITLES/g) ?? [];
  assert.equal((await subtitlesIn(`subtitle_identifier=movie&${own}`)).length, 1);
  assert.equal((await subtitlesIn(`${other}&${own}`)).length, 0);
  assert.equal((await subtitlesIn(`${other}&${wide}`)).length, 1);
});

test("a SMIL file that needs a token is not even looked for without one", async (t) => {
  const packager = await startTestPackager(t, { folder: await archive(t), env: PROTECTED });
  assert.equal((await asked(packager, "/i/protected/none.smil/master.m3u8")).status, 401);
});

test("a name out of which characters are stripped needs the token of what is left of it", async (t) => {
  const smil = '<smil><body><video src="/open.mp4"/></body></smil>';
  const folder = await archive(t, { "protected/list.smil": smil });
  const env = { ...PROTECTED, CASTERPAK_INPUT_SANITIZE: "strip" };
  const packager = await startTestPackager(t, { folder, env });
  for (const path of ["movie.mp4", "list.smil", "movie,.mp4,.csmil"]) {
    assert.equal((await asked(packager, `/i/prot%20ected/${path}/master.m3u8`)).status, 401, path);
  }
});

test("a SMIL file that is rewritten is seen while viewers of its files keep those in memory", async (t) => {
  const naming = (name: string): string => `<smil><body><video src="${name}"/></body></smil>`;
  const folder = await archive(t, { "list.smil": naming("open.mp4") });
  const now = { ms: 1_000_000 };
  const packager = await startTestPackager(t, {
    folder,
    clock: { nowMs: () => now.ms },
    env: { CASTERPAK_CACHE_SOURCE_RECHECK: "10" },
  });
  const master = async (): Promise<string> => (await asked(packager, "/i/list.smil/master.m3u8")).text;
  assert.match(await master(), /open\.mp4/);
  await writeFile(join(folder, "list.smil"), naming("other.mp4"));
  now.ms += 11_000;
  assert.equal((await asked(packager, "/i/open.mp4/segment1_0_av.ts")).status, 200);
  assert.match(await master(), /other\.mp4/);
});

test("players of other origins can read why they are refused", async (t) => {
  const packager = await startTestPackager(t, { folder: await archive(t), env: PROTECTED });
  const statuses: Readonly<Record<string, number>> = {
    "/i/none.mp4/master.m3u8": 404,
    "/i/open.mp4/none.m3u8": 404,
    "/i/open.mp4/master.m3u8?b=x": 400,
    "/i/open.mp4/key_0.bin": 404,
    "/i/protected/movie.mp4/master.m3u8": 401,
  };
  for (const [path, status] of Object.entries(statuses)) {
    const answer = await fetch(packager.url + path, { headers: { origin: "https://player.example.net" } });
    assert.equal(answer.status, status, path);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*", path);
    assert.equal(answer.headers.get("content-type"), "application/problem+json", path);
  }
});

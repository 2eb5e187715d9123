/** Two packagers of one source behind a balancer: a viewer can't tell which one answered. */
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { stampedFilms } from "./films.ts";
import { encryptedFolders } from "./judged.ts";
import { type Content, startOrigin } from "./origin.ts";
import { MEDIA, TEXTS } from "./truths.ts";
import { askerOf } from "./watched.ts";

/** Fields that are the moment's, and no part of what is served. */
const PASSING = ["date", "connection", "keep-alive"];
const PLACES = ["", "aes-128/", "cbcs/", "cenc/"];

interface Answer {
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly bytes: Buffer;
}

/** With the name that the balancer has for both. */
const ask = async (url: string): Promise<Answer> => {
  const { origin, pathname, search } = new URL(url);
  const reply = await askerOf(origin, http.globalAgent)(pathname + search, { headers: { host: "video.example.net" } });
  const fields = Object.fromEntries(Object.entries(reply.headers).filter(([name]) => !PASSING.includes(name)));
  return { status: reply.status, fields, bytes: reply.bytes };
};

const filesOf = (content: Content): Map<string, Content> =>
  new Map(PLACES.map((place) => [`media/${place}film.mp4`, content]));

test("two packagers of one source give the same names, bytes and fields, with caches and without", async (t) => {
  const [first = assert.fail(), second = assert.fail()] = await stampedFilms(t, 2);
  const origin = await startOrigin(t, filesOf(first));
  const env = {
    ...encryptedFolders(),
    CASTERPAK_INPUT_INPUT_TYPE: "http",
    CASTERPAK_HTTP_URL: `${origin.url}/media`,
    CASTERPAK_OUTPUT_SEGMENTDURATION: "1",
  };
  const cached = { CASTERPAK_HTTP_CACHE_INPUT: "True", CASTERPAK_CACHE_SEGMENT_CACHE: "on" };
  const one = await startTestPackager(t, { env });
  const other = await startTestPackager(t, { env: { ...env, ...cached } });
  for (const content of [first, second]) {
    for (const [path, file] of filesOf(content)) origin.files.set(path, file);
    for (const place of PLACES)
      for (const name of [...TEXTS, ...MEDIA]) {
        const path = `/i/${place}film.mp4/${name}`;
        const answers = [await ask(one.url + path), await ask(other.url + path), await ask(other.url + path)];
        const [here = assert.fail(), ...there] = answers;
        if (here.status !== 200) {
          for (const { status } of there) assert.equal(status, here.status, path);
          continue;
        }
        for (const { fields, bytes } of there) {
          assert.deepEqual(fields, here.fields, path);
          assert.ok(bytes.equals(here.bytes), path);
        }
      }
  }
});

test("a viewer whose every request goes to the next of two packagers plays one version, and then the other", async (t) => {
  const contents = await stampedFilms(t, 2);
  const origin = await startOrigin(t, new Map());
  const env = {
    CASTERPAK_INPUT_INPUT_TYPE: "http",
    CASTERPAK_HTTP_URL: `${origin.url}/media`,
    CASTERPAK_OUTPUT_SEGMENTDURATION: "1",
  };
  const packagers = [await startTestPackager(t, { env }), await startTestPackager(t, { env })];
  let turn = 0;
  const next = (path: string): Promise<Answer> => {
    turn += 1;
    return ask(`${packagers[turn % 2]?.url}/i/film.mp4/${path}`);
  };
  const played: string[] = [];
  for (const content of contents) {
    origin.files.set("media/film.mp4", content);
    const list = (await next("index_0_av.m3u8")).bytes.toString();
    const names = list.match(/^segment\d+_0_av\.ts\?v=\w+$/gm) ?? [];
    assert.equal(names.length, 4, list);
    for (const name of names) assert.equal((await next(name)).status, 200, name);
    for (const name of played) assert.equal((await next(name)).status, 404, "of the version before");
    played.push(...names);
  }
});

/** Files of a folder that are replaced under the same name while they are watched. */
import assert from "node:assert/strict";
import { copyFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { tempDir } from "../support/platform.ts";
import { seeded } from "../support/seeded.ts";
import { stampedFilms } from "./films.ts";
import type { Content } from "./origin.ts";
import { digestOf, SAME, type Truth, truthsOf } from "./truths.ts";

const PLAY_COUNT = 30;
const VIEWER_COUNT = 6;

type Replace = (file: string, content: Content) => void;

const byRename: Replace = (file, { bytes }) => {
  writeFileSync(`${file}.new`, bytes);
  // The same size and time too: only the file itself is another one.
  utimesSync(`${file}.new`, 1_700_000_000, 1_700_000_000);
  renameSync(`${file}.new`, file);
};
/** Not what anybody should do: who reads meanwhile may see a file that ends early. */
const inPlace: Replace = (file, { bytes }) => {
  writeFileSync(`${file}.new`, bytes);
  copyFileSync(`${file}.new`, file);
};

interface Watched {
  readonly url: string;
  readonly truths: readonly Truth[];
  /** By status. */
  readonly seen: Record<number, number>;
}

const ALLOWED = new Set([200, 404, 415, 502, 503]);

const ask = async ({ url, seen }: Watched, path: string): Promise<Uint8Array | null> => {
  const answer = await fetch(`${url}/i/film.mp4/${path}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  seen[answer.status] = (seen[answer.status] ?? 0) + 1;
  assert.ok(ALLOWED.has(answer.status), `${path}: ${answer.status} ${Buffer.from(bytes)}`);
  return answer.status === 200 ? bytes : null;
};

/** All that one playlist names: what is served of it is of one film. */
const play = async (watched: Watched): Promise<void> => {
  const list = await ask(watched, "index_0_av.m3u8");
  const names = list
    ? (Buffer.from(list)
        .toString()
        .match(/^segment\d+_0_av\.ts\?v=\w+$/gm) ?? [])
    : [];
  const films = new Set<number>();
  for (const name of names) {
    const bytes = await ask(watched, name);
    if (!bytes) continue;
    const leaf = name.replace(/\?.*/, "");
    const film = watched.truths.findIndex(({ digests }) => digests.get(leaf) === digestOf(bytes));
    assert.notEqual(film, -1, `${name}: bytes that nobody wrote`);
    films.add(film);
  }
  assert.ok(films.size <= 1, `a playlist of films ${[...films].join(" and ")}`);
};

const watchWhile = async (t: TestContext, replace: Replace): Promise<Readonly<Record<number, number>>> => {
  const contents = await stampedFilms(t, 3);
  const truths = await truthsOf(contents);
  const folder = await tempDir(t);
  const file = join(folder, "film.mp4");
  const { int } = seeded(3);
  const next = (): void => replace(file, contents[int(contents.length)] ?? assert.fail());
  next();
  const { url } = await startTestPackager(t, { folder, env: SAME });
  const watched = { url, truths, seen: {} };
  const timer = setInterval(next, 15);
  const viewer = async (): Promise<void> => {
    for (let plays = 0; plays < PLAY_COUNT; plays += 1) await play(watched);
  };
  await Promise.all(Array.from({ length: VIEWER_COUNT }, viewer)).finally(() => clearInterval(timer));
  t.diagnostic(JSON.stringify(watched.seen));
  return watched.seen;
};

test("of a film that is replaced all the time a playlist's segments are of one version, or gone", async (t) => {
  const seen = await watchWhile(t, byRename);
  assert.deepEqual(
    Object.keys(seen).filter((status) => !["200", "404", "503"].includes(status)),
    [],
  );
  assert.ok((seen[200] ?? 0) > 0 && (seen[404] ?? 0) > 0);
});

test("of a film that is written over in place nothing is served that was read while it was written", async (t) => {
  const seen = await watchWhile(t, inPlace);
  assert.ok((seen[200] ?? 0) > 0);
});

/** Imports from a bucket, whose objects are files of a folder here. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Sources } from "../../actors/upload/sources.ts";
import { openStaging } from "../../actors/upload/staging.ts";
import { Uploads } from "../../actors/upload/uploads.ts";
import { importBucket } from "../../contracts/upload.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import { openSource } from "../../lib/source/open.ts";
import { makeScene } from "./upload.fixture.ts";

const BYTES_MAX = 1_000;

/** A bucket with these keys, and its imports. */
const makeBucket = async (t: TestContext, keys: Readonly<Record<string, number>>) => {
  const { db, dataDir, tenant } = await makeScene(t);
  const root = path.join(dataDir, "bucket");
  for (const [key, sizeBytes] of Object.entries(keys)) {
    await mkdir(path.join(root, path.dirname(key)), { recursive: true });
    await writeFile(path.join(root, key), Buffer.alloc(sizeBytes, 1));
  }
  const log = quietLog;
  const place = { kind: "filesystem", root: path.join(dataDir, "objects"), bucketPrefix: "plexbd" } as const;
  const objects = await openObjects(place, { log });
  t.after(() => objects.close());
  const staging = openStaging(objects, path.join(dataDir, "objects/.uploads"));
  const mustBeTitle = async (): Promise<void> => {};
  const uploads = new Uploads({ db, objects, staging, bytesMax: BYTES_MAX, quotaBytes: null, mustBeTitle });
  const openBucket = () => openSource({ kind: "filesystem", root }, { log });
  const sources = new Sources({ db, uploads, allowPrivateSources: [], openBucket });
  const ask = async (more: object = {}) => {
    const { data } = await sources.importFrom(tenant, importBucket.input.parse({ bucket: "films", ...more }));
    return { isTruncated: data.isTruncated, objects: data.objects.map(({ uploadId: _, ...found }) => found) };
  };
  const end = (key: string, state: string, error: string | null) =>
    db.asOwner("update upload set state = $2, error = $3 where origin ->> 'key' = $1", [key, state, error]);
  return { ask, end };
};

const fresh = (key: string, sizeBytes = 5) => ({ key, sizeBytes, isKnown: false, reason: null });
const known = (key: string, reason: string | null = null) => ({ key, sizeBytes: 5, isKnown: true, reason });
const TOO_LARGE = "it is larger than an upload may be";

test("each call of an import takes the next films, until there are no more", async (t) => {
  const { ask } = await makeBucket(t, { "a.mp4": 5, "b.mp4": 5, "c/d.mp4": 5, "c/notes.txt": 5, "c/e.mkv": 5 });
  assert.deepEqual(await ask({ limit: 2 }), { isTruncated: true, objects: [fresh("a.mp4"), fresh("b.mp4")] });
  assert.deepEqual(await ask({ limit: 2 }), { isTruncated: false, objects: [fresh("c/d.mp4"), fresh("c/e.mkv")] });
  assert.deepEqual(await ask({ limit: 2 }), { isTruncated: false, objects: [] });
});

test("of several imports at once each film is taken by one", async (t) => {
  const keys = Array.from({ length: 20 }, (_, at) => `${String(at).padStart(2, "0")}.mp4`);
  const { ask, end } = await makeBucket(t, Object.fromEntries(keys.map((key) => [key, 5])));
  const answers = await Promise.all([ask(), ask(), ask()]);
  assert.deepEqual(answers.flatMap(({ objects }) => objects.map(({ key }) => key)).toSorted(), keys);
  // What failed since then is taken anew, once more.
  await end("07.mp4", "failed", "The server is away.");
  const again = await Promise.all([ask(), ask()]);
  assert.deepEqual(
    again.flatMap(({ objects }) => objects),
    [fresh("07.mp4")],
  );
});

test("a dry run tells of no more objects than it was asked for, the new ones first", async (t) => {
  const { ask } = await makeBucket(t, { "a.mp4": 5, "b.mp4": 5, "c.mp4": 5, "d.mp4": 5, "e.mp4": 5 });
  await ask({ limit: 2 });
  const dry = { dryRun: true };
  assert.deepEqual(await ask({ ...dry, limit: 1 }), { isTruncated: true, objects: [fresh("c.mp4")] });
  const four = [fresh("c.mp4"), fresh("d.mp4"), fresh("e.mp4"), known("a.mp4")];
  assert.deepEqual(await ask({ ...dry, limit: 4 }), { isTruncated: false, objects: four });
});

test("a film that is too large is told of, and keeps none of the others away", async (t) => {
  const { ask } = await makeBucket(t, { "a.mp4": BYTES_MAX + 1, "b.mp4": BYTES_MAX, "c.mp4": 5 });
  const large = { ...fresh("a.mp4", BYTES_MAX + 1), reason: TOO_LARGE };
  const objects = [fresh("b.mp4", BYTES_MAX), fresh("c.mp4"), large];
  assert.deepEqual(await ask(), { isTruncated: false, objects });
  assert.deepEqual(await ask(), { isTruncated: false, objects: [large] });
});

test("a file that was refused is told of, and not fetched again; one that failed is", async (t) => {
  const { ask, end } = await makeBucket(t, { "a.mp4": 5, "b.mp4": 5, "c.mp4": 5 });
  await ask();
  await end("a.mp4", "refused", "It is a text.");
  await end("b.mp4", "failed", "The server is away.");
  const objects = [fresh("b.mp4"), known("a.mp4", "It is a text.")];
  assert.deepEqual(await ask({ limit: 2 }), { isTruncated: false, objects });
});

test("a prefix of more folders than an import looks through is refused, and not taken for read", async (t) => {
  const keys = Array.from({ length: 1_000 }, (_, at) => [`shows/${at}/film.mp4`, 5] as const);
  const { ask } = await makeBucket(t, { ...Object.fromEntries(keys), "other/film.mp4": 5 });
  const message = "has more than 1000 folders below it: name one of them";
  await assert.rejects(ask({ prefix: "/shows/", dryRun: true }), {
    code: "BAD_INPUT",
    data: { errors: [{ path: "prefix", message }] },
  });
  assert.deepEqual(await ask({ prefix: "/other/" }), { isTruncated: false, objects: [fresh("other/film.mp4")] });
});

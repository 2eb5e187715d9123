/** What is removed of a title once a newer revision of it is whole. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ffmpeg, startScene } from "./transcoder.fixture.ts";

test("pictures of an older revision stay until there are new ones, also where those fail", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-tidy-"));
  t.after(() => rm(dir, { recursive: true }));
  const film = join(dir, "film.mp4");
  const input = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4"];
  await ffmpeg(...input, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", film);
  const scene = await startScene(t, { partsKeptMs: 0 });
  const titleId = await scene.attach(film);
  /** Whether the set of this revision has its storyboard. */
  const hasPictures = async (revision: number) => {
    const set = await scene.set(titleId);
    return set?.revision === revision && set.storyboardPath !== null ? set.storyboardPath : undefined;
  };
  const storyboard = await scene.until(() => hasPictures(1), "the first pictures");
  const pictures = async () => [
    ...(await scene.keys("thumbnails", `${titleId}/r`)),
    ...(await scene.keys("trailers", `${titleId}/r`)),
  ];
  const first = await pictures();
  assert.ok(first.includes(storyboard));

  // An object in the place of their folder: no picture of the second revision can be put.
  const inTheWay = `${titleId}/r2`;
  await scene.objects.put({ bucket: "thumbnails", key: inTheWay }, Buffer.from("in the way"));
  await scene.attach(film, { titleId, revision: 2 });
  const jobOf = async (kind: string, revision: number, state: string) => {
    const sql = `select from job where kind = $1 and state = $2
      and (payload ->> 'titleId') = $3 and (payload ->> 'revision')::int = $4`;
    return (await scene.db.asOwner(sql, [kind, state, titleId, revision])).rowCount > 0 || undefined;
  };
  await scene.until(() => jobOf("transcode.pictures", 2, "dead"), "pictures that fail");
  await scene.until(() => jobOf("transcode.tidy", 2, "done"), "the older revision to be tidied");
  assert.deepEqual(await scene.keys("segments", `${titleId}/r1/`), []);
  assert.deepEqual((await pictures()).toSorted(), [...first, inTheWay].toSorted());

  await scene.attach(film, { titleId, revision: 3 });
  await scene.until(() => hasPictures(3), "the third pictures");
  const isNewAlone = async () => {
    const left = await pictures();
    return left.every((key) => key === inTheWay || key.startsWith(`${titleId}/r3/`)) || undefined;
  };
  await scene.until(isNewAlone, "the old pictures to go");
  assert.equal((await pictures()).length, first.length + 1);
});

import assert from "node:assert/strict";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type ArchivedObject, s3ArchiveStandIn } from "../../test/support/s3-archive.ts";
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { S3Restore } from "./settings.ts";
import { bytesOf, readAll, tempDir } from "./suite-stage.ts";

const KEY = "/films/old/a.mp4";

const begin = async (t: TestContext, restore: S3Restore | null, storageClass: ArchivedObject["storageClass"]) => {
  const s3 = await s3ArchiveStandIn(t);
  const object: ArchivedObject = { body: bytesOf(1, 200_000), storageClass, state: "frozen" };
  s3.objects.set(KEY, object);
  const time = { nowMs: 1_800_000_000_000 };
  const source = await openSource(
    {
      kind: "s3",
      bucket: "films",
      endpoint: s3.endpoint,
      region: "eu-central-1",
      prefix: "old",
      credentials: { accessKeyId: "key", secretAccessKey: "s3cret" },
      restore,
    },
    { log: quietLog, clock: { nowMs: () => time.nowMs } },
  );
  t.after(() => source.close());
  const archived = (retryAfterSeconds: number) =>
    assert.rejects(source.open("a.mp4"), { code: "SOURCE_ARCHIVED", data: { path: "a.mp4", retryAfterSeconds } });
  return { s3, object, source, time, archived };
};

test("an archived object is asked back once, and is read when it is there", async (t) => {
  const { s3, object, source, time, archived } = await begin(t, { tier: "Expedited", days: 3 }, "GLACIER");
  assert.equal((await source.stat("a.mp4")).sizeBytes, 200_000, "its size is known all the while");
  await archived(60);
  assert.match(
    s3.restores.join(),
    /<Days>3<\/Days><GlacierJobParameters><Tier>Expedited<\/Tier><\/GlacierJobParameters>/,
  );
  time.nowMs += 31_000;
  await archived(60);
  object.state = "restored";
  await archived(60); // it was looked at a moment ago
  time.nowMs += 31_000;
  const opened = await source.open("a.mp4");
  assert.ok(object.body.equals(await readAll(opened)));
  const file = join(await tempDir(t), "f");
  assert.equal((await source.fetchTo("a.mp4", file)).sizeBytes, 200_000);
  assert.equal(s3.restores.length, 1);
});

test("a hundred viewers of an archived object cost the store a handful of requests", async (t) => {
  const { s3, archived } = await begin(t, { tier: "Standard", days: 1 }, "DEEP_ARCHIVE");
  await archived(900);
  const before = s3.asked.length;
  await Promise.all(Array.from({ length: 100 }, () => archived(900)));
  assert.deepEqual(s3.asked.slice(before), []);
  assert.deepEqual(s3.asked, [`GET ${KEY}`, `HEAD ${KEY}`, `RESTORE ${KEY}`]);
});

test("an object that tiered itself down is asked back without a number of days", async (t) => {
  const { s3, object, source, time, archived } = await begin(t, { tier: "Bulk", days: 1 }, "INTELLIGENT_TIERING");
  await archived(3600);
  assert.equal(s3.restores.length, 1);
  object.state = "restored";
  time.nowMs += 31_000;
  assert.ok(object.body.equals(await readAll(await source.open("a.mp4"))));
});

test("where nobody restores, an archived object stays so and its viewers are told when to ask again", async (t) => {
  const { s3, archived } = await begin(t, null, "GLACIER");
  await archived(3600);
  assert.deepEqual(s3.asked, [`GET ${KEY}`, `HEAD ${KEY}`]);
});

test("a restoration that is refused or already under way changes nothing for the viewer", async (t) => {
  const refusals = [
    { status: 409, code: "RestoreAlreadyInProgress" },
    { status: 503, code: "GlacierExpeditedRetrievalNotAvailable" },
    { status: 403, code: "AccessDenied" },
  ];
  for (const refusal of refusals) {
    const { s3, archived } = await begin(t, { tier: "Expedited", days: 1 }, "GLACIER");
    s3.refusal = refusal;
    await archived(60);
  }
});

test("an object that goes to the archive while it is open is archived at the next range", async (t) => {
  const { object, source } = await begin(t, { tier: "Expedited", days: 1 }, "GLACIER");
  object.state = "restored";
  const opened = await source.open("a.mp4");
  object.state = "frozen";
  await assert.rejects(opened.readRange(100_000, new Uint8Array(10)), { code: "SOURCE_ARCHIVED" });
});

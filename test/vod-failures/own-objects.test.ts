/** What a source of the object store says of a store that is away. */
import assert from "node:assert/strict";
import test from "node:test";
import { readingOwn, type Work } from "../../actors/transcoder/work.ts";
import { Fault, fail } from "../../contracts/errors.ts";

const NAME = { bucket: "segments", key: "a/r1/chunks/480p/0-1.mp4" } as const;

/** All of a transcoder's tools that is used of it. */
const withHead = (head: () => Promise<object | null>): Work => ({ objects: { head } }) as unknown as Work;

const reading = (head: () => Promise<object | null>, error: unknown): Promise<never> =>
  readingOwn(withHead(head), [NAME], () => Promise.reject(error));

test("a chunk that is not found, or breaks off, in a store that is away or was so is waited for", async () => {
  const away = async () => fail("OBJECT_STORE_DOWN");
  for (const code of ["SOURCE_NOT_FOUND", "SOURCE_FAILED", "SOURCE_TIMEOUT"] as const) {
    const error = new Fault(code, { path: NAME.key });
    await assert.rejects(reading(away, error), { code: "OBJECT_STORE_DOWN" });
    await assert.rejects(
      reading(async () => ({}), error),
      { code: "OBJECT_STORE_DOWN" },
    );
  }
});

test("a chunk that is gone for good, and what is no source's fault, stay what they are", async () => {
  const gone = new Fault("SOURCE_NOT_FOUND", { path: NAME.key });
  await assert.rejects(
    reading(async () => null, gone),
    { code: "SOURCE_NOT_FOUND" },
  );
  await assert.rejects(
    reading(async () => null, new Fault("JOB_FENCED")),
    { code: "JOB_FENCED" },
  );
});

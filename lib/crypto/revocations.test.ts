import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { REVOCATION_BYTES, type Revocation, Revocations, revocationBytes, revocationsIn } from "./revocations.ts";

const NOW_SECONDS = 1_900_000_000;
const NOW_MS = NOW_SECONDS * 1_000;
/** As the bytes have it. */
const uuid = (): string => randomUUID().replaceAll("-", "");
const session = (untilSeconds: number, id = uuid()): Revocation => {
  return { kind: "session", id, beforeSeconds: NOW_SECONDS, untilSeconds };
};
const title = (beforeSeconds: number, untilSeconds: number, id: string): Revocation => {
  return { kind: "title", id, beforeSeconds, untilSeconds };
};
const known = (...all: readonly Revocation[]): Revocations => {
  const revocations = new Revocations();
  revocations.add(revocationBytes(all), NOW_MS);
  return revocations;
};

test("entries come back from their bytes, and what a newer node made or is cut short is left out", () => {
  const all = [session(NOW_SECONDS + 1), title(7, 2 ** 32 - 1, uuid())];
  const bytes = revocationBytes(all);
  assert.equal(bytes.length, 2 * REVOCATION_BYTES);
  assert.deepEqual([...revocationsIn(bytes)], all);
  const newer = Buffer.from(bytes);
  newer[0] = 9;
  assert.deepEqual([...revocationsIn(newer)], all.slice(1));
  assert.deepEqual([...revocationsIn(bytes.subarray(0, -1))], all.slice(0, 1));
});

test("each is known until the last token that it concerns has expired, and is gone a minute later", () => {
  const [soon, late] = [session(NOW_SECONDS + 10), session(NOW_SECONDS + 1_000)];
  const revocations = known(soon, late, session(NOW_SECONDS - 61));
  assert.equal(revocations.count, 2, "what is over is not taken in");
  assert.deepEqual(
    [soon, late].map(({ id }) => revocations.hasSession(id)),
    [true, true],
  );
  revocations.add(Buffer.alloc(0), NOW_MS + 69_000);
  assert.deepEqual(
    [soon, late].map(({ id }) => revocations.hasSession(id)),
    [true, true],
  );
  revocations.add(Buffer.alloc(0), NOW_MS + 130_000);
  assert.deepEqual(
    [soon, late].map(({ id }) => revocations.hasSession(id)),
    [false, true],
  );
  assert.equal(revocations.count, 1);
});

test("what is told twice, in whatever order, is known once and by its later times", () => {
  const id = uuid();
  const [one, other] = [title(100, NOW_SECONDS + 50, id), title(200, NOW_SECONDS + 40, id)];
  for (const order of [
    [one, other],
    [other, one],
  ]) {
    const revocations = known(...order);
    assert.equal(revocations.count, 1);
    assert.deepEqual([...revocationsIn(revocations.bytes())], [title(200, NOW_SECONDS + 50, id)]);
    assert.equal(revocations.titleEndedSeconds(id), 200);
  }
  assert.equal(known(one).titleEndedSeconds(randomUUID()), 0);
  assert.equal(
    known({ ...one, id: "0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee" }).titleEndedSeconds(
      "0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee",
    ),
    100,
  );
});

test("all of it as bytes makes another one equal", () => {
  const all = [session(NOW_SECONDS + 1), session(NOW_SECONDS + 2), title(5, NOW_SECONDS + 3, uuid())];
  const copy = new Revocations();
  copy.add(known(...all).bytes(), NOW_MS);
  assert.deepEqual(copy.bytes(), known(...all).bytes());
});

import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { CipherThreads } from "./cipher-threads.ts";

const KEY = Buffer.from("0123456789abcdef0123456789abcdef", "hex");
const AREA_BYTES = 300_000;

const decrypted = (bytes: Buffer, iv: Buffer): Buffer => {
  const decipher = createDecipheriv("aes-128-cbc", KEY, iv);
  return Buffer.concat([decipher.update(bytes), decipher.final()]);
};

test("segments side by side are encrypted where they lie, and nothing beside them is touched", async (t) => {
  const random = seeded(7);
  const buffer = Buffer.from(new SharedArrayBuffer(20 * AREA_BYTES));
  buffer.fill(0xaa);
  const threads = new CipherThreads(buffer.buffer as unknown as SharedArrayBuffer);
  t.after(() => threads.stop());
  const segments = Array.from({ length: 20 }, (_, index) => {
    const at = index * AREA_BYTES;
    const length = random.int(AREA_BYTES - 16);
    for (let byte = at; byte < at + length; byte += 1) buffer[byte] = random.int(256);
    const iv = Buffer.alloc(16, index);
    return { at, iv, clear: Buffer.from(buffer.subarray(at, at + length)) };
  });
  const ends = await Promise.all(
    segments.map(({ at, iv, clear }) => threads.encrypt({ key: KEY, iv }, { at, end: at + clear.length })),
  );
  for (const [index, { at, iv, clear }] of segments.entries()) {
    const end = ends[index] ?? 0;
    assert.deepEqual(decrypted(buffer.subarray(at, end), iv), clear);
    assert.ok(buffer.subarray(end, at + AREA_BYTES).every((byte) => byte === 0xaa));
  }
});

test("a segment without room for its padding is a bug that is told, and the next one is encrypted", async (t) => {
  const memory = new SharedArrayBuffer(32);
  const threads = new CipherThreads(memory);
  t.after(() => threads.stop());
  const iv = Buffer.alloc(16);
  await assert.rejects(threads.encrypt({ key: KEY, iv }, { at: 0, end: 32 }), /without room/);
  assert.equal(await threads.encrypt({ key: KEY, iv }, { at: 0, end: 15 }), 16);
  assert.deepEqual(decrypted(Buffer.from(memory).subarray(0, 16), iv), Buffer.alloc(15));
});

test("what is asked of stopped threads, or under way when they stop, is not encrypted, and nobody waits", async () => {
  const threads = new CipherThreads(new SharedArrayBuffer(32 * 2 ** 20));
  const segment = { at: 0, end: 31 * 2 ** 20 };
  const key = { key: KEY, iv: Buffer.alloc(16) };
  const underWay = threads.encrypt(key, segment);
  await threads.stop();
  assert.equal(await underWay, null);
  assert.equal(await threads.encrypt(key, segment), null);
});

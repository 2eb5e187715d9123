import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { type Log, quietLog } from "../log/log.ts";
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
  const threads = new CipherThreads(buffer.buffer as unknown as SharedArrayBuffer, { log: quietLog });
  t.after(() => threads.stop());
  const segments = Array.from({ length: 20 }, (_, index) => {
    const at = index * AREA_BYTES;
    const length = random.int(AREA_BYTES - 16);
    for (let byte = at; byte < at + length; byte += 1) buffer[byte] = random.int(256);
    const iv = Buffer.alloc(16, index);
    return { at, iv, clear: Buffer.from(buffer.subarray(at, at + length)) };
  });
  const ends = await Promise.all(
    segments.map(({ at, iv, clear }) =>
      threads.encrypt({ key: KEY, iv }, { at, end: at + clear.length, isLast: true }),
    ),
  );
  for (const [index, { at, iv, clear }] of segments.entries()) {
    const end = ends[index] ?? 0;
    assert.deepEqual(decrypted(buffer.subarray(at, end), iv), clear);
    assert.ok(buffer.subarray(end, at + AREA_BYTES).every((byte) => byte === 0xaa));
  }
});

test("a segment without room for its padding is a bug that is told, and the next one is encrypted", async (t) => {
  const memory = new SharedArrayBuffer(32);
  const threads = new CipherThreads(memory, { log: quietLog });
  t.after(() => threads.stop());
  const iv = Buffer.alloc(16);
  await assert.rejects(threads.encrypt({ key: KEY, iv }, { at: 0, end: 32, isLast: true }), /without room/);
  assert.equal(await threads.encrypt({ key: KEY, iv }, { at: 0, end: 15, isLast: true }), 16);
  assert.deepEqual(decrypted(Buffer.from(memory).subarray(0, 16), iv), Buffer.alloc(15));
});

test("parts of whole blocks, each under the last block of the one before, are the segment", async (t) => {
  const buffer = Buffer.from(new SharedArrayBuffer(4_096));
  const threads = new CipherThreads(buffer.buffer as unknown as SharedArrayBuffer, { log: quietLog });
  t.after(() => threads.stop());
  const clear = Buffer.from(Uint8Array.from({ length: 3_000 }, (_, index) => index % 251));
  clear.copy(buffer);
  let iv: Buffer = Buffer.alloc(16, 5);
  for (const [at, end, isLast] of [
    [0, 160, false],
    [160, 1_600, false],
    [1_600, 3_000, true],
  ] as const) {
    const encryptedEnd = await threads.encrypt({ key: KEY, iv }, { at, end, isLast });
    assert.equal(encryptedEnd, isLast ? 3_008 : end);
    iv = Buffer.from(buffer.subarray(end - 16, end));
  }
  assert.deepEqual(decrypted(buffer.subarray(0, 3_008), Buffer.alloc(16, 5)), clear);
  await assert.rejects(threads.encrypt({ key: KEY, iv }, { at: 0, end: 17, isLast: false }), /bug/);
});

test("an error in a thread is told once, and others have its work", async () => {
  const errors: string[] = [];
  const log: Log = Object.assign(Object.create(quietLog), {
    error: (_fields: object, line: string) => void errors.push(line),
  });
  const threads = new CipherThreads(5 as never, { log }); // which no thread can use as memory;
  const orders = Array.from({ length: 50 }, () =>
    threads.encrypt({ key: KEY, iv: Buffer.alloc(16) }, { at: 0, end: 16, isLast: false }),
  );
  assert.deepEqual(new Set(await Promise.all(orders)), new Set([null]));
  assert.equal(threads.liveCount, 0);
  const told = errors.length;
  assert.ok(told >= 1 && told <= 4, `${told} lines`);
  assert.equal(await threads.encrypt({ key: KEY, iv: Buffer.alloc(16) }, { at: 0, end: 16, isLast: true }), null);
  assert.equal(errors.length, told, "none is started again at once");
  await threads.stop();
});

test("what is asked of stopped threads, or under way when they stop, is not encrypted, and nobody waits", async () => {
  const threads = new CipherThreads(new SharedArrayBuffer(32 * 2 ** 20), { log: quietLog });
  const segment = { at: 0, end: 31 * 2 ** 20, isLast: true };
  const key = { key: KEY, iv: Buffer.alloc(16) };
  const underWay = threads.encrypt(key, segment);
  await threads.stop();
  assert.equal(await underWay, null);
  assert.equal(await threads.encrypt(key, segment), null);
});

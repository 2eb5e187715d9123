import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { encryptedBytes, encryptSegment, SegmentCipher, WINDOW_HEADROOM_BYTES } from "./segment-cipher.ts";

const KEY = { key: Buffer.from("0123456789abcdef0123456789abcdef", "hex"), iv: Buffer.alloc(16, 3) };

const decrypted = (bytes: Buffer): Buffer => {
  const decipher = createDecipheriv("aes-128-cbc", KEY.key, KEY.iv);
  return Buffer.concat([decipher.update(bytes), decipher.final()]);
};
const randomBytes = (length: number, seed: number): Buffer => {
  const random = seeded(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random.int(256)));
};

test("the padding makes one to sixteen bytes more, as RFC 5652 says", () => {
  assert.deepEqual([0, 1, 15, 16, 17, 188 * 4].map(encryptedBytes), [16, 16, 16, 32, 32, 768]);
});

test("a segment is encrypted where it lies, of any length", () => {
  for (const length of [0, 1, 15, 16, 188, 65_535, 65_536, 65_537, 200_003]) {
    const clear = randomBytes(length, length);
    const buffer = Buffer.alloc(length + 5 + 16, 0xaa);
    clear.copy(buffer, 5);
    const end = encryptSegment(KEY, buffer, { at: 5, end: 5 + length });
    assert.equal(end, 5 + encryptedBytes(length));
    assert.deepEqual(decrypted(buffer.subarray(5, end)), clear);
    assert.ok(buffer.subarray(end).every((byte) => byte === 0xaa));
  }
});

test("a segment without room for its padding is refused before a byte of it changes", () => {
  const buffer = Buffer.alloc(31, 1);
  assert.throws(() => encryptSegment(KEY, buffer, { end: 16 }), /without room/);
  assert.ok(buffer.every((byte) => byte === 1));
});

for (const seed of [41, 42, 43]) {
  test(`windows of any size give the same bytes as the whole (seed ${seed})`, () => {
    const random = seeded(seed);
    for (let round = 0; round < 50; round += 1) {
      const clear = randomBytes(random.int(300_000), seed + round);
      const cipher = new SegmentCipher(KEY);
      const buffer = Buffer.alloc(WINDOW_HEADROOM_BYTES + 100_000);
      const pieces: Buffer[] = [];
      for (let at = 0; at < clear.length; ) {
        const bytes = Math.min(clear.length - at, random.int(random.int(2) === 0 ? 40 : 100_000));
        clear.copy(buffer, WINDOW_HEADROOM_BYTES, at, at + bytes);
        pieces.push(Buffer.from(cipher.update(buffer, WINDOW_HEADROOM_BYTES, WINDOW_HEADROOM_BYTES + bytes)));
        at += bytes;
      }
      const whole = Buffer.concat([...pieces, cipher.finish()]);
      assert.equal(whole.length, encryptedBytes(clear.length));
      assert.ok(decrypted(whole).equals(clear));
    }
  });
}

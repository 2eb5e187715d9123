import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { blockCountOf, blockSum } from "./block-sum.ts";

test("a block's sum changes with any bit, wherever it is and whatever the length", () => {
  for (const sizeBytes of [1, 100, 32_767, 32_768, 262_143, 262_144]) {
    const block = Buffer.from(Array.from({ length: sizeBytes }, (_, n) => (n * 7) % 256));
    const sum = blockSum(block);
    for (const at of [0, sizeBytes >> 1, sizeBytes - 1]) {
      const flipped = Buffer.from(block);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 0x10, at);
      assert.notEqual(blockSum(flipped), sum, `${at} of ${sizeBytes}`);
    }
    assert.equal(blockSum(Buffer.from(block)), sum);
  }
});

test("the sums are part of the format: CRC-32 below 32 KiB, GMAC's first word from there", () => {
  assert.equal(blockSum(Buffer.from("123456789")), 0xcbf43926); // the check value of CRC-32/ISO-HDLC
  assert.equal(blockSum(Buffer.alloc(32_767)), crc32(Buffer.alloc(32_767)));
  assert.equal(blockSum(Buffer.alloc(32_768, 1)), 0x2721cb88); // an upgrade of OpenSSL must not change it
  assert.deepEqual([0, 1, 262_144, 262_145].map(blockCountOf), [0, 1, 1, 2]);
});

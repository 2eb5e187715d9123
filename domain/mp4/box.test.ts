import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { BOX_BYTES_MAX, BoxReader } from "./box.ts";

const boxOf = (type: string, contents: Buffer): Buffer => {
  const box = Buffer.alloc(8 + contents.length);
  box.writeUInt32BE(box.length, 0);
  box.write(type, 4, "latin1");
  contents.copy(box, 8);
  return box;
};
const header = (size: number, type = "mdat"): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(size, 0);
  bytes.write(type, 4, "latin1");
  return bytes;
};

for (const seed of [1, 2, 3, 4, 5]) {
  test(`boxes come out whole and in order, however the stream is cut (seed ${seed})`, () => {
    const random = seeded(seed);
    const boxes = Array.from({ length: 200 }, (_, i) => {
      const contents = Buffer.alloc(random.int(random.int(10) === 0 ? 5_000 : 40), i);
      return boxOf(["moof", "mdat", "free"][i % 3] ?? "free", contents);
    });
    const stream = Buffer.concat(boxes);
    const seen: [string, string][] = [];
    const reader = new BoxReader((type, box) => seen.push([type, box.toString("base64")]));
    for (let at = 0; at < stream.length; ) {
      const size = 1 + random.int(random.int(4) === 0 ? 8_000 : 12);
      reader.push(stream.subarray(at, at + size));
      at += size;
    }
    assert.deepEqual(
      seen,
      boxes.map((box) => [box.toString("latin1", 4, 8), box.toString("base64")]),
    );
  });
}

test("a box that lies in one chunk is a view into it", () => {
  const chunk = Buffer.concat([boxOf("moof", Buffer.alloc(10)), boxOf("mdat", Buffer.alloc(100))]);
  const seen: Buffer[] = [];
  new BoxReader((_, box) => seen.push(box)).push(chunk);
  assert.deepEqual(
    seen.map(({ buffer, byteOffset }) => [buffer === chunk.buffer, byteOffset - chunk.byteOffset]),
    [
      [true, 0],
      [true, 18],
    ],
  );
});

test("sizes that no live encoder writes are refused with the reason", () => {
  const refusals: [Buffer, RegExp][] = [
    [header(1), /a box with a 64-bit size, on a live pipe/],
    [header(0), /a box that runs to the end of the file, on a live pipe/],
    [header(7), /a box of 7 bytes: 8 to 67108864 are taken/],
    [header(BOX_BYTES_MAX + 1), /a box of 67108865 bytes/],
    [header(0xffffffff), /a box of 4294967295 bytes/],
  ];
  for (const [bytes, message] of refusals) {
    assert.throws(() => new BoxReader(() => {}).push(bytes), message);
    const reader = new BoxReader(() => {});
    reader.push(bytes.subarray(0, 5));
    assert.throws(() => reader.push(bytes.subarray(5)), message);
  }
});

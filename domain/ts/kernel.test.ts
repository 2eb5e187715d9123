import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { assembleKernel } from "../../tools/ts-kernel.ts";
import { KERNEL_BASE64, SHARED_KERNEL_BASE64 } from "./kernel-bytes.ts";
import { Areas, type KernelKind, TsMemory } from "./memory.ts";

const layout = { sourceCount: 1, sourceBytes: 65_536, slotCount: 2, slotBytes: 65_536 } as const;

test("the bytes that run are those of the text", async () => {
  const [own, shared] = [await assembleKernel({ isShared: false }), await assembleKernel({ isShared: true })];
  assert.equal(KERNEL_BASE64, own.toString("base64"), "run: node tools/ts-kernel.ts");
  assert.equal(SHARED_KERNEL_BASE64, shared.toString("base64"), "run: node tools/ts-kernel.ts");
});

test("all kernels write the same bytes, wherever payload and packets lie", () => {
  const made = (kernel: KernelKind, isShared: boolean) => new TsMemory({ ...layout, kernel, isShared });
  const simd = made("simd", false);
  const others = [made("plain", false), made("simd", true), made("plain", true)];
  const random = seeded(4);
  for (let at = 0; at < simd.bytes.length; at += 1) simd.bytes[at] = random.int(256);
  for (const { bytes } of others) bytes.set(simd.bytes);
  for (let round = 0; round < 200; round += 1) {
    const count = random.int(300);
    const source = random.int(65_536 - count * 184);
    const target = 65_536 + random.int(65_536 - count * 188);
    const counter = random.int(64);
    const header = 0x47 | (random.int(0x10000) << 8);
    const next = [simd, ...others].map(({ packets }) => packets(source, target, count, header, counter));
    assert.deepEqual(next, Array(4).fill(counter + count));
    for (const { bytes } of others) assert.ok(simd.bytes.equals(bytes), `round ${round}`);
    if (count > 0) {
      const packet = simd.bytes.subarray(target, target + 188);
      assert.equal(packet.readUInt32LE(0), (header | ((0x10 | (counter & 15)) << 24)) >>> 0);
      assert.ok(packet.subarray(4).equals(simd.bytes.subarray(source, source + 184)));
    }
  }
});

test("an area that was given back last is taken first, and none is given twice", () => {
  const areas = new Areas(1000, 10, 3);
  assert.deepEqual([areas.take(), areas.take(), areas.take(), areas.take()], [1000, 1010, 1020, null]);
  areas.give(1010);
  areas.give(1000);
  assert.equal(areas.freeCount, 2);
  assert.throws(() => areas.give(1000), /bug: the area at 1000 is not taken/);
  assert.equal(areas.take(), 1000);
});

test("areas begin at multiples of 16 and don't overlap", () => {
  const memory = new TsMemory({ sourceCount: 2, sourceBytes: 1001, slotCount: 2, slotBytes: 999 });
  assert.deepEqual(
    [memory.sources.take(), memory.sources.take(), memory.slots.take(), memory.slots.take()],
    [0, 1008, 2016, 3024],
  );
});

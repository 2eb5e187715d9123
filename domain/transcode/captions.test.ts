import assert from "node:assert/strict";
import { test } from "node:test";
import { CaptionReader } from "./captions.ts";

type Pair = readonly [field: 1 | 2, first: number, second: number];

const odd = (value: number): number => (value.toString(2).replaceAll("0", "").length % 2 === 1 ? value : value | 0x80);
/** As ffmpeg writes it: a block for each picture. */
const rcwt = (...blocks: readonly (readonly [timeMs: number, ...pairs: readonly Pair[]])[]): Buffer => {
  const parts = blocks.map(([timeMs, ...pairs]) => {
    const head = Buffer.alloc(10);
    head.writeBigInt64LE(BigInt(timeMs));
    head.writeUInt16LE(pairs.length, 8);
    return Buffer.concat([head, ...pairs.map(([field, a, b]) => Buffer.from([0xfb + field, odd(a), odd(b)]))]);
  });
  return Buffer.concat([Buffer.from("ccccedff00600001000000", "hex"), ...parts]);
};
const filesOf = (bytes: Buffer, pieceBytes = bytes.length): Record<string, string> => {
  const reader = new CaptionReader();
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes));
  return Object.fromEntries(reader.files());
};
const scc = (...lines: readonly string[]): string =>
  `Scenarist_SCC V1.0\n\n${lines.map((line) => `${line}\n\n`).join("")}`;

const [H, I] = [0x48, 0x49];

test("each channel of both fields is a file of its own, with the commands of the first", () => {
  const bytes = rcwt(
    [0, [1, 0x14, 0x20], [2, 0x15, 0x20]],
    [33, [1, 0x14, 0x70], [2, 0x1d, 0x20]],
    [66, [1, H, I], [2, I, H]],
    [100, [1, 0x1c, 0x20], [2, 0x15, 0x2f]],
    [3_661_500, [1, I, I], [2, H, H]],
  );
  const files = {
    CC1: scc("00:00:00:00\t9420", "00:00:00:01\t9470", "00:00:00:02\tc849"),
    CC2: scc("00:00:00:03\t9420", "01:01:01:15\t4949"),
    CC3: scc("00:00:00:00\t9420", "00:00:00:03\t942f", "01:01:01:15\tc8c8"),
    CC4: scc("00:00:00:01\t9420", "00:00:00:02\t49c8"),
  };
  assert.deepEqual(filesOf(bytes), files);
  for (const pieceBytes of [1, 7, 16]) assert.deepEqual(filesOf(bytes, pieceBytes), files, `${pieceBytes} bytes`);
});

test("rows and styles keep their codes in the second channel and field", () => {
  const bytes = rcwt([0, [1, 0x1c, 0x25], [1, 0x19, 0x40], [1, 0x1f, 0x21], [2, 0x15, 0x25], [2, 0x15, 0x40]]);
  assert.deepEqual(filesOf(bytes), {
    CC2: scc("00:00:00:00\t9425 9140 97a1"),
    CC3: scc("00:00:00:00\t9425 1540"),
  });
});

test("data about the programme, pages of text, silence and damaged bytes are no captions", () => {
  const bytes = rcwt(
    [0, [2, 0x15, 0x29], [2, 0x01, 0x03], [2, H, I], [2, 0x0f, 0x1d], [2, I, I]],
    [33, [2, 0x01, 0x03], [2, H, H], [2, 0x15, 0x2c], [2, H, I]],
    [66, [1, 0x14, 0x2a], [1, H, I], [1, 0x14, 0x29], [1, I, I]],
    [100, [1, 0, 0], [2, 0, 0]],
  );
  assert.deepEqual(filesOf(bytes), {
    CC1: scc("00:00:00:02\t9429 4949"),
    CC3: scc("00:00:00:00\t9429 4949", "00:00:00:01\t942c c849"),
  });
  /** The byte so many from the end has its parity wrong. */
  const damaged = (fromEnd: number, ...pairs: readonly Pair[]): Buffer => {
    const all = rcwt([0, [1, 0x14, 0x20], ...pairs]);
    all[all.length - fromEnd]! ^= 0x80;
    return all;
  };
  assert.deepEqual(filesOf(damaged(2, [1, H, I])), { CC1: scc("00:00:00:00\t9420") });
  assert.deepEqual(filesOf(damaged(1, [1, H, I])), { CC1: scc("00:00:00:00\t9420 c87f") });
  assert.deepEqual(filesOf(damaged(1, [1, 0x14, 0x70])), { CC1: scc("00:00:00:00\t9420") });
});

test("what is not of analogue television, comes before the beginning or breaks off is left out", () => {
  const digital = rcwt([0, [1, 0x14, 0x20]], [33, [1, H, I]]);
  digital[digital.length - 3] = 0xff; // a packet of CEA-708 begins
  assert.deepEqual(filesOf(digital), { CC1: scc("00:00:00:00\t9420") });
  assert.deepEqual(filesOf(rcwt([-40, [1, 0x14, 0x20]])), {});
  assert.deepEqual(filesOf(rcwt([0, [1, 0x14, 0x20]], [33, [1, H, I]]).subarray(0, -1)), {
    CC1: scc("00:00:00:00\t9420"),
  });
  assert.deepEqual(filesOf(Buffer.alloc(0)), {});
});

test("a channel that never ends is cut off", () => {
  const reader = new CaptionReader();
  const block = rcwt([0, [1, 0x14, 0x20], ...Array<Pair>(60_000).fill([1, H, I])]).subarray(11);
  reader.push(rcwt());
  for (let time = 0; time < 120; time += 1) {
    block.writeBigInt64LE(BigInt(time * 1_000));
    reader.push(block);
  }
  const text = reader.files().get("CC1") ?? "";
  assert.ok(text.length > 31 * 2 ** 20 && text.length < 33 * 2 ** 20, `${text.length} characters of 36 million`);
  assert.match(text, / c849\n\n$/);
});

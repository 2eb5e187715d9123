import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, u32 } from "../../test/media/boxes.ts";
import { type BoxView, boxesIn } from "./box-view.ts";
import { editShift } from "./edit-list.ts";
import { MovieError } from "./movie.ts";

type Edit = readonly [duration: number, mediaTime: number];
const viewOf = (box: Buffer): BoxView => boxesIn(box, 0, "test")[0] ?? assert.fail();
const narrow = (...edits: readonly Edit[]): BoxView =>
  viewOf(boxOf("elst", u32(0, edits.length, ...edits.flatMap((edit) => [...edit, 0x10000]))));
const high = (value: number): number => Math.floor(value / 2 ** 32);
const wide = (...edits: readonly Edit[]): BoxView =>
  viewOf(boxOf("elst", u32(0x100_0000, edits.length, ...edits.flatMap(([d, m]) => [high(d), d, high(m), m, 0x10000]))));
const scales = { movie: 1000, track: 48_000 };

test("a media time moves a track forward, an empty edit back, in both versions of the box", () => {
  for (const elst of [narrow, wide]) {
    assert.equal(editShift(elst([8000, 1024]), scales), -1024);
    assert.equal(editShift(elst([500, -1], [8000, 1024]), scales), 24_000 - 1024);
    assert.equal(editShift(elst([500, -1], [250, -1], [8000, 0]), scales), 36_000);
    assert.equal(editShift(elst([500, -1]), scales), 24_000);
    assert.equal(editShift(elst(), scales), 0);
  }
  assert.equal(editShift(undefined, scales), 0);
  assert.equal(editShift(wide([0, 2 ** 40]), scales), -(2 ** 40));
});

test("what follows the first real edit changes nothing: all samples are kept", () => {
  assert.equal(editShift(narrow([4000, 1024], [1000, -1], [4000, 200_000]), scales), -1024);
});

test("an empty edit is rounded to the track's timescale", () => {
  assert.equal(editShift(narrow([1, -1], [1, 0]), { movie: 600, track: 44_100 }), 74); // 73.5
});

test("edits that can't be are damage", () => {
  const damaged = (elst: BoxView, reason: RegExp, movie = 1000) =>
    assert.throws(
      () => editShift(elst, { movie, track: 48_000 }),
      (error) => error instanceof MovieError && error.problem === "damaged" && reason.test(error.message),
    );
  damaged(narrow([8000, -2]), /media time of -2/);
  damaged(viewOf(boxOf("elst", u32(0, 0xffff_ffff))), /don't fit/);
  damaged(viewOf(boxOf("elst", u32(0x100_0000, 1, 0x7fff_ffff, 0, -1, -1, 0))), /2\^53/);
  damaged(narrow([1, -1]), /timescale of 0/, 0);
});

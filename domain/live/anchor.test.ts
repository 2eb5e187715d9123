import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import {
  type AnchorPoint,
  expectedTicks,
  fitsAnchor,
  hasJumped,
  phaseTicks,
  placeTicks,
  proposeAnchor,
  segmentNumberAt,
  WRAP_TICKS,
} from "./anchor.ts";
import { gridOf } from "./grid.ts";

const grid = gridOf({ segmentMs: 4_000, partMs: 200, frameRate: { num: 25, den: 1 } });
const ntsc = gridOf({ segmentMs: 4_000, partMs: 200, frameRate: { num: 30_000, den: 1_001 } });
const NOW = Date.UTC(2026, 10, 21, 12, 0, 1, 700);
const first = (ptsTicks: number, on = grid): AnchorPoint =>
  proposeAnchor({ ptsTicks, nowMs: NOW, grid: on, previous: null });

test("a first anchor puts the first key frame at the start of a segment, at about the wall clock since 1970", () => {
  for (const on of [grid, ntsc]) {
    for (const pts of [0, 90_090, 5_000 * on.gopTicks, WRAP_TICKS - 1, -90_000]) {
      const anchor = first(pts, on);
      const { streamTicks, wraps, aheadTicks } = placeTicks(pts, anchor, NOW);
      assert.deepEqual([wraps, Math.round(aheadTicks)], [0, 0]);
      const offGrid =
        Math.abs(streamTicks / on.segmentTicks - Math.round(streamTicks / on.segmentTicks)) * on.segmentTicks;
      assert.ok(offGrid <= on.gopTicks / 2, `${pts}: ${offGrid}`);
      assert.ok(anchor.residualMs >= 0 - 500 && anchor.residualMs < 4_004 + 500, String(anchor.residualMs));
      assert.equal(anchor.offsetTicks % on.gopTicks, 0);
      assert.equal(anchor.firstSegmentNumber, Math.floor((NOW * 90) / on.segmentTicks));
    }
  }
});

test("a key frame on the source's own GOP grid is one on the channel's, whoever proposes", () => {
  const random = seeded(3);
  for (let round = 0; round < 500; round += 1) {
    const on = round % 2 === 0 ? grid : ntsc;
    const pts = random.int(90_000) * on.gopTicks;
    const anchor = proposeAnchor({ ptsTicks: pts, nowMs: NOW + random.int(1e9), grid: on, previous: null });
    assert.equal(phaseTicks(anchor, 0, on), 0);
    assert.equal((pts + 17 * on.gopTicks + anchor.offsetTicks) % on.gopTicks, 0);
  }
});

test("a later life of a channel gets larger numbers", () => {
  const before = first(8_000_000_000);
  const after = proposeAnchor({ ptsTicks: 0, nowMs: NOW + 60_000, grid, previous: null });
  assert.ok(after.firstSegmentNumber > before.firstSegmentNumber + 13);
});

test("of all unwrappings of a timestamp the one nearest to the expected time counts", () => {
  const anchor = first(WRAP_TICKS - 450_000); // five seconds before the source's clock wraps
  const table: [pts: number, afterMs: number, wraps: number][] = [
    [WRAP_TICKS - 450_000, 0, 0],
    [WRAP_TICKS - 1, 5_000, 0],
    [0, 5_000, 1], // as MPEG-TS writes it
    [-1, 5_000, 1], // as an ffmpeg that was started before the wrap writes it
    [90_000, 6_000, 1],
    [90_000, 6_000 + (WRAP_TICKS / 90) * 3, 4],
    [WRAP_TICKS - 900_000, -5_000, 0],
  ];
  for (const [pts, afterMs, wraps] of table) {
    const placed = placeTicks(pts, anchor, NOW + afterMs);
    assert.equal(placed.wraps, wraps, `${pts} ${afterMs}`);
    assert.ok(Math.abs(placed.aheadTicks) <= 1, `${pts}: ${placed.aheadTicks}`);
  }
});

test("stream time runs on evenly over three wraps, in exact ticks", () => {
  const anchor = first(0);
  let last = Number.NaN;
  for (let ticks = 0; ticks < 3 * WRAP_TICKS; ticks += 1_000_000_003) {
    const { streamTicks } = placeTicks(ticks % WRAP_TICKS, anchor, NOW + ticks / 90);
    assert.equal(Number.isNaN(last) ? 1_000_000_003 : streamTicks - last, 1_000_000_003);
    last = streamTicks;
  }
});

test("the key-frame phase is 0 until the source's clock wraps, then what 33 bits are off the GOP grid", () => {
  const anchor = first(0);
  assert.deepEqual(
    [-1, 0, 1, 2].map((wraps) => phaseTicks(anchor, wraps, grid)),
    [25_408, 0, 64_592, 39_184], // 2³³ mod 90,000 = 64,592
  );
  for (const wraps of [1, 2, 3]) {
    const shifted = WRAP_TICKS * wraps + anchor.offsetTicks + (grid.gopTicks - phaseTicks(anchor, wraps, grid));
    assert.equal(shifted % grid.gopTicks, 0);
  }
});

test("a restarted source keeps the anchor within a second, and has jumped beyond 0.6 s ahead or 2 s behind", () => {
  const anchor = first(0);
  const table: [aheadMs: number, fits: boolean, jumped: boolean][] = [
    [0, true, false],
    [600, true, false],
    [601, true, true],
    [1_000, true, true],
    [1_001, false, true],
    [-1_000, true, false],
    [-1_001, false, false],
    [-2_000, false, false],
    [-2_001, false, true],
    [3_000, false, true],
    [100_000, false, true],
    [-5_000_000, false, true],
  ];
  for (const [aheadMs, fits, jumped] of table) {
    const placed = placeTicks(90_000_000 + aheadMs * 90, anchor, NOW + 1_000_000);
    assert.deepEqual([fitsAnchor(placed), hasJumped(placed)], [fits, jumped], String(aheadMs));
  }
});

test("a moved anchor never leads back, keeps the first number, and is on the GOP grid", () => {
  const random = seeded(5);
  for (let round = 0; round < 1_000; round += 1) {
    const on = round % 2 === 0 ? grid : ntsc;
    const previous = first(random.int(WRAP_TICKS), on);
    const nowMs = NOW + random.int(1e9);
    const ptsTicks = random.int(WRAP_TICKS);
    const moved = proposeAnchor({ ptsTicks, nowMs, grid: on, previous });
    const { streamTicks, wraps } = placeTicks(ptsTicks, moved, nowMs);
    const forward = streamTicks - expectedTicks(previous, nowMs);
    assert.equal(wraps, 0);
    assert.ok(forward >= -1e-3 && forward < on.gopTicks + 1e-3, `${forward}`);
    assert.equal(phaseTicks(moved, 0, on), 0);
    assert.equal(moved.firstSegmentNumber, previous.firstSegmentNumber);
    assert.equal(moved.anchorEpoch, 2);
    assert.ok(Math.abs(placeTicks(ptsTicks, moved, nowMs).aheadTicks) < 1);
  }
});

test("two origins with one anchor give one name to one frame, whenever they look", () => {
  const random = seeded(8);
  const anchor = first(1_234_567_800);
  for (let round = 0; round < 2_000; round += 1) {
    const afterTicks = random.int(4 * WRAP_TICKS);
    const pts = (1_234_567_800 + afterTicks) % WRAP_TICKS;
    const names = [0, random.int(900), -random.int(500)].map((jitterMs) =>
      segmentNumberAt(placeTicks(pts, anchor, NOW + afterTicks / 90 + jitterMs).streamTicks, grid),
    );
    assert.equal(new Set(names).size, 1);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { type AnchorPoint, fitsAnchor, hasJumped, placeTicks, proposeAnchor } from "./anchor.ts";
import { DriftFilter } from "./drift.ts";
import { gridOf } from "./grid.ts";

const grid = gridOf({ segmentMs: 4_000, partMs: 200, frameRate: { num: 25, den: 1 } });
const NOW = Date.UTC(2026, 10, 21, 12);
const FRAME_MS = 40;
const DAY_MS = 86_400_000;

/** Follows arrivals as a streamer does: what has jumped is not followed. */
class Follower {
  readonly anchor: AnchorPoint = proposeAnchor({ ptsTicks: 0, nowMs: NOW, grid, previous: null });
  readonly drift = new DriftFilter(this.anchor.residualMs);
  place(ptsTicks: number, nowMs: number) {
    const placed = placeTicks(ptsTicks, { ...this.anchor, residualMs: this.drift.residualMs }, nowMs);
    if (!hasJumped(placed)) this.drift.observe(placed.streamTicks, nowMs);
    return placed;
  }
}

interface Day {
  readonly ppm: number;
  /** How late a frame is, ms. */
  readonly delayMs: (frame: number) => number;
}
/**
 * Frames of a source whose clock runs `ppm` fast, over a day; the largest error of the wall clock that is published.
 */
const simulate = ({ ppm, delayMs }: Day) => {
  const follower = new Follower();
  let jumps = 0;
  let errorMaxMs = 0;
  let lastMs = 0;
  for (let frame = 0; frame * FRAME_MS < DAY_MS; frame += 1) {
    const sourceMs = frame * FRAME_MS;
    const trueMs = sourceMs / (1 + ppm / 1e6);
    lastMs = Math.max(lastMs, trueMs + delayMs(frame)); // frames don't overtake each other
    if (hasJumped(follower.place(sourceMs * 90, NOW + lastMs))) jumps += 1;
    const shownMs = follower.anchor.offsetTicks / 90 + sourceMs + follower.drift.residualMs;
    if (trueMs > 60_000) errorMaxMs = Math.max(errorMaxMs, Math.abs(shownMs - (NOW + trueMs)));
  }
  const restarted = follower.place(DAY_MS * 90, NOW + DAY_MS / (1 + ppm / 1e6));
  return {
    jumps,
    errorMaxMs,
    fitsAfterRestart: fitsAnchor(restarted),
    driftMs: follower.drift.residualMs - follower.anchor.residualMs,
  };
};

for (const ppm of [100, 50, -50, -100]) {
  test(`a source that runs ${ppm} ppm off for a day is followed, without a jump, to within 10 ms`, () => {
    const { jumps, errorMaxMs, fitsAfterRestart, driftMs } = simulate({ ppm, delayMs: () => 0 });
    assert.equal(jumps, 0);
    assert.ok(errorMaxMs < 10, String(errorMaxMs));
    assert.ok(fitsAfterRestart);
    assert.ok(Math.abs(driftMs + (ppm * DAY_MS) / 1e6) < 10, String(driftMs));
  });

  test(`nor does jitter of the network make a source that runs ${ppm} ppm off jump`, () => {
    const random = seeded(ppm + 1_000);
    let stallFrom = 0;
    const delayMs = (frame: number): number => {
      // Every ten minutes or so nothing comes for 1.5 s, then all at once.
      if (random.int(15_000) === 0) stallFrom = frame;
      const stalledMs = stallFrom > 0 ? Math.max(0, 1_500 - (frame - stallFrom) * FRAME_MS) : 0;
      return stalledMs + Math.min(400, -30 * Math.log(1 - random.next()));
    };
    const { jumps, errorMaxMs, fitsAfterRestart } = simulate({ ppm, delayMs });
    assert.equal(jumps, 0);
    assert.ok(errorMaxMs < 100, String(errorMaxMs));
    assert.ok(fitsAfterRestart);
  });
}

for (const jumpMs of [3_000, -5_000_000, 100_000]) {
  test(`a jump of ${jumpMs / 1000} s is seen at once, at any point of a day's drift`, () => {
    for (const ppm of [-100, 0, 100]) {
      for (const hours of [0, 6, 23]) {
        const follower = new Follower();
        follower.drift.reset(follower.anchor.residualMs - (ppm * hours * 3_600_000) / 1e6);
        const sourceMs = hours * 3_600_000;
        const nowMs = NOW + sourceMs / (1 + ppm / 1e6);
        const before = follower.drift.residualMs;
        assert.equal(hasJumped(follower.place(sourceMs * 90, nowMs)), false);
        assert.equal(hasJumped(follower.place((sourceMs + jumpMs) * 90, nowMs + FRAME_MS)), true);
        assert.ok(Math.abs(follower.drift.residualMs - before) < 1, "a jump is not followed");
      }
    }
  });
}

test("the wall clock that is published moves by at most 200 ppm", () => {
  const filter = new DriftFilter(0);
  let last = filter.observe(0, 500);
  for (let ms = 40; ms < 60_000; ms += 40) {
    const next = filter.observe(ms * 90, ms + 500); // half a second late from now on
    assert.ok(next - last <= 0.008 + 1e-9);
    last = next;
  }
  assert.ok(last > 11.9 && last < 12.1, String(last));
});

test("a hole in what arrives is not made up for", () => {
  const filter = new DriftFilter(0);
  filter.observe(0, 0);
  assert.ok(filter.observe(3_600_000 * 90, 3_600_000 + 900) <= 1);
});

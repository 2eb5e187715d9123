import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnchorPoint } from "../../domain/live/anchor.ts";
import { gridOf } from "../../domain/live/grid.ts";
import { AnchoredTimeline, LoopTimeline, type Timeline } from "./timeline.ts";

const START_MS = 1_795_262_400_000;
const FRAME = 3_600;
const WRAP = 2 ** 33;
const grid = gridOf({ segmentMs: 2_000, partMs: 200, frameRate: { num: 25, den: 1 } });

const make = (options: { shared?: AnchorPoint; own?: AnchorPoint; alone?: boolean } = {}) => {
  const seen = { changes: 0 };
  const timeline = new AnchoredTimeline({
    grid,
    shared: options.shared ?? null,
    own: options.own ?? null,
    alone: options.alone ?? false,
    changed: () => {
      seen.changes += 1;
    },
  });
  return { timeline, seen };
};

/** Frames of the leading track from a PTS on, in real time; what became of each. A key frame is every 25th. */
const play = (timeline: Timeline, from: { pts: number; nowMs: number; frames: number }) => {
  const steps: (number | string)[] = [];
  for (let i = 0; i < from.frames; i++) {
    const nowMs = from.nowMs + i * 40;
    const arrival = { leads: true, key: i % 25 === 0, dts: from.pts + i * FRAME, timescale: 90_000 };
    const step = timeline.take(arrival, nowMs);
    steps.push(step.kind === "place" ? step.dts : step.kind);
    timeline.decide(nowMs);
  }
  return steps;
};
const SECOND = 90_000;

test("a first source proposes an anchor after it has settled, and is placed when the anchor comes", () => {
  const { timeline, seen } = make();
  assert.deepEqual(new Set(play(timeline, { pts: 4 * SECOND, nowMs: START_MS, frames: 17 })), new Set(["hold"]));
  assert.ok(timeline.proposal === null);
  play(timeline, { pts: 4 * SECOND + 17 * FRAME, nowMs: START_MS + 680, frames: 3 });
  const { proposal } = timeline as { proposal: AnchorPoint | null }; // changed by what was played
  assert.ok(proposal);
  assert.deepEqual([proposal.anchorEpoch, proposal.offsetTicks % grid.gopTicks, seen.changes], [1, 0, 1]);
  timeline.setAnchor(proposal, START_MS + 800);
  assert.equal(timeline.decide(START_MS + 800), true);
  assert.equal(timeline.proposal, null);
  const steps = play(timeline, { pts: 4 * SECOND, nowMs: START_MS + 800, frames: 2 });
  assert.deepEqual(steps, [4 * SECOND + proposal.offsetTicks, 4 * SECOND + FRAME + proposal.offsetTicks]);
});

test("samples that were held for long are placed from the first one on", () => {
  const { timeline } = make();
  play(timeline, { pts: 0, nowMs: START_MS, frames: 60 });
  const proposal = timeline.proposal ?? assert.fail();
  timeline.setAnchor(proposal, START_MS + 2_400);
  assert.equal(timeline.decide(START_MS + 2_400), true);
  const again = play(timeline, { pts: 0, nowMs: START_MS, frames: 60 });
  assert.deepEqual(
    again,
    again.map((_, i) => i * FRAME + proposal.offsetTicks),
  );
});

test("what probing made late does not count: the least late frame tells the clock", () => {
  const { timeline } = make();
  // The first key frame comes 900 ms late, the next ones catch up soon.
  for (let i = 0; i < 50; i++) {
    const nowMs = START_MS + Math.max(i * 40, 900 + i * 5);
    timeline.take({ leads: true, key: i === 0, dts: i * FRAME, timescale: 90_000 }, nowMs);
    timeline.decide(nowMs);
  }
  const proposal = timeline.proposal;
  assert.ok(proposal);
  const wallClockMs = (0 + proposal.offsetTicks) / 90 + proposal.residualMs;
  assert.ok(Math.abs(wallClockMs - START_MS) < 1, String(wallClockMs - START_MS));
});

const anchored = (): AnchorPoint => {
  const { timeline } = make({ alone: true });
  play(timeline, { pts: 0, nowMs: START_MS, frames: 30 });
  assert.ok(timeline.shared);
  return timeline.shared;
};

test("a stream without a supervisor takes its own proposal at once", () => {
  const { timeline, seen } = make({ alone: true });
  const steps = play(timeline, { pts: 0, nowMs: START_MS, frames: 30 });
  assert.equal(typeof steps.at(-1), "number");
  assert.deepEqual([timeline.shared?.anchorEpoch, timeline.own, seen.changes], [1, null, 1]);
});

test("a second origin, or a restarted one, is placed alike from its first key frame on", () => {
  const shared = anchored();
  const { timeline } = make({ shared });
  const steps = play(timeline, { pts: 100 * SECOND, nowMs: START_MS + 100_300, frames: 3 });
  assert.deepEqual(steps, [
    "hold",
    100 * SECOND + FRAME + shared.offsetTicks,
    100 * SECOND + 2 * FRAME + shared.offsetTicks,
  ]);
});

test("times before the first key frame, and other tracks until the leading one is placed, are held", () => {
  const { timeline } = make({ shared: anchored() });
  const at = START_MS + 1_000;
  assert.equal(timeline.take({ leads: false, key: true, dts: 48_000, timescale: 48_000 }, at).kind, "hold");
  assert.equal(timeline.take({ leads: true, key: false, dts: SECOND - FRAME, timescale: 90_000 }, at).kind, "hold");
  assert.equal(timeline.decide(at), false);
  assert.equal(timeline.take({ leads: true, key: true, dts: SECOND, timescale: 90_000 }, at).kind, "hold");
  assert.equal(timeline.decide(at), true);
  const audio = timeline.take({ leads: false, key: true, dts: 48_000, timescale: 48_000 }, at);
  const offset = timeline.shared?.offsetTicks ?? 0;
  assert.deepEqual(audio, { kind: "place", dts: 48_000 + (offset * 48_000) / 90_000 });
});

test("a source that starts over proposes to move the anchor, never back", () => {
  const shared = anchored();
  const { timeline } = make({ shared });
  play(timeline, { pts: 0, nowMs: START_MS, frames: 30 });
  timeline.restarted();
  play(timeline, { pts: 7 * SECOND, nowMs: START_MS + 3_600_000, frames: 30 });
  const proposal = timeline.proposal;
  assert.ok(proposal);
  assert.equal(proposal.anchorEpoch, 2);
  const expected = (START_MS + 3_600_000 - shared.residualMs) * 90;
  const streamTicks = 7 * SECOND + proposal.offsetTicks;
  assert.ok(streamTicks >= expected && streamTicks < expected + grid.segmentTicks, `${streamTicks - expected}`);
});

test("without an answer for 10 s the proposal is used, and still proposed", () => {
  const { timeline } = make();
  const steps = play(timeline, { pts: 0, nowMs: START_MS, frames: 300 });
  assert.equal(steps[200], "hold");
  assert.equal(typeof steps.at(-1), "number");
  assert.ok(timeline.proposal && timeline.own);
  timeline.setAnchor(timeline.proposal, START_MS + 12_000);
  assert.deepEqual([timeline.proposal, timeline.own], [null, null]);
});

test("two sources with unrelated clocks do not fight over the anchor", () => {
  const first = anchored();
  const a = make({ shared: first }).timeline;
  play(a, { pts: 0, nowMs: START_MS, frames: 30 });
  // B's source has another clock: it proposes, and the anchor is moved to it.
  const b = make({ shared: first }).timeline;
  play(b, { pts: 5_000 * SECOND, nowMs: START_MS, frames: 30 });
  const moved = b.proposal;
  assert.ok(moved);
  const at = START_MS + 1_200;
  b.setAnchor(moved, at);
  a.setAnchor(moved, at);
  // A goes on as it was, under an anchor of its own …
  assert.deepEqual(play(a, { pts: 30 * FRAME, nowMs: at, frames: 1 }), [30 * FRAME + first.offsetTicks]);
  assert.equal(a.own?.offsetTicks, first.offsetTicks);
  // … also after a restart, and when its source starts over it moves nothing.
  a.restarted();
  assert.deepEqual(play(a, { pts: 50 * FRAME, nowMs: at + 800, frames: 2 }).at(-1), 51 * FRAME + first.offsetTicks);
  a.restarted();
  play(a, { pts: 900 * SECOND, nowMs: at + 5_000, frames: 30 });
  assert.equal(a.proposal, null);
  assert.ok(a.own && a.own.offsetTicks !== first.offsetTicks);
});

test("a moved anchor that the source fits is taken while it runs", () => {
  const shared = anchored();
  const { timeline } = make({ shared });
  play(timeline, { pts: 0, nowMs: START_MS, frames: 30 });
  const moved = { ...shared, anchorEpoch: 2, offsetTicks: shared.offsetTicks + grid.gopTicks };
  timeline.setAnchor({ ...moved, residualMs: shared.residualMs - 1_000 }, START_MS + 1_200);
  assert.equal(timeline.own, null);
  const steps = play(timeline, { pts: 30 * FRAME, nowMs: START_MS + 1_200, frames: 1 });
  assert.deepEqual(steps, [30 * FRAME + moved.offsetTicks]);
  timeline.setAnchor(shared, START_MS + 1_240);
  assert.equal(timeline.shared?.anchorEpoch, 2);
});

test("a jump ahead needs another run at once; slowness does not, a step back does", () => {
  const { timeline } = make({ shared: anchored() });
  const steps = (pts: number, nowMs: number) => play(timeline, { pts, nowMs, frames: 1 })[0];
  play(timeline, { pts: 0, nowMs: START_MS, frames: 30 });
  assert.equal(typeof steps(30 * FRAME, START_MS + 6_000), "number");
  assert.equal(steps(31 * FRAME + 3 * SECOND, START_MS + 1_240), "restart");
  assert.equal(steps(31 * FRAME - 2 * SECOND, START_MS + 1_240), "restart");
  assert.equal(steps(31 * FRAME, START_MS + 60_000), "restart");
});

test("after a 33-bit wrap ffmpeg is started again with the key frames where the other origins have them", () => {
  const shared = { ...anchored(), offsetTicks: anchored().offsetTicks - WRAP + 40_000 * SECOND };
  const fits = { ...shared, offsetTicks: shared.offsetTicks - (shared.offsetTicks % grid.gopTicks) };
  const { timeline } = make({ shared: { ...fits, residualMs: anchored().residualMs } });
  const before = WRAP - 40_000 * SECOND;
  const pts = before - (before % grid.gopTicks) + grid.gopTicks;
  const [first] = play(timeline, { pts: pts % WRAP, nowMs: START_MS + 500, frames: 1 });
  assert.equal(first, "hold");
  // The same instant 26.5 h later: the PTS has wrapped once.
  timeline.restarted();
  const day = WRAP / 90;
  const again = play(timeline, { pts, nowMs: START_MS + 500 + day, frames: 2 });
  assert.equal(again.at(-1), "restart");
  assert.ok(timeline.phaseTicks > FRAME / 2);
  timeline.restarted();
  const shifted = pts + grid.gopTicks - timeline.phaseTicks;
  const placed = play(timeline, { pts: shifted, nowMs: START_MS + 500 + day, frames: 2 }).at(-1);
  assert.ok(typeof placed === "number" && (placed - FRAME) % grid.gopTicks === 0, String(placed));
});

test("a loop's stream time is its wall clock; a run that is half a minute late is given up", () => {
  const timeline = new LoopTimeline(START_MS - 50_000);
  timeline.startAt(40 * SECOND);
  const take = (dts: number, nowMs: number) => timeline.take({ leads: true, key: true, dts, timescale: 48_000 }, nowMs);
  assert.deepEqual(take(48_000, START_MS), { kind: "place", dts: 41 * 48_000 });
  assert.equal(take(48_000, START_MS + 15_000).kind, "place");
  assert.equal(take(48_000, START_MS + 45_000).kind, "restart");
});

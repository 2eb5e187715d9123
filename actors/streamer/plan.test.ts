import assert from "node:assert/strict";
import { test } from "node:test";
import { learnFrom } from "./learned.ts";
import { parsePayload, planOf } from "./plan.ts";
import { Retries } from "./retries.ts";
import type { Learned } from "./state-file.ts";

const machine = { cores: 2, preset: "veryfast" };
const learned: Learned = {
  frameRate: { num: 50, den: 1 },
  width: 640,
  height: 360,
  hasAudio: true,
  interlaced: false,
};
const plan = (payload: object, known: Partial<Parameters<typeof planOf>[1]> = {}) =>
  planOf(parsePayload({ url: "pl:///x", ...payload }), { anchorRate: null, learned: null, ...known }, machine);

test("the document's payload decides segments, parts and the net time-out", () => {
  const { grid, netTimeoutMs, windowSegments } = plan({
    chunkDuration: "4000ms",
    fragmentDuration: "200ms",
    forceClean: true,
    netTimeout: "700ms",
  });
  assert.deepEqual([grid.segmentTicks, grid.partTicks, netTimeoutMs, windowSegments], [360_000, 18_000, 700, 15]);
  const odd = plan({ chunkDuration: "1s", fragmentDuration: "9s", netTimeout: "1ms" });
  assert.deepEqual([odd.grid.segmentTicks, odd.grid.partTicks, odd.netTimeoutMs], [90_000, 90_000, 100]);
});

test("the anchor's frame rate wins over the payload's, and that over the source's", () => {
  const rate = (...args: Parameters<typeof plan>) => plan(...args).grid.frameRate;
  assert.deepEqual(rate({}), { num: 25, den: 1 });
  assert.deepEqual(rate({}, { learned }), { num: 50, den: 1 });
  assert.deepEqual(rate({ frameRate: 29.97 }, { learned }), { num: 30_000, den: 1001 });
  assert.deepEqual(rate({ frameRate: 30 }, { learned, anchorRate: { num: 24, den: 1 } }), { num: 24, den: 1 });
});

test("renditions follow the source's size, and what a payload asks for", () => {
  const { renditions, settings, declaredBps } = plan({ audioKbps: 128, preset: "ultrafast" }, { learned });
  assert.deepEqual(
    renditions.map(({ name, kind }) => `${name} ${kind}`),
    ["v0 video", "v1 video", "a0 audio"],
  );
  assert.deepEqual([settings.preset, settings.rungs[0]?.height], ["ultrafast", 360]);
  assert.deepEqual(declaredBps, { v0: 900_000, v1: 300_000, a0: 128_000 });
  assert.equal(plan({ ladder: [{ height: 240, videoKbps: 300 }] }, { learned }).settings.rungs.length, 1);
});

test("a payload that does not fit is refused with its fields; unknown keys are kept", () => {
  assert.equal(parsePayload({ url: "x", vendorKey: { a: 1 } }).vendorKey instanceof Object, true);
  for (const payload of [null, {}, { url: 7 }, { url: "x", chunkDuration: "4 bananas" }, { url: "x", ladder: [] }]) {
    assert.throws(() => parsePayload(payload), { code: "BAD_INPUT" }, JSON.stringify(payload));
  }
});

const info = { hasVideo: true, hasAudio: true, width: 640, height: 360, interlaced: false, durationMs: null };

test("what ffmpeg says is learnt once; what viewers have seen stays", () => {
  const first = learnFrom(null, { ...info, frameRate: learned.frameRate }, { isShown: false });
  assert.deepEqual(first, { kind: "new", learned, otherCommand: false });
  assert.equal(learnFrom(learned, { ...info, frameRate: learned.frameRate }, { isShown: false }).kind, "known");
  const other = { ...info, frameRate: { num: 25, den: 1 }, width: 320, height: 180, hasAudio: false };
  assert.deepEqual(learnFrom(learned, other, { isShown: true }), {
    kind: "new",
    learned: { ...learned, hasAudio: false },
    otherCommand: true,
  });
  const unsized = { ...info, frameRate: null, width: null, height: null };
  assert.equal(learnFrom(null, unsized, { isShown: false }).kind, "unclear");
  assert.equal(learnFrom(learned, unsized, { isShown: false }).kind, "known");
  assert.equal(learnFrom(null, { ...unsized, hasVideo: false }, { isShown: false }).kind, "known");
});

test("retries: at once, then ever later; a good run makes the next one immediate again", () => {
  const retries = new Retries();
  const delays: number[] = [];
  let nowMs = 1_000_000;
  for (let run = 0; run < 8; run++) {
    const isFailed = retries.ended({ startedMs: nowMs, lastSampleMs: 0, nowMs });
    assert.equal(isFailed, run >= 4);
    let waitMs = 0;
    while (!retries.isDue(nowMs + waitMs)) waitMs += 100;
    delays.push(waitMs);
    nowMs += waitMs;
  }
  assert.deepEqual(delays, [0, 500, 1_000, 2_000, 5_000, 10_000, 10_000, 10_000]);
  assert.equal(retries.ended({ startedMs: nowMs, lastSampleMs: nowMs + 15_000, nowMs: nowMs + 16_000 }), false);
  assert.equal(retries.isDue(nowMs + 16_000), true);
});

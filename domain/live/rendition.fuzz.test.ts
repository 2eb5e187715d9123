import assert from "node:assert/strict";
import { before, test } from "node:test";
import { decodedFrames, encode, readTrack, type Track } from "../../test/support/lavfi.ts";
import { fileOf, moved, presentationOf, someStart } from "../../test/support/presentation.ts";
import { type Random, seeded } from "../../test/support/seeded.ts";
import type { Sample } from "../mp4/fragment.ts";
import type { Presentation } from "./presentation.ts";
import type { Rendition } from "./rendition.ts";

const SECOND = 90_000;
const FRAME = 3_600;
let picture: Track;
let tone: Track;
let board: Track;
let silence: Track;

before(async () => {
  [picture, tone, board, silence] = await Promise.all([
    encode({ kind: "video", seconds: 30 }),
    encode({ kind: "audio", seconds: 30 }),
    encode({ kind: "video", seconds: 1, source: "color=c=red:s=64x36:r=25" }),
    encode({ kind: "audio", seconds: 1, source: "anullsrc=r=48000:cl=stereo" }),
  ]);
});

const ready = (withSlate: boolean): { presentation: Presentation; start: number } => {
  const presentation = presentationOf({ windowSegments: 60, segmentMs: 2_000 });
  presentation.setInit("v0", picture.init, picture.info);
  presentation.setInit("a0", tone.init, tone.info);
  if (withSlate) {
    presentation.setSlate("v0", board.samples);
    presentation.setSlate("a0", silence.samples.slice(20, 21));
  }
  return { presentation, start: someStart(presentation.grid) };
};

interface Arrival {
  readonly name: "v0" | "a0";
  readonly sample: Sample;
  readonly atMs: number;
}
/** A source that stalls, skips, repeats itself and is late; `wholeGops`: what it skips ends at a key frame. */
const misbehaving = (random: Random, track: Track, name: "v0" | "a0", wholeGops: boolean): Arrival[] => {
  const arrivals: Arrival[] = [];
  let lateMs = 0;
  for (let i = 0; i < track.samples.length; i += 1) {
    const sample = track.samples[i] ?? assert.fail();
    const endMs = ((sample.dts + sample.duration) * 1_000) / track.info.timescale;
    const dice = random.int(400);
    if (dice === 0) lateMs = random.int(2_500);
    if (dice === 1 && random.int(2) === 0) arrivals.push({ name, sample, atMs: endMs + 3_000 }); // an echo
    if (dice === 2 && i > 30) {
      const skipped = 1 + random.int(120);
      i += skipped;
      while (wholeGops && name === "v0" && i < track.samples.length && !track.samples[i]?.key) i += 1;
      i -= 1;
      continue;
    }
    lateMs = Math.max(0, lateMs - 60); // a backlog is caught up with
    arrivals.push({ name, sample, atMs: endMs + lateMs + random.int(15) });
  }
  return arrivals;
};

const run = (presentation: Presentation, start: number, arrivals: readonly Arrival[]): void => {
  const zeroMs = presentation.wallClockMs(start);
  let tickedMs = zeroMs;
  for (const { name, sample, atMs } of arrivals.toSorted((a, b) => a.atMs - b.atMs)) {
    for (; tickedMs < zeroMs + atMs; tickedMs += 20) presentation.tick(tickedMs);
    const { timescale } = (name === "v0" ? picture : tone).info;
    presentation.append(name, moved(sample, start, timescale), zeroMs + atMs);
  }
};

/** What holds of every time line, whatever came in. */
const assertSound = (rendition: Rendition, { upToNow }: { upToNow: number | null }): void => {
  const { segments, kind, info, init } = rendition;
  const timescale = info?.timescale ?? 0;
  const units = 2 * timescale;
  const slack = kind === "video" ? FRAME / 2 : 1_024 + 2;
  assert.ok(segments.length > 0);
  let last: Sample | undefined;
  for (const [i, { number, start, duration, chunks, byteLength }] of segments.entries()) {
    assert.equal(number, (segments[0]?.number ?? 0) + i, "numbers are consecutive");
    assert.ok(start >= number * units - slack && start <= number * units + slack, "begins at its boundary");
    const { samples } = readTrack(Buffer.concat([init ?? Buffer.alloc(0), ...chunks]));
    assert.equal(samples[0]?.key, true, "begins with a key frame");
    assert.equal(samples[0]?.dts, start);
    assert.equal(
      samples.reduce((sum, sample) => sum + sample.duration, 0),
      duration,
    );
    assert.equal(
      chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      byteLength,
    );
    for (const sample of samples) {
      assert.ok(sample.duration > 0, "every sample lasts");
      if (last) assert.equal(sample.dts, last.dts + last.duration, "no hole and no overlap");
      last = sample;
    }
  }
  if (upToNow === null) return;
  const behindMs = upToNow - rendition.endMs;
  assert.ok(behindMs < 3_500, `${rendition.name} is ${behindMs} ms behind`);
};

for (let seed = 100; seed < 130; seed += 1) {
  test(`a time line is sound whatever its source does (seed ${seed})`, () => {
    const random = seeded(seed);
    const withSlate = seed % 3 !== 0;
    const { presentation, start } = ready(withSlate);
    const arrivals = [...misbehaving(random, picture, "v0", false), ...misbehaving(random, tone, "a0", false)];
    run(presentation, start, arrivals);
    const endMs = presentation.wallClockMs(start + 30 * SECOND);
    for (const rendition of presentation.renditions) assertSound(rendition, { upToNow: withSlate ? endMs : null });
  });
}

for (const seed of [200, 201, 202, 203]) {
  test(`decoders take it without a complaint, as long as the encoder leaves no frame out of a GOP (seed ${seed})`, async () => {
    const random = seeded(seed);
    const { presentation, start } = ready(true);
    const arrivals = misbehaving(random, picture, "v0", true).filter(({ sample }, i, all) => {
      const before = all[i - 1]?.sample;
      return sample.key || before === undefined || before.dts + before.duration === sample.dts; // no echo in the middle
    });
    run(presentation, start, arrivals);
    const [v0] = presentation.renditions;
    assert.ok(v0 && v0.segments.length >= 10);
    const frames = await decodedFrames(fileOf(v0));
    assert.equal(frames.length, readTrack(fileOf(v0)).samples.length);
  });
}

test("after a 33-bit wrap frames lie up to half a frame off the grid: names and boundaries stay", () => {
  for (const off of [-1_800, -1_799, -900, -1, 1, 900, 1_799]) {
    const { presentation, start } = ready(true);
    const v0 = presentation.rendition("v0") ?? assert.fail();
    const give = (from: number, to: number, shift: number): void => {
      for (const sample of picture.samples.slice(from, to)) {
        const placed = moved(sample, start + shift, 90_000);
        presentation.append("v0", placed, presentation.wallClockMs(placed.dts + placed.duration));
      }
    };
    give(0, 150, 0);
    give(150, 330, off); // restarted at a key frame, on the shifted phase
    for (let ticks = 330 * FRAME; ticks < 460 * FRAME; ticks += 1_800) {
      presentation.tick(presentation.wallClockMs(start + ticks));
    }
    give(450, 750, off);
    assertSound(v0, { upToNow: null });
    assert.deepEqual([v0.segments.length, v0.inSlate, v0.segments.some(({ hasSlate }) => hasSlate)], [15, false, true]);
  }
});

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { decodedFrames, encode, packetsOf, readTrack, type Track } from "../../test/support/lavfi.ts";
import { feed, fileOf, moved, presentationOf, someStart, wait } from "../../test/support/presentation.ts";
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
    encode({ kind: "video", seconds: 8 }),
    encode({ kind: "audio", seconds: 8 }),
    encode({ kind: "video", seconds: 1, source: "color=c=red:s=64x36:r=25" }),
    encode({ kind: "audio", seconds: 1, source: "anullsrc=r=48000:cl=stereo" }),
  ]);
});

interface Ready {
  readonly presentation: Presentation;
  readonly v0: Rendition;
  readonly a0: Rendition;
  readonly start: number;
}
const ready = ({ slate = true, ...setup }: Parameters<typeof presentationOf>[0] & { slate?: boolean } = {}): Ready => {
  const presentation = presentationOf(setup);
  presentation.setInit("v0", picture.init, picture.info);
  presentation.setInit("a0", tone.init, tone.info);
  if (slate) {
    presentation.setSlate("v0", board.samples);
    presentation.setSlate("a0", silence.samples.slice(20, 21));
  }
  const [v0, a0] = [presentation.rendition("v0"), presentation.rendition("a0")];
  assert.ok(v0 && a0);
  return { presentation, v0, a0, start: someStart(presentation.grid) };
};

/** ffmpeg sees the packets where we say that they are, and each begins where the one before it ended. */
const assertGapless = async (rendition: Rendition): Promise<void> => {
  const [packets, { samples }] = [await packetsOf(fileOf(rendition)), readTrack(fileOf(rendition))];
  assert.deepEqual(
    packets.map(({ dts, key }) => ({ dts, key })),
    samples.map(({ dts, key }) => ({ dts, key })),
  );
  const holes = samples.flatMap(({ dts }, i) => {
    const last = samples[i - 1];
    return last && last.dts + last.duration !== dts ? [{ i, hole: dts - last.dts - last.duration }] : [];
  });
  assert.deepEqual(holes, []);
};
const durationsOf = ({ segments, info }: Rendition): number[] =>
  segments.map(({ duration }) => duration / (info?.timescale ?? 1));
const startsOf = ({ segments }: Rendition, start: number): number[] =>
  segments.map((segment) => (segment.start - start) / FRAME);

test("segments of real ffmpeg output decode to the very frames that went in, without a hole", async () => {
  const { presentation, v0, a0, start } = ready({ segmentMs: 2_000, windowSegments: 20 });
  feed(presentation, [
    { name: "v0", track: picture, atTicks: start },
    { name: "a0", track: tone, atTicks: start },
  ]);
  assert.deepEqual(startsOf(v0, start), [0, 50, 100, 150]);
  assert.deepEqual(durationsOf(v0), [2, 2, 2, 2]);
  const [went, came] = await Promise.all([
    decodedFrames(Buffer.concat([picture.init, ...chunksOf(picture)])),
    decodedFrames(fileOf(v0)),
  ]);
  assert.equal(came.length, 200);
  assert.deepEqual(came, went);
  await assertGapless(v0);
  await assertGapless(a0);
  assert.deepEqual(
    v0.segments.map(({ chunks }) => chunks.length),
    [10, 10, 10, 10], // parts of 5 frames
  );
});

/** The track as it came from ffmpeg, one chunk per frame. */
const chunksOf = (track: Track): Buffer[] => {
  const { presentation, v0, start } = ready({ segmentMs: 1_000, windowSegments: 20 });
  feed(presentation, [{ name: "v0", track, atTicks: start }]);
  return v0.segments.flatMap(({ chunks }) => chunks);
};

test("audio segments begin at the first frame behind the boundary, whatever the phase of the encoder's frames", () => {
  for (const phase of [0, 1, 2, 3, 500, 1021, 1022, 1023]) {
    const { presentation, a0, start } = ready();
    const atTicks = start - (phase * 90_000) / 48_000;
    feed(presentation, [{ name: "a0", track: tone, atTicks }]);
    assert.ok(a0.segments.length >= 6, String(phase));
    for (const segment of a0.segments) {
      const into = segment.start - segment.number * 48_000;
      assert.ok(into >= -2 && into < 1_024, `phase ${phase}: ${into}`);
    }
  }
});

test("a sample that comes late is dropped, and the time line is as if it had never been", () => {
  const { presentation, v0, start } = ready();
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 60 }]);
  const end = v0.endMs;
  const stale = moved(picture.samples[25] ?? assert.fail(), start, 90_000);
  presentation.append("v0", stale, presentation.wallClockMs(start + 60 * FRAME));
  assert.equal(v0.endMs, end);
  assert.equal(v0.counts.late, 1);
});

test("a hole of up to half a second lengthens the frame before it", async () => {
  const { presentation, v0, start } = ready();
  feed(presentation, [
    { name: "v0", track: picture, atTicks: start, to: 30 },
    { name: "v0", track: picture, atTicks: start, from: 38, to: 75 },
  ]);
  assert.deepEqual(durationsOf(v0), [1, 1, 1]);
  assert.equal(v0.counts.slateEntries, 0);
  const lengthened = readTrack(fileOf(v0)).samples.map(({ dts, duration }) => [
    (dts - start) / FRAME,
    duration / FRAME,
  ]);
  assert.deepEqual(
    lengthened.filter(([, frames]) => frames !== 1),
    [[29, 9]],
  );
  await assertGapless(v0);
});

test("a hole that swallows a boundary never moves a key frame into the segment before it", async () => {
  const { presentation, v0, start } = ready();
  feed(presentation, [
    { name: "v0", track: picture, atTicks: start, to: 46 },
    { name: "v0", track: picture, atTicks: start, from: 50 },
  ]);
  assert.deepEqual(startsOf(v0, start), [0, 25, 50, 75, 100, 125, 150, 175]);
  const [, second] = v0.segments;
  const { samples } = readTrack(Buffer.concat([picture.init, ...(second?.chunks ?? [])]));
  assert.deepEqual(
    samples.map(({ key }) => key),
    [true, ...Array(20).fill(false)],
  );
  assert.equal(samples.at(-1)?.duration, 5 * FRAME);
});

test("a key frame that the encoder has lost costs the segment's head, not its decodability", async () => {
  for (const slate of [true, false]) {
    const { presentation, v0, start } = ready({ slate, segmentMs: 2_000 });
    feed(presentation, [
      { name: "v0", track: picture, atTicks: start, to: 100 },
      { name: "v0", track: picture, atTicks: start, from: 101 },
    ]);
    assert.deepEqual(startsOf(v0, start), [0, 50, 100, 150], `slate ${slate}`);
    for (const { chunks } of v0.segments) {
      const [first] = await packetsOf(Buffer.concat([picture.init, ...chunks]));
      assert.equal(first?.key, true);
    }
    await decodedFrames(fileOf(v0));
    await assertGapless(v0);
  }
});

describe("slate", () => {
  test("goes in and out without a hole, a discontinuity or a decoder's complaint", async () => {
    const { presentation, v0, a0, start } = ready({ windowSegments: 20 });
    feed(presentation, [
      { name: "v0", track: picture, atTicks: start, to: 57 },
      { name: "a0", track: tone, atTicks: start, to: 107 },
    ]);
    wait(presentation, start + 57 * FRAME, start + 5.5 * SECOND);
    assert.deepEqual([v0.inSlate, a0.inSlate], [true, true]);
    feed(presentation, [
      { name: "v0", track: picture, atTicks: start, from: 137 },
      { name: "a0", track: tone, atTicks: start, from: 259 },
    ]);
    assert.deepEqual([v0.inSlate, a0.inSlate], [false, false]);
    assert.deepEqual(startsOf(v0, start), [0, 25, 50, 75, 100, 125, 150, 175]);
    assert.deepEqual(
      v0.segments.map(({ hasSlate }) => hasSlate),
      [false, false, true, true, true, true, false, false],
    );
    const frames = await decodedFrames(fileOf(v0));
    assert.equal(frames.length, 200);
    assert.deepEqual(
      frames.slice(0, 57),
      (await decodedFrames(Buffer.concat([picture.init, ...chunksOf(picture)]))).slice(0, 57),
    );
    assert.equal(frames[150], (await decodedFrames(Buffer.concat([picture.init, ...chunksOf(picture)])))[150]);
    await assertGapless(v0);
    await assertGapless(a0);
    await decodedFrames(fileOf(a0));
  });

  test("is left at a key frame only", () => {
    const { presentation, v0, start } = ready();
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 57 }]);
    wait(presentation, start + 57 * FRAME, start + 4.5 * SECOND);
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, from: 114, to: 125 }]);
    assert.equal(v0.inSlate, true);
    assert.equal(v0.counts.dropped, 11);
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, from: 125, to: 126 }]);
    assert.equal(v0.inSlate, false);
  });

  test("is not held up, moved or ended by stale samples, one by one or in bursts", () => {
    const { presentation, v0, start } = ready({ windowSegments: 30 });
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 57 }]);
    const lagMs = v0.lagMs;
    const lastLiveMs = v0.lastLiveMs;
    wait(presentation, start + 57 * FRAME, start + 4 * SECOND);
    // A second of media, two to three seconds old, key frames and all, read within 80 ms; and once more two seconds
    // later.
    for (const seconds of [4, 6]) {
      const nowTicks = start + seconds * SECOND;
      for (let i = 0; i < 25; i += 1) {
        const nowMs = presentation.wallClockMs(nowTicks) + i * 3;
        presentation.append("v0", moved(picture.samples[50 + i] ?? assert.fail(), start, 90_000), nowMs);
      }
      wait(presentation, nowTicks + FRAME * 2, nowTicks + 2 * SECOND);
    }
    assert.equal(v0.inSlate, true);
    assert.deepEqual([v0.lagMs, v0.lastLiveMs], [lagMs, lastLiveMs]);
    const behindMs = presentation.wallClockMs(start + 8 * SECOND) - v0.endMs;
    assert.ok(behindMs > 0 && behindMs < 200, `the slate is ${behindMs} ms behind`);
    assert.deepEqual(startsOf(v0, start), [0, 25, 50, 75, 100, 125, 150]);
  });

  for (const laterMs of [700, 2_500, 6_000]) {
    test(`waits for a source that comes back ${laterMs} ms later than it was`, () => {
      const { presentation, v0, start } = ready({ windowSegments: 30 });
      feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 50 }]);
      wait(presentation, start + 50 * FRAME, start + 3 * SECOND + laterMs * 90);
      let nowMs = 0;
      for (let i = 75; i < 200; i += 1) {
        nowMs = presentation.wallClockMs(start + (i + 1) * FRAME) + laterMs;
        presentation.append("v0", moved(picture.samples[i] ?? assert.fail(), start, 90_000), nowMs);
        presentation.tick(nowMs + 20);
      }
      // It began 6 s late and has 5 s of media: that can't reach what the slate has shown already.
      assert.equal(v0.inSlate, laterMs === 6_000);
      const numbers = v0.segments.map(({ number }) => number - start / SECOND);
      assert.deepEqual(numbers, [...numbers.keys()]);
      if (laterMs === 6_000) assert.ok(Math.abs(nowMs - v0.endMs - laterMs) < 2_000);
    });
  }

  test("of one track leaves the other alone", () => {
    const { presentation, v0, a0, start } = ready();
    feed(presentation, [
      { name: "v0", track: picture, atTicks: start },
      { name: "a0", track: tone, atTicks: start, to: 107 },
    ]);
    assert.deepEqual([v0.inSlate, a0.inSlate], [false, true]);
    assert.equal(v0.counts.slateEntries, 0);
    assert.ok(Math.abs(a0.endMs - v0.endMs) < 200);
  });

  test("shows at once when the source is known to be gone", () => {
    const { presentation, v0, start } = ready();
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 57 }]);
    presentation.inputLost();
    assert.equal(v0.inSlate, true);
  });

  test("is silence from the picture's start where the source has no audio", () => {
    const { presentation, v0, a0, start } = ready();
    feed(presentation, [{ name: "v0", track: picture, atTicks: start }]);
    assert.equal(a0.inSlate, true);
    assert.deepEqual(
      a0.segments.map(({ number }) => number),
      v0.segments.map(({ number }) => number).slice(0, a0.segments.length),
    );
    assert.equal(a0.firstSegment?.number, v0.firstSegment?.number);
    assert.ok(presentation.ready);
  });

  test("after an hour's sleep of the process is not made for that hour", () => {
    const { presentation, v0, start } = ready();
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 57 }]);
    const hour = start + 3_600 * SECOND;
    wait(presentation, hour, hour + 3 * SECOND);
    assert.ok(v0.segments.length <= 3);
    const behindMs = presentation.wallClockMs(hour + 3 * SECOND) - v0.endMs;
    assert.ok(behindMs >= 0 && behindMs < 200, String(behindMs));
  });
});

test("a source that begins in the middle of a segment shows from the next one on", () => {
  const { presentation, v0, start } = ready({ segmentMs: 2_000 });
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, from: 25 }]);
  assert.deepEqual(startsOf(v0, start), [50, 100, 150]);
});

test("two origins that started at different times hold the same media under the same names", () => {
  const origins = [0, 37].map((from) => {
    const { presentation, v0, start } = ready({ segmentMs: 2_000 });
    feed(presentation, [{ name: "v0", track: picture, atTicks: start, from }]);
    return v0;
  });
  const [first, second] = origins;
  assert.ok(first && second);
  assert.equal(second.segments.length, 3);
  for (const segment of second.segments) {
    const other = first.segment(segment.number);
    assert.deepEqual(
      { ...segment, chunks: segment.chunks.map(withoutSequenceNumber) },
      { ...other, chunks: other?.chunks.map(withoutSequenceNumber) },
    );
  }
});
/** The number in mfhd counts what an origin has made. */
const withoutSequenceNumber = (chunk: Buffer): string => {
  const at = chunk.indexOf("mfhd") + 8;
  return Buffer.concat([chunk.subarray(0, at), chunk.subarray(at + 4)]).toString("base64");
};

test("a jump of the time line begins the ring anew at a boundary", () => {
  const { presentation, v0, start } = ready();
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 80 }]);
  feed(presentation, [{ name: "v0", track: picture, atTicks: start + 100 * SECOND }]);
  assert.deepEqual(startsOf(v0, start + 100 * SECOND), [0, 25, 50, 75, 100, 125, 150, 175]);
});

test("without a slate a long hole is shown as its last frame, and whole missing segments begin the ring anew", async () => {
  const { presentation, v0, start } = ready({ slate: false });
  feed(presentation, [
    { name: "v0", track: picture, atTicks: start, to: 30 },
    { name: "v0", track: picture, atTicks: start, from: 50, to: 75 },
    { name: "v0", track: picture, atTicks: start, from: 125 },
  ]);
  assert.deepEqual(startsOf(v0, start), [125, 150, 175]);
  await decodedFrames(fileOf(v0));
});

test("a codec configuration that changes begins everything anew; other bytes that say the same don't", async () => {
  const { presentation, v0, start } = ready();
  feed(presentation, [{ name: "v0", track: picture, atTicks: start }]);
  presentation.setInit("v0", Buffer.concat([picture.init, Buffer.from("\0\0\0\x08free", "latin1")]), picture.info);
  assert.ok(v0.segments.length > 0);
  assert.deepEqual(v0.init, picture.init);
  const larger = await encode({ kind: "video", seconds: 1, width: 128, height: 72 });
  presentation.setInit("v0", larger.init, larger.info);
  assert.deepEqual([v0.segments, v0.init, v0.begun], [[], larger.init, false]);
});

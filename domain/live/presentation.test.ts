import assert from "node:assert/strict";
import { before, test } from "node:test";
import { encode, type Track } from "../../test/support/lavfi.ts";
import { feed, moved, presentationOf, type Setup, someStart, wait } from "../../test/support/presentation.ts";
import { bandwidthOf } from "./bandwidth.ts";
import type { Presentation } from "./presentation.ts";

const SECOND = 90_000;
let picture: Track;
let tone: Track;

before(async () => {
  [picture, tone] = await Promise.all([encode({ kind: "video", seconds: 8 }), encode({ kind: "audio", seconds: 8 })]);
});

const ready = (setup: Setup = {}): { presentation: Presentation; start: number } => {
  const presentation = presentationOf(setup);
  for (const { name, kind } of presentation.renditions) {
    const track = kind === "video" ? picture : tone;
    presentation.setInit(name, track.init, track.info);
  }
  return { presentation, start: someStart(presentation.grid) };
};
const play = (presentation: Presentation, atTicks: number): void =>
  feed(
    presentation,
    presentation.renditions.map(({ name, kind }) => ({ name, track: kind === "video" ? picture : tone, atTicks })),
  );

test("it is ready when every rendition has a complete segment, and tells what all of them have", () => {
  const { presentation, start } = ready({ names: ["v0", "v1", "a0"] });
  const give = (name: string, track: Track, to: number): void =>
    feed(presentation, [{ name, track, atTicks: start, to }]);
  give("v0", picture, 75);
  give("v1", picture, 60);
  assert.deepEqual(
    [presentation.ready, presentation.firstSegmentNumber, presentation.lastSegmentNumber],
    [false, null, null],
  );
  give("a0", tone, 40);
  assert.equal(presentation.ready, false);
  feed(presentation, [{ name: "a0", track: tone, atTicks: start, from: 40, to: 60 }]);
  const first = start / SECOND;
  assert.deepEqual(
    [presentation.ready, presentation.firstSegmentNumber, presentation.lastSegmentNumber],
    [true, first, first],
  );
  presentation.reset();
  assert.deepEqual([presentation.ready, presentation.byteLength], [false, 0]);
  assert.ok(presentation.renditions.every(({ init }) => init !== undefined));
  play(presentation, start + 20 * SECOND);
  assert.equal(presentation.ready, true);
});

test("listeners are told once per change of what a playlist shows, and not any more when they are taken away", () => {
  const { presentation, start } = ready({ names: ["v0"] });
  let changes = 0;
  const stop = presentation.onChange(() => {
    changes += 1;
  });
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 24 }]);
  assert.equal(changes, 0);
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, from: 24, to: 74 }]);
  assert.equal(changes, 2);
  wait(presentation, start + 74 * 3_600, start + 76 * 3_600);
  assert.equal(changes, 2);
  stop();
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, from: 74, to: 125 }]);
  assert.equal(changes, 2);
});

test("the date of a segment is fixed when it is begun, for all renditions alike", () => {
  const { presentation, start } = ready({ names: ["v0", "v1", "a0"] });
  const [v0, v1, a0] = presentation.renditions;
  presentation.setResidual(1_234.25);
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 26 }]);
  presentation.setResidual(5_678.5); // the drift filter went on while v1 and the audio were on their way
  feed(presentation, [
    { name: "v1", track: picture, atTicks: start },
    { name: "a0", track: tone, atTicks: start },
    { name: "v0", track: picture, atTicks: start, from: 26 },
  ]);
  const datesOf = (rendition: typeof v0) => rendition?.segments.slice(0, 3).map((segment) => segment.programDateTimeMs);
  const firstMs = start / 90;
  assert.deepEqual(datesOf(v0), [firstMs + 1_234.25, firstMs + 1_000 + 1_234.25, firstMs + 2_000 + 5_678.5]);
  assert.deepEqual(datesOf(v1), datesOf(v0));
  const audioStarts = a0?.segments.map((segment) => segment.start / 48 - firstMs) ?? [];
  assert.deepEqual(
    datesOf(a0)?.map((date, i) => Math.round((date - (audioStarts[i] ?? 0) - firstMs) * 100)),
    [123_425, 123_425, 567_850],
  );
});

test("the ring is bounded in segments", () => {
  const { presentation, start } = ready({ windowSegments: 3, names: ["v0"] });
  for (let round = 0; round < 4; round += 1) play(presentation, start + round * 8 * SECOND);
  const numbers = presentation.renditions[0]?.segments.map(({ number }) => number - start / SECOND);
  assert.deepEqual(numbers, [25, 26, 27, 28, 29, 30, 31]); // three listed, four that have just left the list
});

test("the ring is bounded in bytes over all renditions, the oldest number goes first, the newest stays", () => {
  const whole = ready({ names: ["v0", "a0"], windowSegments: 100 });
  play(whole.presentation, whole.start);
  const half = Math.round(whole.presentation.byteLength / 2);
  const { presentation, start } = ready({ names: ["v0", "a0"], windowSegments: 100, ringBytesMax: half });
  play(presentation, start);
  assert.ok(presentation.byteLength <= half);
  const [v0, a0] = presentation.renditions;
  assert.ok(v0?.firstSegment && a0?.firstSegment);
  assert.ok(v0.segments.length >= 3);
  assert.ok(Math.abs(v0.firstSegment.number - a0.firstSegment.number) <= 1);
  assert.equal(v0.lastSegment?.number, start / SECOND + 7);
});

test("a segment that outgrows the whole ring is given up, and the stream goes on with the next one", () => {
  const { presentation, start } = ready({ names: ["v0"], ringBytesMax: 40_000 });
  const [v0] = presentation.renditions;
  const huge = { ...(picture.samples[10] ?? assert.fail()), data: Buffer.alloc(50_000) };
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, to: 60 }]);
  presentation.append(
    "v0",
    moved({ ...huge, dts: 60 * 3_600 }, start, 90_000),
    presentation.wallClockMs(start + 61 * 3_600),
  );
  assert.ok(presentation.byteLength <= 40_000);
  feed(presentation, [{ name: "v0", track: picture, atTicks: start, from: 61 }]);
  assert.equal(v0?.counts.givenUp, 1);
  assert.deepEqual(
    v0?.segments.map(({ number }) => number - start / SECOND),
    [3, 4, 5, 6, 7],
  );
});

test("what is told of bit rates stays the same while the encoder keeps its rate, and only grows when it does not", () => {
  const { presentation, start } = ready({ names: ["v0"], segmentMs: 1_000 });
  const v0 = presentation.renditions[0] ?? assert.fail();
  const told = new Set<string>();
  let lastPeak = 0;
  presentation.onChange(() => {
    told.add(JSON.stringify(bandwidthOf(v0, presentation.grid, 500_000)));
    const { peakBps } = bandwidthOf(v0, presentation.grid, 0);
    assert.ok(peakBps >= lastPeak);
    lastPeak = peakBps;
  });
  play(presentation, start);
  assert.deepEqual([...told], ['{"peakBps":1030000,"averageBps":515000}']);
  const largest = Math.max(...v0.segments.map(({ byteLength }) => byteLength * 8));
  assert.ok(lastPeak >= largest && lastPeak <= largest * 1.1 + 1_000, `${lastPeak} for ${largest}`);
});

test("an unknown rendition is a bug of the caller", () => {
  const { presentation } = ready();
  assert.throws(() => presentation.append("v9", picture.samples[0] ?? assert.fail(), 0), /bug: no rendition v9/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type HandMade, handMade, slice } from "./hand-made.fixture.ts";
import { TsSegment } from "./segment.ts";
import { makeSegment } from "./segments.fixture.ts";
import { assertClock, assertContinuous, type Pes, packetsOf, pesOf } from "./walk.fixture.ts";

const frames = (count: number, every: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ time: from + index * every, bytes: slice(500, index === 0) }));
const sounds = (count: number, from = 0, every = 1024 / 48_000) =>
  Array.from({ length: count }, (_, index) => ({ time: from + index * every, bytes: Buffer.alloc(200, index) }));

const segmentOf = async (made: HandMade): Promise<Buffer> => {
  const { reader, input } = handMade(made);
  const segment = await makeSegment(reader, input);
  assert.equal(new TsSegment(input).exactBytes, segment.length);
  assertContinuous(segment);
  return segment;
};
const ofPid = (segment: Buffer, pid: number): Pes[] => pesOf(segment).filter((pes) => pes.pid === pid);
const clocksOf = (segment: Buffer): number[] => packetsOf(segment).flatMap(({ clock }) => clock ?? []);

test("a picture each second leaves no gap in the clock, up to the next segment", async () => {
  const [first, second] = await Promise.all([
    segmentOf({ video: frames(4, 1), endSeconds: 4 }),
    segmentOf({ video: frames(4, 1, 4), endSeconds: 8, segmentIndex: 1 }),
  ]);
  assertClock(Buffer.concat([first, second]));
  assert.equal(clocksOf(first).length, 40);
  assert.deepEqual(clocksOf(first).slice(0, 2), [891_000, 900_000]);
});

test("ten pictures a second carry the clock by themselves", async () => {
  const segment = await segmentOf({ video: frames(10, 0.1), endSeconds: 1 });
  assert.equal(clocksOf(segment).length, 10);
  assertClock(segment);
});

test("sound that begins seconds before the first picture has a clock too", async () => {
  const segment = await segmentOf({ video: frames(25, 0.04, 3), audio: sounds(180), endSeconds: 4 });
  assertClock(segment);
  assert.equal(pesOf(segment)[0]?.pid, 0x101);
  assert.equal(clocksOf(segment)[0], 891_000);
});

test("a segment of a film that has sound alone has the clock on the pictures' PID, and no packet of them", async () => {
  const segment = await segmentOf({ video: [], audio: sounds(90), endSeconds: 2 });
  assertClock(segment);
  const ofVideo = packetsOf(segment).filter(({ pid }) => pid === 0x100);
  assert.ok(ofVideo.length >= 19);
  assert.ok(ofVideo.every(({ payload, counter }) => payload.length === 0 && counter === 15));
});

test("sound alone carries the clock, at each of its packets", async () => {
  const segment = await segmentOf({ audio: sounds(94), endSeconds: 94 * (1024 / 48_000) });
  assertClock(segment);
  assert.ok(pesOf(segment).every(({ randomAccess, clock, dts }) => randomAccess && dts - (clock ?? 0) === 9_000));
});

test("silence has a packet for each clock reference, however short its frames are", async () => {
  const audio = sounds(60).map((sound) => ({ ...sound, bytes: Buffer.alloc(6, 1) }));
  const segment = await segmentOf({ audio, endSeconds: 60 * (1024 / 48_000) });
  assertClock(segment);
  assert.equal(clocksOf(segment).length, 4 + 4 + 3 + 3); // of 18, 18, 12 and 12 frames
  assert.ok(pesOf(segment).length === 4 && segment.length === (2 + 16) * 188);
});

test("a gap in the sound begins a new packet, whose time says so", async () => {
  const audio = [...sounds(5), ...sounds(5, 0.5)];
  const segment = await segmentOf({ video: frames(25, 0.04), audio, endSeconds: 1 });
  const times = ofPid(segment, 0x101).map(({ pts }) => pts);
  assert.deepEqual(times, [900_000, 945_000]);
});

test("frames that overlap follow each other in one packet", async () => {
  const audio = sounds(8).map((sound, index) => ({ ...sound, time: Math.floor(index / 2) * 2 * (1024 / 48_000) }));
  const segment = await segmentOf({ video: frames(25, 0.04), audio, endSeconds: 1 });
  assert.equal(ofPid(segment, 0x101).length, 1);
});

test("the last packet of sound is not much shorter than the others", async () => {
  const segment = await segmentOf({ video: frames(25, 0.04), audio: sounds(19), endSeconds: 1 });
  const counts = ofPid(segment, 0x101).map(({ payload }) => payload.length / 207);
  assert.deepEqual(counts, [9, 5, 5]);
});

test("samples without bytes are not sent", async () => {
  const video = frames(10, 0.04).map((frame, index) =>
    index % 3 === 2 ? { ...frame, bytes: Buffer.alloc(0) } : frame,
  );
  const audio = sounds(12).map((sound, index) => (index % 4 === 3 ? { ...sound, bytes: Buffer.alloc(0) } : sound));
  const segment = await segmentOf({ video, audio, endSeconds: 0.4 });
  assert.equal(ofPid(segment, 0x100).length, 7);
  assert.deepEqual(
    ofPid(segment, 0x101).map(({ payload }) => payload.length),
    [621, 621, 621],
  );
  assertClock(segment);
});

test("times that stand still or go back in the file go on in the stream", async () => {
  const video = frames(6, 0.04).map((frame, index) => ({ ...frame, time: [0, 0, 0, 0.12, 0.08, 0.2][index] ?? 0 }));
  const segment = await segmentOf({ video, endSeconds: 0.24 });
  const times = ofPid(segment, 0x100).map(({ dts }) => dts);
  assert.deepEqual(times, [900_000, 900_001, 900_002, 910_800, 910_801, 918_000]);
  assertClock(segment);
});

test("pictures that are shown before their decode time by the file are decoded earlier", async () => {
  const order = [0, 3, 1, 2, 6, 4, 5];
  const video = frames(7, 0.04).map((frame, index) => ({
    ...frame,
    reorderSeconds: ((order[index] ?? 0) - index) * 0.04,
  }));
  const segment = await segmentOf({ video, endSeconds: 0.28 });
  const pictures = ofPid(segment, 0x100);
  assert.deepEqual(
    pictures.map(({ pts }) => (pts - 900_000) / 3_600),
    order,
  );
  assert.deepEqual(
    pictures.map(({ dts }) => (dts - 900_000) / 3_600),
    [-1, 0, 1, 2, 3, 4, 5],
  );
  assertClock(segment);
});

test("times run over after 26 hours, and nothing else does", async () => {
  const late = 2 ** 33 / 90_000 - 10; // as sent, offset included
  const segment = await segmentOf({
    video: frames(50, 0.04, late - 1),
    audio: sounds(94, late - 1),
    endSeconds: late + 1,
  });
  const pictures = ofPid(segment, 0x100);
  assert.deepEqual([pictures[24]?.dts, pictures[25]?.dts, pictures[26]?.dts], [2 ** 33 - 3_600, 0, 3_600]);
  assert.deepEqual([pictures[25]?.clock, pictures[28]?.clock], [2 ** 33 - 9_000, 1_800]);
  assert.ok(ofPid(segment, 0x101).some(({ pts }) => pts < 90_000));
});

test("years without a picture are not filled with clocks", async () => {
  const [first, second] = frames(2, 1e8);
  const segment = await segmentOf({ video: [first, second].flatMap((frame) => frame ?? []), endSeconds: 2e8 });
  assert.ok(segment.length < 2_000_000);
});

test("one short frame alone has no room for a whole cycle, and its header stays whole", async () => {
  const [sound] = sounds(1);
  const segment = await segmentOf({ audio: [{ time: sound?.time ?? 0, bytes: Buffer.alloc(3, 1) }], endSeconds: 0.02 });
  const [, , head] = packetsOf(segment);
  assert.equal(head?.payload.length, 14);
  assert.equal(pesOf(segment)[0]?.payload.length, 10);
});

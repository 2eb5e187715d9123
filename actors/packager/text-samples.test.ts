import assert from "node:assert/strict";
import { test } from "node:test";
import type { TextTrack } from "../../domain/mp4/movie.ts";
import { handMadeTable } from "../../domain/vod/tables.fixture.ts";
import type { SourceObject } from "../../lib/source/port.ts";
import { textSamples } from "./text-samples.ts";

const KiB = 1024;

/** Samples of 100 bytes each, so far apart. */
const trackOf = (sampleCount: number, apartBytes: number): TextTrack => {
  const table = handMadeTable({ durationTicks: 500, sampleCount, keys: null });
  const spread: typeof table = {
    ...table,
    samples: (first, end) => {
      const samples = table.samples(first, end);
      return { ...samples, offset: samples.offset.map((_, index) => (first + index) * apartBytes) };
    },
  };
  const codec = { kind: "text", fourcc: "tx3g", codecs: "", sampleEntry: Buffer.alloc(0) } as const;
  const common = { id: 3, language: "und", name: "", rotation: 0, trackHeader: Buffer.alloc(0) } as const;
  return { ...common, timescale: 1000, shift: 0, codec, table: spread };
};

/** Each byte tells its offset; `failAt` is the read that fails. */
const sourceOf = ({ failAt = Number.POSITIVE_INFINITY } = {}) => {
  const reads: number[] = [];
  const object: Pick<SourceObject, "readRange"> = {
    readRange: async (offset, target) => {
      reads.push(offset);
      if (reads.length > failAt) throw new Error("the source is away");
      for (let at = 0; at < target.length; at += 1) target[at] = ((offset + at) / KiB) & 255;
    },
  };
  return { reads, title: { path: "a.mp4", object: object as SourceObject } };
};

test("text samples that are near each other come with one read, with their times", async () => {
  const { reads, title } = sourceOf();
  const samples = await textSamples(title, trackOf(100, KiB));
  assert.deepEqual(reads, [0]);
  assert.deepEqual(
    samples.map(({ bytes }) => [bytes.length, bytes[0]]),
    Array.from({ length: 100 }, (_, sample) => [100, sample]),
  );
  assert.deepEqual([samples[99]?.startSeconds, samples[99]?.endSeconds], [49.5, 50]);
});

test("text samples that are far from each other are read side by side; the first failure ends all", async () => {
  const apart = trackOf(1000, 64 * KiB);
  const whole = sourceOf();
  assert.equal((await textSamples(whole.title, apart))[3]?.bytes[0], 3 * 64);
  assert.equal(whole.reads.length, 1000);
  const failing = sourceOf({ failAt: 20 });
  await assert.rejects(textSamples(failing.title, apart), /the source is away/);
  assert.ok(failing.reads.length < 40, `${failing.reads.length} reads`);
});

test("a text track of more samples than a playlist has subtitles is refused", async () => {
  await assert.rejects(textSamples(sourceOf().title, trackOf(100_001, 1)), { code: "MEDIA_UNSUPPORTED" });
});

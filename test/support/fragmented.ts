/** Init segment and segments of a stored file, as they are served one behind the other. */
import assert from "node:assert/strict";
import { gather } from "../../domain/mp4/gather.ts";
import { initSegment } from "../../domain/mp4/init-segment.ts";
import type { Samples, Track } from "../../domain/mp4/movie.ts";
import { type FragmentTrack, planFragment, writeFragmentHead } from "../../domain/mp4/movie-fragment.ts";
import { fileRange } from "./file-range.ts";

/** One segment out of a file's bytes, which are read as one range. */
export const clearSegment = (file: Buffer, tracks: readonly FragmentTrack[], sequenceNumber = 1): Buffer => {
  const plan = planFragment({ tracks, sequenceNumber });
  const out = Buffer.alloc(plan.totalBytes);
  let at = writeFragmentHead(plan, out, 0);
  assert.equal(at, plan.headBytes);
  const { lo, hi } = fileRange(tracks.map(({ samples }) => samples)) ?? { lo: 0, hi: 0 };
  const from = { bytes: file.subarray(lo, hi), fileOffset: lo };
  for (const { samples } of tracks) at = gather(samples, from, { out, at });
  assert.equal(at, plan.totalBytes);
  return out;
};

/** The n-th of so many parts of a track, by samples. */
export const partOf = ({ table }: Track, part: number, parts: number): Samples => {
  const at = (n: number): number => Math.floor((table.sampleCount * n) / parts);
  return table.samples(at(part), at(part + 1));
};

/** Init segment and all segments of some tracks of a file. */
export const fragmented = (file: Buffer, tracks: readonly Track[], parts = 3): Buffer =>
  Buffer.concat([
    initSegment(tracks),
    ...Array.from({ length: parts }, (_, part) =>
      clearSegment(
        file,
        tracks.map((track) => ({ track, samples: partOf(track, part, parts) })),
        part + 1,
      ),
    ),
  ]);

/** The samples of a text track: small, and far apart where a film is between them. */
import { fail } from "../../contracts/errors.ts";
import { type PayloadStep, payloadSteps } from "../../domain/mp4/gather.ts";
import type { Samples, TextTrack } from "../../domain/mp4/movie.ts";
import { CUES_MAX, SUBTITLE_BYTES_MAX } from "../../domain/webvtt/cue.ts";
import type { TextSample } from "../../domain/webvtt/samples.ts";
import type { SourceObject } from "../../lib/source/port.ts";

/** Neighbours come with one read, across as much as costs less than another read of a remote source. */
const STEPS = { windowBytes: 256 * 1024, gapBytes: 16 * 1024, wholeSamples: true };
const READS_AT_ONCE = 8; // a film has 2,000 subtitles: one after the other they would take a minute from far away

/** The bytes of samples, behind each other. */
const readAll = async (samples: Samples, object: SourceObject): Promise<readonly Buffer[]> => {
  const { count, size, offset } = samples;
  const starts = new Uint32Array(count + 1);
  for (let sample = 0; sample < count; sample += 1) starts[sample + 1] = (starts[sample] ?? 0) + (size[sample] ?? 0);
  const all = Buffer.alloc(starts[count] ?? 0);
  const steps = payloadSteps([samples], STEPS);
  const read = async ({ lo, hi, from, to }: PayloadStep): Promise<void> => {
    const window = Buffer.allocUnsafeSlow(hi - lo);
    if (hi > lo) await object.readRange(lo, window);
    const end = to.part > 0 ? count : to.sample;
    for (let sample = from.sample; sample < end; sample += 1) {
      const at = (offset[sample] ?? 0) - lo;
      const bytes = size[sample] ?? 0;
      if (bytes > 0) window.copy(all, starts[sample], at, at + bytes);
    }
  };
  const lane = async (): Promise<void> => {
    try {
      for (let next = steps.next(); !next.done; next = steps.next()) await read(next.value);
    } finally {
      steps.return(undefined); // one that fails ends the others
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: READS_AT_ONCE }, lane));
  for (const one of lanes) if (one.status === "rejected") throw one.reason;
  return Array.from({ length: count }, (_, sample) => all.subarray(starts[sample], starts[sample + 1]));
};

/** All samples of a track with their times. MEDIA_UNSUPPORTED where they are too many. */
export const textSamples = async (
  { object, path }: { readonly object: SourceObject; readonly path: string },
  { table, timescale, shift }: TextTrack,
): Promise<readonly TextSample[]> => {
  if (table.sizeBytes(0, table.sampleCount) > SUBTITLE_BYTES_MAX) {
    fail("MEDIA_UNSUPPORTED", { path, reason: "a text track of that size" });
  }
  if (table.sampleCount > CUES_MAX) {
    fail("MEDIA_UNSUPPORTED", { path, reason: `a text track of more than ${CUES_MAX} samples` });
  }
  const samples = table.samples(0, table.sampleCount);
  const secondsAt = (sample: number): number => ((samples.dts[sample] ?? 0) + shift) / timescale;
  const all = await readAll(samples, object);
  return all.map((bytes, index) => ({ startSeconds: secondsAt(index), endSeconds: secondsAt(index + 1), bytes }));
};

/** Encrypted init segment and segments of a stored file, made as the packager makes them. */
import assert from "node:assert/strict";
import { ProtectedFragment } from "../../domain/cenc/protected-fragment.ts";
import { initProtection, type Protection } from "../../domain/cenc/protection.ts";
import { gather, gatherStep, payloadSteps, type StepLimits, stepParts } from "../../domain/mp4/gather.ts";
import { initSegment } from "../../domain/mp4/init-segment.ts";
import type { Track } from "../../domain/mp4/movie.ts";
import { planFragment, writeFragmentHead } from "../../domain/mp4/movie-fragment.ts";
import { encryptSamples, type SampleKey } from "../../lib/crypto/sample-cipher.ts";
import { fileRange } from "./file-range.ts";
import { partOf } from "./fragmented.ts";

/** How a test encrypts. */
export interface Secret {
  readonly protection: Protection;
  readonly key: SampleKey;
}
/** Which tracks, in how many segments. */
export interface Cut {
  readonly tracks: readonly Track[];
  /** Segments that the tracks are cut into. */
  readonly pieces: number;
}

const TRACK_IV = 0xffff_ffff_ffff_fff0n; // wraps within the first samples

const partsOf = ({ tracks, pieces }: Cut, piece: number) =>
  tracks.map((track, index) => ({
    track,
    samples: partOf(track, piece, pieces),
    trackIv: TRACK_IV + BigInt(index << 20),
  }));

/** One segment, read as one range. */
export const protectedSegment = (file: Buffer, cut: Cut & Secret, piece: number): Buffer => {
  const parts = partsOf(cut, piece);
  const { lo, hi } = fileRange(parts.map(({ samples }) => samples)) ?? assert.fail("no samples");
  const from = { bytes: file.subarray(lo, hi), fileOffset: lo };
  const fragment = new ProtectedFragment(parts, cut.protection.scheme);
  fragment.scan(from);
  const finished = fragment.finish();
  const plan = planFragment({ tracks: finished.tracks, sequenceNumber: piece + 1 });
  const out = Buffer.alloc(plan.totalBytes);
  let at = writeFragmentHead(plan, out, 0);
  for (const [index, { samples }] of parts.entries()) {
    const end = gather(samples, from, { out, at });
    const one = finished.samples[index] ?? assert.fail("a clear track");
    assert.equal(encryptSamples(one, cut.key, { buffer: out, at, sizes: samples.size }), end);
    at = end;
  }
  return out;
};

/** The first segment, window by window. */
export const protectedWindows = (file: Buffer, cut: Cut & Secret, limits: StepLimits): Buffer => {
  const parts = partsOf(cut, 0);
  const samples = parts.map((part) => part.samples);
  const fragment = new ProtectedFragment(parts, cut.protection.scheme);
  const read = (lo: number, hi: number) => ({ bytes: file.subarray(lo, hi), fileOffset: lo });
  for (const step of payloadSteps(samples, limits)) fragment.scanStep(step, read(step.lo, step.hi));
  const finished = fragment.finish();
  const plan = planFragment({ tracks: finished.tracks, sequenceNumber: 1 });
  const head = Buffer.alloc(plan.headBytes);
  writeFragmentHead(plan, head, 0);
  const windows = [head];
  for (const step of payloadSteps(samples, limits)) {
    const out = Buffer.alloc(step.payloadBytes);
    gatherStep(samples, step, { ...read(step.lo, step.hi), out, at: 0 });
    let at = 0;
    for (const { part, first, end } of stepParts(samples, step) ?? assert.fail("a piece")) {
      const [one, sizes] = [finished.samples[part] ?? assert.fail(), samples[part]?.size ?? assert.fail()];
      at = encryptSamples(one, cut.key, { buffer: out, at, first, end, sizes });
    }
    windows.push(out);
  }
  return Buffer.concat(windows);
};

/** Init segment and all segments. */
export const protectedFragments = (file: Buffer, cut: Cut & Secret): Buffer =>
  Buffer.concat([
    initSegment(cut.tracks, initProtection(cut.protection)),
    ...Array.from({ length: cut.pieces }, (_, piece) => protectedSegment(file, cut, piece)),
  ]);

/** Holds what is served against the source: the same samples in the same order at the same times, each once. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { ServedSegment, Unit } from "./served.ts";
import type { Sample, SampledTrack } from "./truth.ts";

const TICK_SECONDS = 1 / 90_000;
const TIMESCALE_SECONDS = 1e-6; // times of fMP4 are exact: what remains is arithmetic

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Delimiters and parameter sets, which a transport stream has in band (H.264 §7.4.1, H.265 §7.4.2.2). */
const isHeader = (nal: Buffer, codecs: string): boolean => {
  const first = nal[0] ?? 0;
  if (!/^h[ve]/.test(codecs)) return (first & 31) >= 7 && (first & 31) <= 9;
  const type = (first >> 1) & 63;
  return type >= 32 && type <= 35;
};

/** NAL units behind start codes (H.264 annex B); zeros between a unit and the next start code are no part of it. */
export const unitsInStream = (bytes: Buffer): Buffer[] => {
  const units: Buffer[] = [];
  let at = bytes.indexOf("\0\0\x01");
  assert.ok(at >= 0 && at <= 1, "begins with a start code");
  while (at >= 0) {
    const next = bytes.indexOf("\0\0\x01", at + 3);
    let end = next < 0 ? bytes.length : next;
    while (end > at + 3 && bytes[end - 1] === 0) end -= 1;
    units.push(bytes.subarray(at + 3, end));
    at = next;
  }
  return units;
};

/** NAL units behind length prefixes (ISO/IEC 14496-15 §5.3.2) of four bytes. */
const unitsInSample = (bytes: Buffer): Buffer[] => {
  const units: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    assert.ok(end <= bytes.length, "a NAL unit reaches over its sample");
    units.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return units;
};

/** Without headers, joined in a form that does not depend on the container. */
const normalised = (units: readonly Buffer[], codecs: string): Buffer =>
  Buffer.concat(units.filter((nal) => !isHeader(nal, codecs)).flatMap((nal) => [Buffer.from([0, 0, 1]), nal]));

/** The headers that HLS wants in front of a segment's first picture, by their types: each once. */
export const headersOf = ({ bytes }: Unit, codecs: string): number[] =>
  unitsInStream(bytes)
    .filter((nal) => isHeader(nal, codecs))
    .map((nal) => (/^h[ve]/.test(codecs) ? ((nal[0] ?? 0) >> 1) & 63 : (nal[0] ?? 0) & 31));

/** Frames of a stream with ADTS headers (ISO/IEC 14496-3 §1.A.2.2), without them. */
const withoutAdts = (bytes: Buffer): Buffer => {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    assert.equal(bytes.readUInt16BE(at) & 0xfff6, 0xfff0, "an ADTS header");
    const headBytes = (bytes[at + 1] ?? 0) & 1 ? 7 : 9;
    const length = (bytes.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
    frames.push(bytes.subarray(at + headBytes, at + length));
    at += length;
    assert.ok(at <= bytes.length, "an ADTS frame reaches over its packet");
  }
  return Buffer.concat(frames);
};

/** `late`: everything is later by so much than the source has it. */
export interface Tolerance {
  readonly label: string;
  readonly lateSeconds: number;
}

const assertNear = (found: number, expected: number, within: number, what: string): void =>
  assert.ok(Math.abs(found - expected) <= within, `${what}: at ${found}, not ${expected}`);

const assertSameBytes = (served: readonly Buffer[], source: readonly Buffer[], label: string): void => {
  if (sha256(Buffer.concat(served)) === sha256(Buffer.concat(source))) return;
  const at = source.findIndex((bytes, index) => !served[index]?.equals(bytes));
  assert.fail(`${label}: ${served.length} of ${source.length}, the first other one is ${at}`);
};

/** Pictures of a transport stream. */
export const assertTsVideo = (
  served: readonly Unit[],
  track: SampledTrack,
  { label, lateSeconds }: Tolerance,
): void => {
  const { samples, codecs } = track;
  assert.equal(served.length, samples.length, `${label}: pictures`);
  assertSameBytes(
    served.map(({ bytes }) => normalised(unitsInStream(bytes), codecs)),
    samples.map(({ bytes }) => normalised(unitsInSample(bytes), codecs)),
    label,
  );
  for (const [index, { ptsSeconds }] of served.entries()) {
    const expected = (samples[index]?.ptsSeconds ?? 0) + lateSeconds;
    assertNear(ptsSeconds, expected, TICK_SECONDS, `${label}: picture ${index}`);
  }
};

/** Audio of a transport stream: each packet begins with a frame, and its time is that frame's. */
export const assertTsAudio = (
  served: readonly Unit[],
  track: SampledTrack,
  { label, lateSeconds }: Tolerance,
): void => {
  const { samples, codecs } = track;
  const plain = served.map(({ bytes }) => (codecs.startsWith("mp4a.40") ? withoutAdts(bytes) : bytes));
  const [all, expected] = [Buffer.concat(plain), Buffer.concat(samples.map(({ bytes }) => bytes))];
  assert.equal(sha256(all), sha256(expected), `${label}: ${all.length} bytes of ${expected.length}`);
  const frameAt = new Map<number, Sample>();
  let at = 0;
  for (const sample of samples) {
    frameAt.set(at, sample);
    at += sample.bytes.length;
  }
  at = 0;
  for (const [index, { ptsSeconds }] of served.entries()) {
    const frame = frameAt.get(at) ?? assert.fail(`${label}: packet ${index} begins within a frame`);
    assertNear(ptsSeconds, frame.ptsSeconds + lateSeconds, TICK_SECONDS, `${label}: packet ${index}`);
    at += plain[index]?.length ?? 0;
  }
};

/** Samples of fragments: bytes, times, key frames. */
export const assertSamples = (
  served: readonly Sample[],
  track: SampledTrack,
  { label, lateSeconds }: Tolerance,
): void => {
  const { samples } = track;
  assertSameBytes(
    served.map(({ bytes }) => bytes),
    samples.map(({ bytes }) => bytes),
    label,
  );
  for (const [index, { ptsSeconds, isKey }] of served.entries()) {
    const source = samples[index] ?? assert.fail();
    assertNear(ptsSeconds, source.ptsSeconds + lateSeconds, TIMESCALE_SECONDS, `${label}: sample ${index}`);
    if (track.kind === "video") assert.equal(isKey, source.isKey, `${label}: sample ${index} is a key frame`);
  }
};

/** All segments of a stream in one. */
export const joined = <T>(segments: readonly ServedSegment<T>[]): ServedSegment<T> => ({
  video: segments.flatMap(({ video }) => video),
  audio: segments.flatMap(({ audio }) => audio),
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtectedFragment } from "../../domain/cenc/protected-fragment.ts";
import { initProtection, type Protection, type ProtectionScheme } from "../../domain/cenc/protection.ts";
import { parseFragment } from "../../domain/mp4/fragment.ts";
import { fileRange, gather, gatherStep, payloadSteps, type StepLimits, stepParts } from "../../domain/mp4/gather.ts";
import { initSegment } from "../../domain/mp4/init-segment.ts";
import type { Movie, Track } from "../../domain/mp4/movie.ts";
import { planFragment, writeFragmentHead } from "../../domain/mp4/movie-fragment.ts";
import { findBox } from "../../domain/mp4/walk.ts";
import { frameLines, mediaFile, openBytes } from "../../test/support/media-file.ts";
import { encryptSamples, sampleKey } from "./sample-cipher.ts";

const KEY_BYTES = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const KEY = sampleKey(KEY_BYTES, Buffer.alloc(16, 0x5a));
const KEY_ID = Buffer.from("9eb4050de44b4802932e27d75083e266", "hex");
const TRACK_IV = 0xffff_ffff_ffff_fff0n; // wraps within the first samples
const protectionOf = (scheme: ProtectionScheme): Protection => ({ scheme, keyId: KEY_ID, constantIv: KEY.constantIv });

const samplesIn = (bytes: Buffer) =>
  parseFragment(findBox(bytes, ["moof"], 0) ?? assert.fail(), findBox(bytes, ["mdat"], 0) ?? assert.fail());

interface Cut {
  readonly tracks: readonly Track[];
  readonly scheme: ProtectionScheme | null;
  /** Fragments per track. */
  readonly pieces: number;
}

const partsOf = ({ tracks, pieces }: Cut, piece: number) =>
  tracks.map((track, index) => {
    const at = (n: number): number => Math.floor((track.table.sampleCount * n) / pieces);
    return { track, samples: track.table.samples(at(piece), at(piece + 1)), trackIv: TRACK_IV + BigInt(index << 20) };
  });

/** One segment, read as one range. */
const segment = (file: Buffer, cut: Cut, piece: number): Buffer => {
  const parts = partsOf(cut, piece);
  const { lo, hi } = fileRange(parts.map(({ samples }) => samples)) ?? assert.fail("no samples");
  const from = { bytes: file.subarray(lo, hi), fileOffset: lo };
  const fragment = cut.scheme && new ProtectedFragment(parts, cut.scheme);
  fragment?.scan(from);
  const finished = fragment?.finish();
  const plan = planFragment({ tracks: finished?.tracks ?? parts, sequenceNumber: piece + 1 });
  const out = Buffer.alloc(plan.totalBytes);
  let at = writeFragmentHead(plan, out, 0);
  for (const [index, { samples }] of parts.entries()) {
    const end = gather(samples, from, { out, at });
    const one = finished?.samples[index];
    if (one) assert.equal(encryptSamples(one, KEY, { buffer: out, at, sizes: samples.size }), end);
    at = end;
  }
  return out;
};

/** The same segment, window by window. */
const segmentInWindows = (
  file: Buffer,
  cut: Cut & { readonly scheme: ProtectionScheme },
  limits: StepLimits,
): Buffer => {
  const parts = partsOf(cut, 0);
  const samples = parts.map((part) => part.samples);
  const fragment = new ProtectedFragment(parts, cut.scheme);
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
      const [one, { size }] = [finished.samples[part], samples[part] ?? assert.fail()];
      at = one ? encryptSamples(one, KEY, { buffer: out, at, first, end, sizes: size }) : assert.fail();
    }
    windows.push(out);
  }
  return Buffer.concat(windows);
};

const packaged = (file: Buffer, cut: Cut): Buffer =>
  Buffer.concat([
    initSegment(cut.tracks, cut.scheme ? initProtection(protectionOf(cut.scheme)) : undefined),
    ...Array.from({ length: cut.pieces }, (_, piece) => segment(file, cut, piece)),
  ]);

const allTracks = ({ video, audio }: Movie): Track[] => [...video, ...audio];
const DECRYPT = `-decryption_key ${KEY_BYTES.toString("hex")}`;
const FRAMES = "-copyts -i in -map 0 -fps_mode passthrough -f framemd5 -";
const PACKETS = "-copyts -i in -map 0 -c copy -f framemd5 -";

const PICTURE = "-f lavfi -i testsrc2=s=320x180:r=25,noise=alls=20:allf=t -f lavfi -i sine=r=48000 -t 2";
const INPUTS: readonly (readonly [name: string, args: string])[] = [
  ["H.264 with B-frames and AAC", `${PICTURE} -c:v libx264 -bf 2 -g 25 -c:a aac -f mp4`],
  ["H.264 in many slices, mono", `${PICTURE} -c:v libx264 -x264-params slices=11 -g 25 -c:a aac -ac 1 -f mp4`],
  ["H.264 with parameter sets in band", `${PICTURE} -c:v libx264 -tag:v avc3 -g 25 -c:a aac -f mp4`],
  ["HEVC and AC-3", `${PICTURE} -c:v libx265 -x265-params log-level=none -tag:v hvc1 -c:a ac3 -f mp4`],
];

for (const [name, args] of INPUTS) {
  for (const scheme of ["cenc", "cbcs"] as const) {
    test(`${name}, ${scheme}: with the key, ffmpeg sees the same packets and pictures as in the clear`, async () => {
      const file = await mediaFile(args);
      const movie = await openBytes(file);
      for (const tracks of [movie.video, movie.audio, allTracks(movie)]) {
        const clear = packaged(file, { tracks, scheme: null, pieces: 3 });
        const encrypted = packaged(file, { tracks, scheme, pieces: 3 });
        assert.deepEqual(await frameLines(`${DECRYPT} ${PACKETS}`, encrypted), await frameLines(PACKETS, clear));
        assert.deepEqual(await frameLines(`${DECRYPT} ${FRAMES}`, encrypted), await frameLines(FRAMES, clear));
      }
    });
  }
}

test("without the key no sample is what it was, and each has its size", async () => {
  const movie = await openBytes(await mediaFile(INPUTS[0]?.[1] ?? ""));
  const file = await mediaFile(INPUTS[0]?.[1] ?? "");
  for (const scheme of ["cenc", "cbcs"] as const) {
    for (const tracks of [movie.video, movie.audio]) {
      const [clear, encrypted] = [
        segment(file, { tracks, scheme: null, pieces: 1 }, 0),
        segment(file, { tracks, scheme, pieces: 1 }, 0),
      ];
      const [before, after] = [clear, encrypted].map((bytes) => samplesIn(bytes));
      assert.deepEqual(
        after?.map(({ data }) => data.length),
        before?.map(({ data }) => data.length),
      );
      const untouched = after?.filter(({ data }, index) => data.equals(before?.[index]?.data ?? data));
      assert.deepEqual(
        untouched?.filter(({ data }) => data.length >= 64),
        [],
        scheme,
      );
    }
  }
});

test("a segment is the same in one piece and in windows", async () => {
  const file = await mediaFile(INPUTS[0]?.[1] ?? "");
  const movie = await openBytes(file);
  for (const scheme of ["cenc", "cbcs"] as const) {
    const cut = { tracks: allTracks(movie), scheme, pieces: 1 } as const;
    const limits = { windowBytes: 60_000, gapBytes: 2_000, wholeSamples: true };
    assert.ok(segmentInWindows(file, cut, limits).equals(segment(file, cut, 0)), scheme);
  }
});

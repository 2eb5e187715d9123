import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { test } from "node:test";
import type { ProtectionScheme } from "../../domain/cenc/protection.ts";
import { parseFragment } from "../../domain/mp4/fragment.ts";
import type { Movie, Track } from "../../domain/mp4/movie.ts";
import { findBox } from "../../domain/mp4/walk.ts";
import { clearSegment, fragmented, partOf } from "../../test/support/fragmented.ts";
import { frameLines, mediaFile, openBytes } from "../../test/support/media-file.ts";
import { protectedFragments, protectedSegment, protectedWindows, type Secret } from "../../test/support/protected.ts";
import { seeded } from "../../test/support/seeded.ts";
import { encryptSamples, sampleKey } from "./sample-cipher.ts";

const KEY = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const IV = Buffer.alloc(16, 0x5a);
const secretOf = (scheme: ProtectionScheme): Secret => ({
  protection: { scheme, keyId: Buffer.from("9eb4050de44b4802932e27d75083e266", "hex"), constantIv: IV },
  key: sampleKey(KEY, IV),
});
const SCHEMES = ["cenc", "cbcs"] as const;

const allTracks = ({ video, audio }: Movie): Track[] => [...video, ...audio];
const samplesIn = (bytes: Buffer) =>
  parseFragment(findBox(bytes, ["moof"], 0) ?? assert.fail(), findBox(bytes, ["mdat"], 0) ?? assert.fail());

const DECRYPT = `-decryption_key ${KEY.toString("hex")}`;
const FRAMES = "-copyts -i in -map 0 -fps_mode passthrough -f framemd5 -";
const PACKETS = "-copyts -i in -map 0 -c copy -f framemd5 -";

const PICTURE = "-f lavfi -i testsrc2=s=320x180:r=25,noise=alls=20:allf=t -f lavfi -i sine=r=48000 -t 2";
const PLAIN = `${PICTURE} -c:v libx264 -bf 2 -g 25 -c:a aac -f mp4`;
const INPUTS: readonly (readonly [name: string, args: string])[] = [
  ["H.264 with B-frames and AAC", PLAIN],
  ["H.264 in many slices, mono", `${PICTURE} -c:v libx264 -x264-params slices=11 -g 25 -c:a aac -ac 1 -f mp4`],
  ["H.264 with parameter sets in band", `${PICTURE} -c:v libx264 -tag:v avc3 -g 25 -c:a aac -f mp4`],
  ["HEVC and AC-3", `${PICTURE} -c:v libx265 -x265-params log-level=none -tag:v hvc1 -c:a ac3 -f mp4`],
];

for (const [name, args] of INPUTS) {
  for (const scheme of SCHEMES) {
    test(`${name}, ${scheme}: with the key, ffmpeg sees the same packets and pictures as in the clear`, async () => {
      const file = await mediaFile(args);
      const movie = await openBytes(file);
      for (const tracks of [movie.video, movie.audio, allTracks(movie)]) {
        const clear = fragmented(file, tracks, 3);
        const encrypted = protectedFragments(file, { tracks, pieces: 3, ...secretOf(scheme) });
        assert.deepEqual(await frameLines(`${DECRYPT} ${PACKETS}`, encrypted), await frameLines(PACKETS, clear));
        assert.deepEqual(await frameLines(`${DECRYPT} ${FRAMES}`, encrypted), await frameLines(FRAMES, clear));
      }
    });
  }
}

test("without the key no sample is what it was, and each has its size", async () => {
  const file = await mediaFile(PLAIN);
  const { video, audio } = await openBytes(file);
  for (const scheme of SCHEMES) {
    for (const tracks of [video, audio]) {
      const parts = tracks.map((track) => ({ track, samples: partOf(track, 0, 1) }));
      const before = samplesIn(clearSegment(file, parts));
      const after = samplesIn(protectedSegment(file, { tracks, pieces: 1, ...secretOf(scheme) }, 0));
      assert.deepEqual(
        after.map(({ data }) => data.length),
        before.map(({ data }) => data.length),
      );
      const untouched = after.filter(({ data }, index) => data.equals(before[index]?.data ?? data));
      assert.deepEqual(
        untouched.filter(({ data }) => data.length >= 64),
        [],
      );
    }
  }
});

test("a segment is the same in one piece and in windows", async () => {
  const file = await mediaFile(PLAIN);
  const tracks = allTracks(await openBytes(file));
  for (const scheme of SCHEMES) {
    const cut = { tracks, pieces: 1, ...secretOf(scheme) };
    const limits = { windowBytes: 60_000, gapBytes: 2_000, wholeSamples: true };
    assert.ok(protectedWindows(file, cut, limits).equals(protectedSegment(file, cut, 0)), scheme);
  }
});

/** What §10.4 and §9.6 say, block by block. */
const decryptedPattern = (bytes: Buffer): Buffer => {
  const out = Buffer.from(bytes);
  const decipher = createDecipheriv("aes-128-cbc", KEY, IV).setAutoPadding(false);
  for (let at = 0; at + 16 <= bytes.length; at += 160) decipher.update(bytes.subarray(at, at + 16)).copy(out, at);
  return out;
};
const decryptedCounter = (bytes: Buffer, iv: bigint): Buffer => {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(iv);
  return createDecipheriv("aes-128-ctr", KEY, counter).update(bytes);
};

test("parts of any length are encrypted as the standard says, and nothing around them", () => {
  const random = seeded(81);
  for (const bytes of [0, 1, 15, 16, 17, 160, 175, 176, 65_536, 655_360, 655_377, 1_400_001]) {
    const clear = Buffer.from(Uint8Array.from({ length: bytes + 20 }, () => random.int(256)));
    const subsamples = {
      starts: Uint32Array.of(0, 2),
      clearBytes: Uint16Array.of(7, 6),
      protectedBytes: Uint32Array.of(bytes, 0),
    };
    for (const scheme of SCHEMES) {
      const buffer = Buffer.from(clear);
      const sample = { scheme, count: 1, firstIv: 5n, subsamples };
      const end = encryptSamples(sample, sampleKey(KEY, IV), { buffer, at: 3, sizes: Uint32Array.of(bytes + 13) });
      assert.equal(end, bytes + 16);
      const part = buffer.subarray(10, 10 + bytes);
      const decrypted = scheme === "cenc" ? decryptedCounter(part, 5n) : decryptedPattern(part);
      assert.ok(Buffer.concat([buffer.subarray(0, 10), decrypted, buffer.subarray(10 + bytes)]).equals(clear));
    }
  }
});

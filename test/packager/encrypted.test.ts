/** Encryption of all kinds, over inputs of each codec: decrypted by others, what is served is the source. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerOf } from "./client.ts";
import { assertAes128, assertCommon, assertNotInTs, assertSampleAes } from "./encrypted.ts";
import { inputsServed, NOT_IN_TS } from "./subjects.ts";

const SECRET = { CASTERPAK_ENCRYPTION_SECRET: "a-secret-for-tests-only" };
/** Of each codec that is encrypted in its own way, and of each kind of time. */
const INPUTS = [
  "moov-last",
  "b-frames-3",
  "hevc-hvc1",
  "captions-608",
  "two-languages",
  "audio-only",
  "ac-3",
  "video-late",
];
/** Encrypted by samples, they have no form in a transport stream. */
const NO_SAMPLE_AES = ["hevc-hvc1", "ac-3", "opus"];

for (const scheme of ["cenc", "cbcs"] as const) {
  describe(scheme, { concurrency: 2 }, () => {
    const inputs = inputsServed({ CASTERPAK_ENCRYPTION_METHOD: scheme, ...SECRET });
    for (const name of [...INPUTS, "opus"]) {
      test(`${name}: ffmpeg with the key gets the source's samples, in HLS and DASH`, async () => {
        const subject = await inputs().subject(name);
        await assertCommon(subject, { scheme });
        if (scheme === "cenc") await assertNotInTs(subject);
        else if (NO_SAMPLE_AES.includes(name)) await assertNotInTs(subject);
        else await assertSampleAes(subject);
      });
    }
    test("video without NAL units is 415", async () => {
      for (const name of ["av1", "vp9"]) {
        const address = await inputs().addressOf(name);
        for (const leaf of ["cmaf.m3u8", "cmaf_0_v.m3u8", "manifest.mpd", "init_0_v.mp4", "segment1_0_v.m4s"]) {
          assert.equal((await answerOf(`${address}/${leaf}`)).status, 415, `${name} ${leaf}`);
        }
      }
    });
  });
}

describe("AES-128", { concurrency: 2 }, () => {
  const inputs = inputsServed({ CASTERPAK_ENCRYPTION_METHOD: "aes-128", ...SECRET });
  for (const name of [...INPUTS, "av1"]) {
    test(`${name}: OpenSSL and ffmpeg get the source's samples, in TS and fMP4`, async () => {
      await assertAes128(await inputs().subject(name), { inTs: !NOT_IN_TS.has(name) });
    });
  }
});

/**
 * Every input in every format and every encryption: all that the plain tests try on some, and what takes a decoder for
 * each: segments by themselves, tracks by themselves, I-frames, cuts of other lengths.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertAlone } from "./alone.ts";
import { answerOf, assertHead, assertRanges, got } from "./client.ts";
import { assertMpd } from "./dash.ts";
import { assertAes128, assertCommon, assertNotInTs, assertSampleAes } from "./encrypted.ts";
import { assertPlayed } from "./expected.ts";
import { assertFmp4, assertSameCuts, assertTs } from "./formats.ts";
import { assertIFrames } from "./iframes.ts";
import { mediaList } from "./lists.ts";
import { play } from "./play.ts";
import { inputsServed, NOT_IN_TS, SERVED, type Subject } from "./subjects.ts";

const SECRET = { CASTERPAK_ENCRYPTION_SECRET: "a-secret-for-tests-only" };

/** Tracks by themselves and key frames by themselves, as ffmpeg plays them. */
const assertTracksPlayed = async (subject: Subject, { inTs }: { readonly inTs: boolean }): Promise<void> => {
  const { url, truth } = subject;
  const keys = truth.video && { ...truth.video, samples: truth.video.samples.filter(({ isKey }) => isKey) };
  const named = [
    ...(truth.video ? [["v", truth.video] as const] : []),
    ...truth.audio.map((track, index) => [index === 0 ? "a" : `a${index + 1}`, track] as const),
  ];
  const lists = [
    ...named.map(([name, track]) => ({ leaf: `cmaf_0_${name}.m3u8`, track, container: "fmp4" as const })),
    ...(keys ? [{ leaf: "cmaf_iframes_0_v.m3u8", track: keys, container: "fmp4" as const, keysOnly: true }] : []),
    ...(inTs ? named.map(([name, track]) => ({ leaf: `index_0_${name}.m3u8`, track, container: "ts" as const })) : []),
    ...(inTs && keys ? [{ leaf: "iframes_0_v.m3u8", track: keys, container: "ts" as const, keysOnly: true }] : []),
  ];
  const played = await play(lists.map(({ leaf }) => `${url}/${leaf}`));
  for (const [index, { leaf, track, ...how }] of lists.entries())
    assertPlayed(played[index] ?? [], { subject, tracks: [track], label: leaf, ...how });
};

/** Each segment and init segment of a playlist. */
const assertAnswers = async (url: string): Promise<void> => {
  const { segments, init } = await mediaList(url);
  for (const address of [...segments.map((segment) => segment.url), ...(init === null ? [] : [init]), url]) {
    const answer = await got(address);
    await assertHead(address, answer);
    if (address !== url) await assertRanges(address, answer);
  }
};

for (const seconds of ["1", "2", "6"]) {
  describe(`segments of ${seconds} s`, { concurrency: 2 }, () => {
    const inputs = inputsServed({ CASTERPAK_OUTPUT_SEGMENTDURATION: seconds });
    for (const name of SERVED) {
      test(`${name}: all formats, tracks and segments by themselves`, async () => {
        const subject = await inputs().subject(name);
        const inTs = !NOT_IN_TS.has(name);
        const fmp4 = await assertFmp4(subject);
        const ts = inTs ? await assertTs(subject) : null;
        if (ts) assertSameCuts(ts, fmp4, subject.truth.video ? "video" : "audio");
        await assertMpd(subject);
        await assertIFrames(subject, { inTs });
        await assertTracksPlayed(subject, { inTs });
        await assertAlone(subject, { fmp4, ts });
        await assertAnswers(fmp4.list.url);
        if (ts) await assertAnswers(ts.list.url);
      });
    }
  });
}

/** Codecs that common encryption has no form for here. */
const NOT_ENCRYPTED = ["av1", "av1-10-bit-coloured", "vp9"];
const isAvc = ({ truth }: Subject): boolean => truth.video === null || /^avc/.test(truth.video.codecs);
const isAac = ({ truth }: Subject): boolean => truth.audio.slice(0, 1).every(({ codecs }) => /^mp4a\.40/.test(codecs));

for (const scheme of ["cenc", "cbcs"] as const) {
  describe(scheme, { concurrency: 2 }, () => {
    const inputs = inputsServed({ CASTERPAK_ENCRYPTION_METHOD: scheme, ...SECRET });
    for (const name of SERVED) {
      test(`${name}: decrypted by others, it is the source`, async () => {
        const subject = await inputs().subject(name);
        if (NOT_ENCRYPTED.includes(name)) {
          assert.equal((await answerOf(`${subject.url}/cmaf_0_av.m3u8`)).status, 415);
          return;
        }
        await assertCommon(subject, { scheme });
        if (scheme === "cbcs" && isAvc(subject) && isAac(subject)) await assertSampleAes(subject);
        else await assertNotInTs(subject);
      });
    }
  });
}

describe("AES-128", { concurrency: 2 }, () => {
  const inputs = inputsServed({ CASTERPAK_ENCRYPTION_METHOD: "aes-128", ...SECRET });
  for (const name of SERVED) {
    test(`${name}: decrypted by others, it is the source`, async () => {
      const subject = await inputs().subject(name);
      await assertAes128(subject, { inTs: !NOT_IN_TS.has(name) });
    });
  }
});

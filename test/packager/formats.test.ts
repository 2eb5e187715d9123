/**
 * Every input in every format, by its bytes: what is served has the source's samples, each once, unchanged, at the
 * source's times, in segments that begin at the same places. Judged by mediabunny and by the standards' own rules.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerOf, assertHead, assertRanges } from "./client.ts";
import { assertMpd } from "./dash.ts";
import { assertFmp4, assertSameCuts, assertTs } from "./formats.ts";
import { assertIFrames } from "./iframes.ts";
import { assertMasters } from "./rates.ts";
import { inputsServed, NOT_IN_TS, REFUSED, SERVED } from "./subjects.ts";

const TS_LEAVES = ["master.m3u8", "index.m3u8", "segment1_0_av.ts"];
const FMP4_LEAVES = ["cmaf.m3u8", "cmaf_0_av.m3u8", "init_0_av.mp4", "segment1_0_av.m4s", "manifest.mpd"];
const ANSWERED = [
  ...[...TS_LEAVES, "index_0_a.m3u8", "segment2_0_a.ts", "segment3_0_v.ts", "iframe2_0_v.ts"],
  ...[...FMP4_LEAVES, "segment2_0_a.m4s", "segment3_0_v.m4s", "iframe2_0_v.m4s", "init_0_a.mp4"],
];

describe("every input", { concurrency: 2 }, () => {
  const inputs = inputsServed();

  for (const name of SERVED) {
    test(`${name}: every format has the source's samples at their times, cut at the same places`, async () => {
      const subject = await inputs().subject(name);
      const fmp4 = await assertFmp4(subject);
      const inTs = !NOT_IN_TS.has(name);
      await assertMpd(subject);
      await assertIFrames(subject, { inTs });
      if (subject.truth.audio.length < 2) await assertMasters(subject, { inTs });
      if (!inTs) return;
      const ts = await assertTs(subject);
      assertSameCuts(ts, fmp4, subject.truth.video ? "video" : "audio");
    });
  }

  for (const name of REFUSED) {
    test(`${name} is 415 in every format`, async () => {
      const address = await inputs().addressOf(name);
      for (const leaf of [...TS_LEAVES, ...FMP4_LEAVES]) {
        assert.equal((await answerOf(`${address}/${leaf}`)).status, 415, leaf);
      }
    });
  }

  test("HEAD is GET without the content, and ranges of any media join to the whole", async () => {
    for (const name of ["moov-last", "hevc-hvc1", "two-languages"]) {
      const address = await inputs().addressOf(name);
      for (const leaf of ANSWERED) {
        const url = `${address}/${leaf}`;
        const answer = await answerOf(url);
        if (answer.status !== 200) continue; // a track that is not there
        await assertHead(url, answer);
        if (!/m3u8|mpd/.test(leaf)) await assertRanges(url, answer);
      }
    }
  });

  test("codecs that have no place in a transport stream are 415 there and served in fMP4", async () => {
    for (const name of NOT_IN_TS) {
      const address = await inputs().addressOf(name);
      for (const leaf of TS_LEAVES) assert.equal((await answerOf(`${address}/${leaf}`)).status, 415, `${name} ${leaf}`);
      for (const leaf of FMP4_LEAVES)
        assert.equal((await answerOf(`${address}/${leaf}`)).status, 200, `${name} ${leaf}`);
    }
  });
});

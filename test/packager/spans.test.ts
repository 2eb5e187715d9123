/** `start` and `end` (C-65): whole segments, the same bytes under the same names, in every format. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { textOf } from "./client.ts";
import { readMpd } from "./dash.ts";
import { assertPlayed, assertPlayedToAnEnd } from "./expected.ts";
import { fmp4Stream } from "./formats.ts";
import { mediaList } from "./lists.ts";
import { play } from "./play.ts";
import { inputsServed } from "./subjects.ts";
import type { SampledTrack } from "./truth.ts";

const SPANS = { "start=3&end=5": [1, 3], "start=4": [2, 4], "start=0&end=1": [0, 1] } as const;

describe("start and end", () => {
  const inputs = inputsServed();
  for (const [query, [first, end]] of Object.entries(SPANS)) {
    test(`${query}: segments ${first + 1} to ${end} of four, in HLS of both kinds and in DASH`, async () => {
      const subject = await inputs().subject("moov-last");
      const { url, truth } = subject;
      const whole = await fmp4Stream(`${url}/cmaf_0_av.m3u8`, { hasVideo: true });
      const part = (track: SampledTrack): SampledTrack => {
        const counts = whole.segments.map((segment) => segment[track.kind].length);
        const before = (index: number): number => counts.slice(0, index).reduce((sum, count) => sum + count, 0);
        return { ...track, samples: track.samples.slice(before(first), before(end)) };
      };
      const tracks = [truth.video ?? assert.fail(), ...truth.audio].map(part);
      const { segments } = await mediaList(`${url}/cmaf_0_av.m3u8?${query}`);
      assert.deepEqual(segments, whole.list.segments.slice(first, end));
      const leaves = ["manifest.mpd", "cmaf_0_av.m3u8", "index.m3u8"].map((leaf) => `${url}/${leaf}?${query}`);
      const [dash = [], fmp4 = [], ts = []] = await play(leaves);
      assertPlayedToAnEnd(dash, { subject, tracks, container: "fmp4", label: "DASH" });
      assertPlayed(fmp4, { subject, tracks, container: "fmp4", label: "fMP4" });
      assertPlayed(ts, { subject, tracks, container: "ts", label: "TS" });
      const { representations } = readMpd(await textOf(`${url}/manifest.mpd?${query}`));
      for (const { entries, template } of representations) {
        assert.equal(entries.length, end - first);
        assert.equal(Number(template.startNumber), first + 1);
      }
    });
  }
});

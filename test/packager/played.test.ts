/** Every input in every format, played by ffmpeg: nothing to complain of, and all frames at their times. */
import { describe, test } from "node:test";
import { assertPlayed, assertPlayedToAnEnd } from "./expected.ts";
import { play } from "./play.ts";
import { inputsServed, NOT_IN_TS, SERVED } from "./subjects.ts";

describe("every input", { concurrency: 2 }, () => {
  const inputs = inputsServed();

  for (const name of SERVED) {
    test(`${name}: ffmpeg plays HLS of both kinds and DASH without a word`, async () => {
      const subject = await inputs().subject(name);
      const { url, truth } = subject;
      const isInTs = !NOT_IN_TS.has(name);
      const addresses = [`${url}/manifest.mpd`, `${url}/cmaf_0_av.m3u8`, ...(isInTs ? [`${url}/index.m3u8`] : [])];
      const [dash = [], fmp4 = [], ts] = await play(addresses);
      const video = truth.video ? [truth.video] : [];
      const first = [...video, ...truth.audio.slice(0, 1)];
      assertPlayedToAnEnd(dash, { subject, tracks: [...video, ...truth.audio], container: "fmp4", label: "DASH" });
      assertPlayed(fmp4, { subject, tracks: first, container: "fmp4", label: "fMP4" });
      if (ts) assertPlayed(ts, { subject, tracks: first, container: "ts", label: "TS" });
    });
  }
});

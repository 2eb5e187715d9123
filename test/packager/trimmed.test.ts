/**
 * A file of which an edit list cuts off the beginning: served is what is shown, and the GOP that it is decoded from.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { tempDir } from "../support/platform.ts";
import { assertMpd } from "./dash.ts";
import { assertPlayed, assertPlayedToAnEnd } from "./expected.ts";
import { assertFmp4, assertSameCuts, assertTs } from "./formats.ts";
import { assertIFrames } from "./iframes.ts";
import { mediaList } from "./lists.ts";
import { rendition, trim } from "./media.ts";
import { play } from "./play.ts";
import { type Truth, truthOf } from "./truth.ts";

const SECONDS = 40;
const TRIMMED = { afterKeyFrame: 31, atKeyFrame: 30, withinFirstGop: 1 };

/** From the last key frame before zero on. */
const shown = ({ video, audio }: Truth): Truth => {
  assert.ok(video);
  const keys = video.samples.filter(({ isKey, ptsSeconds }) => isKey && ptsSeconds < 0.004);
  const from = video.samples.indexOf(keys.at(-1) ?? assert.fail());
  const start = video.samples[from]?.ptsSeconds ?? 0;
  // Frames that start before the first picture are of no use, unless nothing is cut off.
  const heard = (samples: Truth["audio"][number]["samples"]) =>
    from === 0 ? samples : samples.filter(({ ptsSeconds }) => ptsSeconds >= start - 1e-6);
  return {
    video: { ...video, samples: video.samples.slice(from) },
    audio: audio.map((track) => ({ ...track, samples: heard(track.samples) })),
  };
};

for (const [name, seconds] of Object.entries(TRIMMED)) {
  test(`${seconds} of ${SECONDS} s cut off (${name}): all formats have what is shown, from its key frame on`, async (t) => {
    const folder = await tempDir(t);
    const file = path.join(folder, "trimmed.mp4");
    await rendition(file, { width: 64, gop: 50, seconds: SECONDS });
    await trim(file, seconds);
    const packager = await startTestPackager(t, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "2" } });
    const url = `${packager.url}/i/trimmed.mp4`;
    const truth = shown(await truthOf(file, { reader: "mediabunny" }));
    const subject = { name, url, path: file, truth, lateSeconds: 0 };
    const { totalSeconds } = await mediaList(`${url}/index.m3u8`);
    assert.ok(Math.abs(totalSeconds - (SECONDS - seconds)) < 0.03, `${totalSeconds} s`); // sound is a frame longer
    const fmp4 = await assertFmp4(subject);
    assertSameCuts(await assertTs(subject), fmp4, "video");
    await assertMpd(subject);
    await assertIFrames(subject, { inTs: true });
    const leaves = ["index.m3u8", "cmaf_0_av.m3u8", "manifest.mpd"];
    const [ts = [], muxed = [], dash = []] = await play(leaves.map((leaf) => `${url}/${leaf}`));
    const tracks = [...(truth.video ? [truth.video] : []), ...truth.audio];
    assertPlayed(ts, { subject, tracks, container: "ts", label: "TS" });
    assertPlayed(muxed, { subject, tracks, container: "fmp4", label: "fMP4" });
    assertPlayedToAnEnd(dash, { subject, tracks, container: "fmp4", label: "DASH" });
  });
}

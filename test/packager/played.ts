/** ffmpeg plays HLS of both kinds and DASH of one file. */
import { assertPlayed, assertPlayedToAnEnd } from "./expected.ts";
import { type PlayOptions, play } from "./play.ts";
import { NOT_IN_TS, type Subject } from "./subjects.ts";

export const assertAllPlayed = async (subject: Subject, options: PlayOptions = {}): Promise<void> => {
  const { name, url, truth } = subject;
  const isInTs = !NOT_IN_TS.has(name);
  const addresses = [`${url}/manifest.mpd`, `${url}/cmaf_0_av.m3u8`, ...(isInTs ? [`${url}/index.m3u8`] : [])];
  const [dash = [], fmp4 = [], ts] = await play(addresses, options);
  const video = truth.video ? [truth.video] : [];
  const first = [...video, ...truth.audio.slice(0, 1)];
  assertPlayedToAnEnd(dash, { subject, tracks: [...video, ...truth.audio], container: "fmp4", label: "DASH" });
  assertPlayed(fmp4, { subject, tracks: first, container: "fmp4", label: "fMP4" });
  if (ts) assertPlayed(ts, { subject, tracks: first, container: "ts", label: "TS" });
};

/** I-frame playlists (RFC 8216 §4.3.3.6): each key frame of the source by itself, shown until the next one. */
import assert from "node:assert/strict";
import { assertSamples, assertTsVideo, joined } from "./compare.ts";
import { shownSeconds, TIMES_NEAR_SECONDS } from "./formats.ts";
import { type MediaList, mediaList } from "./lists.ts";
import { fetchAll, fmp4Segments, tsSegments } from "./served.ts";
import type { Subject } from "./subjects.ts";
import type { SampledTrack } from "./truth.ts";

/** A frame is listed for as long as it is shown; the first one also for what is before it. */
const assertListed = ({ url, segments, totalSeconds }: MediaList, keys: SampledTrack, subject: Subject): void => {
  const [from, to] = shownSeconds(subject);
  const starts = keys.samples.map(({ ptsSeconds }) => ptsSeconds + subject.lateSeconds);
  starts[0] = Math.min(from, starts[0] ?? from);
  assert.equal(segments.length, starts.length, url);
  for (const [index, { seconds }] of segments.entries()) {
    const shown = (starts[index + 1] ?? to) - (starts[index] ?? 0);
    assert.ok(Math.abs(seconds - shown) <= TIMES_NEAR_SECONDS, `${url}: frame ${index} for ${seconds} of ${shown}`);
  }
  assert.ok(Math.abs(totalSeconds - (to - (starts[0] ?? 0))) <= TIMES_NEAR_SECONDS, url);
};

export const assertIFrames = async (subject: Subject, { inTs }: { readonly inTs: boolean }): Promise<void> => {
  const { url, truth, lateSeconds, keyServer, rendition: r = 0 } = subject;
  if (!truth.video) return;
  const keys = { ...truth.video, samples: truth.video.samples.filter(({ isKey }) => isKey) };
  const list = await mediaList(`${url}/cmaf_iframes_${r}_v.m3u8`);
  assertListed(list, keys, subject);
  const fetched = await fetchAll(list);
  const frames = joined(await fmp4Segments(fetched, { hasVideo: true, keyServer })).video;
  assertSamples(frames, keys, { label: "I-frames in fMP4", lateSeconds });
  if (!inTs) return;
  const tsList = await mediaList(`${url}/iframes_${r}_v.m3u8`);
  assertListed(tsList, keys, subject);
  const pictures = tsSegments(await fetchAll(tsList));
  assert.ok(pictures.every(({ video, audio }) => video.length === 1 && audio.length === 0));
  assertTsVideo(joined(pictures).video, keys, { label: "I-frames in TS", lateSeconds });
};

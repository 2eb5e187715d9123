/** Bit rates of I-frame playlists: each key frame with what its container adds, shown until the next one. */
import type { VideoTrack } from "../mp4/movie.ts";
import { unitPackets } from "../ts/packet-count.ts";
import { missingPackets } from "../ts/pes.ts";
import { PACKET_BYTES } from "../ts/psi.ts";
import { type VideoStream, videoStream } from "../ts/video-stream.ts";
import { firstServedKey } from "./cut.ts";
import type { SegmentPlan, TrackCuts } from "./plan.ts";
import { ratesOfSizes, toldMs } from "./rates.ts";
import type { Rates } from "./rendition.ts";

/** `styp`, `moof` and the header of `mdat` about one sample. */
const FRAGMENT_BYTES = 132;
const TABLE_PACKETS = 2;
const PADDING_BYTES = 16; // AES-128

const packetsOf = (stream: VideoStream, size: number): number =>
  unitPackets(stream, { size, hasDts: false, hasSets: true });

/** Key frames that a list has. */
export interface KeyFrames {
  /** When they are shown, in seconds. */
  readonly times: Float64Array;
  /** Which they are among those that are served; null: all. */
  readonly indexes: Uint32Array | null;
}

/** Of the key frames that a list has. */
export const keyFrameRatesOf = (
  cuts: TrackCuts,
  track: VideoTrack,
  { plan, keyFrames }: { readonly plan: SegmentPlan; readonly keyFrames: KeyFrames },
): { readonly ts: Rates; readonly fmp4: Rates } => {
  const { table } = track;
  const first = firstServedKey(cuts);
  const stream = videoStream(track, false);
  const fmp4 = new Float64Array(keyFrames.times.length);
  const ts = new Float64Array(keyFrames.times.length);
  for (let index = 0; index < fmp4.length; index += 1) {
    const key = first + (keyFrames.indexes?.[index] ?? index);
    const sample = table.syncSamples?.[key] ?? key;
    const size = table.sizeBytes(sample, sample + 1);
    fmp4[index] = size + FRAGMENT_BYTES + PADDING_BYTES;
    const packets = "kind" in stream ? 0 : packetsOf(stream, size);
    ts[index] = (TABLE_PACKETS + packets + missingPackets(packets)) * PACKET_BYTES + PADDING_BYTES;
  }
  const times = Float64Array.from([...keyFrames.times, plan.starts[plan.count] ?? 0]);
  times[0] = Math.min(times[0] ?? 0, plan.starts[0] ?? 0);
  const instants = toldMs(times, 1);
  return { ts: ratesOfSizes(ts, instants), fmp4: ratesOfSizes(fmp4, instants) };
};

/** HLS playlists of a live presentation (draft-pantos-hls-rfc8216bis, named RFC 8216bis below). Relative URIs only. */
import { bandwidthOf } from "../live/bandwidth.ts";
import { type Grid, TICKS_PER_SECOND } from "../live/grid.ts";
import type { Presentation } from "../live/presentation.ts";
import type { Rendition } from "../live/rendition.ts";
import type { Segment } from "../live/segment.ts";

const VERSION = 7; // EXT-X-MAP in a list without I-FRAMES-ONLY needs 6 (§8); players take fMP4 from 7 on for granted
const AUDIO_GROUP = "audio";
const CHANNELS_UNKNOWN = 2;

export interface PlaylistOptions {
  /** What the encoder may use for a rendition, bit/s by name. */
  readonly declaredBps?: Readonly<Record<string, number>>;
  /** URI of a rendition's init segment, relative to its folder. */
  readonly initUri?: (rendition: Rendition) => string;
}

const audioOf = ({ renditions }: Presentation): Rendition | undefined =>
  renditions.find(({ kind }) => kind === "audio");

const variantOf = (presentation: Presentation, video: Rendition, declaredBps: Readonly<Record<string, number>>) => {
  const audio = audioOf(presentation);
  const { info } = video;
  const { num, den } = presentation.grid.frameRate;
  const tracks = audio ? [video, audio] : [video];
  const bandwidths = tracks.map((track) => bandwidthOf(track, presentation.grid, declaredBps[track.name] ?? 0));
  const attributes = [
    `BANDWIDTH=${bandwidths.reduce((sum, { peakBps }) => sum + peakBps, 0)}`,
    `AVERAGE-BANDWIDTH=${bandwidths.reduce((sum, { averageBps }) => sum + averageBps, 0)}`,
    `CODECS="${tracks.flatMap((track) => track.info?.codec ?? []).join(",")}"`,
    `RESOLUTION=${info?.width}x${info?.height}`,
    `FRAME-RATE=${(num / den).toFixed(3)}`,
    ...(audio ? [`AUDIO="${AUDIO_GROUP}"`] : []),
  ];
  return [`#EXT-X-STREAM-INF:${attributes.join(",")}`, `${video.name}/media.m3u8`];
};

/** The multivariant playlist (§4.4.6). Its attributes stay the same as long as the encoder keeps its rates. */
export const multivariantPlaylist = (
  presentation: Presentation,
  { declaredBps = {} }: PlaylistOptions = {},
): string => {
  const audio = audioOf(presentation);
  const lines = ["#EXTM3U", `#EXT-X-VERSION:${VERSION}`, "#EXT-X-INDEPENDENT-SEGMENTS"];
  if (audio) {
    lines.push(
      `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${AUDIO_GROUP}",NAME="main",DEFAULT=YES,AUTOSELECT=YES,` +
        `CHANNELS="${audio.info?.channelCount ?? CHANNELS_UNKNOWN}",URI="${audio.name}/media.m3u8"`,
    );
  }
  for (const video of presentation.renditions.filter(({ kind }) => kind === "video")) {
    lines.push(...variantOf(presentation, video, declaredBps));
  }
  return `${lines.join("\n")}\n`;
};

/**
 * Longest segment there can be, rounded (§4.4.3.1): whole GOPs, and a frame that a hole has lengthened at its start.
 */
export const targetDurationOf = ({ segmentTicks, frameRate }: Grid): number =>
  Math.max(1, Math.round(segmentTicks / TICKS_PER_SECOND + frameRate.den / frameRate.num));

/** The newest complete segments, as many as the window holds. */
const listedSegments = (presentation: Presentation, rendition: Rendition): readonly Segment[] =>
  rendition.segments.slice(-presentation.windowSegments);

/**
 * A media playlist (§4.4.3) of complete segments. Its media sequence number is the first segment's number, so all
 * origins of a channel list the same media under the same numbers. TARGETDURATION comes from the grid and never
 * changes. No EXT-X-SERVER-CONTROL: HOLD-BACK is three target durations without it (§4.4.3.8), and strict parsers take
 * the tag with blocking reload only.
 */
export const mediaPlaylist = (
  presentation: Presentation,
  rendition: Rendition,
  { initUri = () => "init.mp4" }: PlaylistOptions = {},
): string => {
  const timescale = rendition.info?.timescale ?? TICKS_PER_SECOND;
  const segments = listedSegments(presentation, rendition);
  const target = targetDurationOf(presentation.grid);
  const lines = [
    "#EXTM3U",
    `#EXT-X-VERSION:${VERSION}`,
    `#EXT-X-TARGETDURATION:${target}`,
    `#EXT-X-MEDIA-SEQUENCE:${segments[0]?.number ?? 0}`,
    "#EXT-X-INDEPENDENT-SEGMENTS",
    `#EXT-X-MAP:URI="${initUri(rendition)}"`,
  ];
  for (const { number, duration, programDateTimeMs } of segments) {
    lines.push(
      `#EXT-X-PROGRAM-DATE-TIME:${new Date(Math.round(programDateTimeMs)).toISOString()}`,
      `#EXTINF:${(duration / timescale).toFixed(5)},`,
      `${number}.m4s`,
    );
  }
  return `${lines.join("\n")}\n`;
};

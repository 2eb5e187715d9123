/**
 * Media playlists of stored files (RFC 8216 §4.3.3), in the shape that MSOD and the seed's README give them. Times come
 * from the plan, rounded to milliseconds as instants and not as durations, so that their sum stays the file's duration.
 */
import { type Container, leafName, type TrackChoice, tracksText } from "../csmil/leaf.ts";
import type { SegmentPlan } from "../vod/plan.ts";
import type { Rendition, RenditionTrack } from "../vod/rendition.ts";
import { type SegmentRange, wholeRange } from "../vod/selection.ts";

/** EXT-X-KEY (§4.3.2.4). */
export interface PlaylistKey {
  readonly method: "AES-128" | "SAMPLE-AES" | "SAMPLE-AES-CTR";
  readonly uri: string;
  /** 32 hex digits for all segments, or those of one by its 1-based number; null: the media sequence number. */
  readonly iv: string | ((segmentNumber: number) => string) | null;
  readonly keyFormat?: string;
  readonly keyFormatVersions?: string;
}

interface ListOptions {
  /** Put before each URI: empty, or an absolute URL that ends with a slash. */
  readonly base: string;
  /** Put behind each URI after a `?`, already encoded: `v=…`. Empty: none. */
  readonly query: string;
  /** What `start` and `end` leave; all segments when absent. */
  readonly range?: SegmentRange;
  /** Of the whole set, since all its playlists must tell the same (§6.2.4); else of this rendition. */
  readonly targetDuration?: number;
  /** More segments follow: an event, which players are told to show from its beginning (§4.3.3.5, §4.3.5.2). */
  readonly isGrowing?: boolean;
}

/** What a media playlist is made by. */
export interface MediaListOptions extends ListOptions {
  readonly container: Container;
  readonly tracks: TrackChoice;
  /** 0-based number of the rendition in the names of its segments. */
  readonly rendition: number;
  readonly keys?: readonly PlaylistKey[];
  /** EXT-X-VERSION is at least this: `set-akamai-hls-revision` asks for it (C-67). */
  readonly leastVersion?: number;
}

const VERSION_TS = 3; // §7: decimal EXTINF
const VERSION_IFRAMES = 4;
const VERSION_KEYFORMAT = 5; // KEYFORMAT and its versions
const VERSION_FMP4 = 7; // EXT-X-MAP outside of I-frame lists needs 6; players take fMP4 from 7 on for granted

const toMs = (seconds: number): number => Math.round(seconds * 1_000);
const decimals = (ms: number): string => `${Math.floor(ms / 1_000)}.${String(ms % 1_000).padStart(3, "0")}`;
const suffixOf = (query: string): string => (query === "" ? "\n" : `?${query}\n`);

/** Milliseconds at which the segments of a playlist begin, and the end of the last one. */
type Instants = Float64Array;

const instantsOf = (values: Float64Array, perSecond: number): Instants =>
  values.map((value) => toMs(value / perSecond));
const longestMs = (instants: Instants): number => {
  let longest = 0;
  for (let n = 1; n < instants.length; n += 1) longest = Math.max(longest, instants[n]! - instants[n - 1]!);
  return longest;
};
const roundedSeconds = (ms: number): number => Math.max(1, Math.round(ms / 1_000));

/**
 * EXT-X-TARGETDURATION (§4.3.3.1): no segment of the renditions, rounded, is longer. Audio by itself is cut at its own
 * frames and may be a frame longer than the video.
 */
export const targetDurationOf = (renditions: readonly Rendition[]): number => {
  let longest = 0;
  for (const { plan, audio } of renditions) {
    longest = Math.max(longest, longestMs(instantsOf(plan.starts, 1)));
    for (const track of audio) longest = Math.max(longest, longestMs(instantsOf(track.segmentTicks, track.timescale)));
  }
  return roundedSeconds(longest);
};

const keyLine = (key: PlaylistKey, segmentNumber: number): string => {
  const iv = typeof key.iv === "function" ? key.iv(segmentNumber) : key.iv;
  return (
    `#EXT-X-KEY:METHOD=${key.method},URI="${key.uri}"` +
    (iv === null ? "" : `,IV=0x${iv}`) +
    (key.keyFormat === undefined ? "" : `,KEYFORMAT="${key.keyFormat}"`) +
    (key.keyFormatVersions === undefined ? "" : `,KEYFORMATVERSIONS="${key.keyFormatVersions}"`) +
    "\n"
  );
};
const keyLines = (keys: readonly PlaylistKey[], segmentNumber: number): string =>
  keys.map((key) => keyLine(key, segmentNumber)).join("");

/** One IV, told once. */
const isSteady = ({ iv }: PlaylistKey): boolean => typeof iv !== "function";

interface Body {
  readonly instants: Instants;
  readonly range: SegmentRange;
  /** Around the 1-based number in each URI. */
  readonly before: string;
  readonly after: string;
  /** Keys whose IV is another one for each segment. */
  readonly changingKeys: readonly PlaylistKey[];
  /** 0-based numbers in the URIs; absent: places in the playlist. */
  readonly numbers?: Uint32Array | null | undefined;
  readonly isGrowing: boolean;
}

// Appended to a text: a thousand lines in a tenth of a millisecond (measured).
const body = ({ instants, range, before, after, changingKeys, numbers, isGrowing }: Body): string => {
  let text = "";
  let lastMs = -1;
  let extinf = "";
  for (let n = range.first; n < range.end; n += 1) {
    const ms = instants[n + 1]! - instants[n]!;
    if (ms !== lastMs) {
      lastMs = ms;
      extinf = `#EXTINF:${decimals(ms)},\n${before}`;
    }
    const number = (numbers?.[n] ?? n) + 1;
    if (changingKeys.length > 0) text += keyLines(changingKeys, number);
    text += extinf + number + after;
  }
  return isGrowing ? text : `${text}#EXT-X-ENDLIST\n`;
};

interface Head {
  readonly target: number;
  readonly version: number;
  readonly first: number;
  readonly isGrowing: boolean;
}
const VOD = "#EXT-X-PLAYLIST-TYPE:VOD\n";
const EVENT = "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n";
// In the order of the README; ALLOW-CACHE went with version 7 of the protocol.
const head = ({ target, version, first, isGrowing }: Head): string =>
  `#EXTM3U\n#EXT-X-TARGETDURATION:${target}\n${version < VERSION_FMP4 ? "#EXT-X-ALLOW-CACHE:YES\n" : ""}` +
  `${isGrowing ? EVENT : VOD}#EXT-X-VERSION:${version}\n#EXT-X-MEDIA-SEQUENCE:${first + 1}\n`;

const mapLine = ({ base, query }: ListOptions, rendition: number, tracks: TrackChoice): string =>
  `#EXT-X-MAP:URI="${base}${leafName({ kind: "init", rendition, tracks })}${query === "" ? "" : `?${query}`}"\n`;

const versionOf = ({
  container,
  keys = [],
  leastVersion = 0,
}: Pick<MediaListOptions, "container" | "keys" | "leastVersion">): number => {
  if (container === "fmp4") return Math.max(VERSION_FMP4, leastVersion);
  const keyFormats = keys.some(({ method, keyFormat }) => method !== "AES-128" || keyFormat !== undefined);
  return Math.max(keyFormats ? VERSION_KEYFORMAT : VERSION_TS, leastVersion);
};

const instantsOfTracks = ({ plan, audio }: Rendition, tracks: TrackChoice): Instants => {
  const alone = tracks.video ? undefined : audio[tracks.audio ?? 0];
  return alone ? instantsOf(alone.segmentTicks, alone.timescale) : instantsOf(plan.starts, 1);
};

/**
 * The media playlist of some tracks of a rendition. Keys come behind EXT-X-MAP: the init section is never encrypted as
 * a whole (§4.3.2.5).
 */
export const vodMediaPlaylist = (rendition: Rendition, options: MediaListOptions): string => {
  const { container, tracks, base, query, keys = [], isGrowing = false } = options;
  const range = options.range ?? wholeRange(rendition.plan);
  const fmp4 = container === "fmp4";
  const target = options.targetDuration ?? targetDurationOf([rendition]);
  return (
    head({ target, version: versionOf(options), first: range.first, isGrowing }) +
    (fmp4 ? `#EXT-X-INDEPENDENT-SEGMENTS\n${mapLine(options, options.rendition, tracks)}` : "") +
    keyLines(keys.filter(isSteady), range.first + 1) +
    body({
      instants: instantsOfTracks(rendition, tracks),
      range,
      before: `${base}segment`,
      after: `_${options.rendition}_${tracksText(tracks)}.${fmp4 ? "m4s" : "ts"}${suffixOf(query)}`,
      changingKeys: keys.filter((key) => !isSteady(key)),
      isGrowing,
    })
  );
};

/** Key frames that are presented in the range, 0-based; ends are open at the ends of the presentation. */
const keyFrameRange = ({ keyFrames }: RenditionTrack, plan: SegmentPlan, range: SegmentRange): SegmentRange => {
  const from = range.first === 0 ? Number.NEGATIVE_INFINITY : plan.starts[range.first]! - 1e-6;
  const to = range.end === plan.count ? Number.POSITIVE_INFINITY : plan.starts[range.end]! - 1e-6;
  const first = keyFrames.findIndex((time) => time >= from);
  if (first === -1) return { first: 0, end: 0 };
  const end = keyFrames.findIndex((time) => time >= to);
  return { first, end: end === -1 ? keyFrames.length : end };
};

/** What an I-frame playlist is made by. */
export interface IFrameListOptions extends ListOptions {
  readonly container: Container;
  readonly rendition: number;
  readonly keys?: readonly PlaylistKey[];
}

/**
 * The I-frame playlist of a rendition's video (§4.3.3.6): a segment for each key frame that is listed, each with what
 * it needs to be decoded. A frame is shown until the next one; the first stands for what is before it too, so that
 * times are the same as in the other playlists. Its target duration is its own (§6.2.4).
 */
export const vodIFramePlaylist = (rendition: Rendition, options: IFrameListOptions): string => {
  const { plan, video } = rendition;
  const { container, base, query, keys = [], isGrowing = false } = options;
  const segments = options.range ?? wholeRange(plan);
  const range = video === null ? { first: 0, end: 0 } : keyFrameRange(video, plan, segments);
  const times = new Float64Array((video?.keyFrames.length ?? 0) + 1);
  if (video) times.set(video.keyFrames);
  // A damaged file may show a picture after its end.
  times[range.end] = Math.max(plan.starts[segments.end]!, times[range.end - 1] ?? 0);
  times[range.first] = Math.min(times[range.first]!, plan.starts[segments.first]!);
  const instants = instantsOf(times, 1);
  const fmp4 = container === "fmp4";
  const target = roundedSeconds(longestMs(instants.subarray(range.first, range.end + 1)));
  const version = versionOf({ container, keys, leastVersion: VERSION_IFRAMES });
  return (
    head({ target, version, first: range.first, isGrowing }) +
    "#EXT-X-I-FRAMES-ONLY\n" +
    (fmp4 ? mapLine(options, options.rendition, { video: true, audio: null }) : "") +
    keyLines(keys.filter(isSteady), range.first + 1) +
    body({
      instants,
      range,
      before: `${base}iframe`,
      after: `_${options.rendition}_v.${fmp4 ? "m4s" : "ts"}${suffixOf(query)}`,
      changingKeys: keys.filter((key) => !isSteady(key)),
      isGrowing,
      numbers: video?.keyFrameIndexes,
    })
  );
};

/** What a subtitle's playlist is made by. */
export interface SubtitleListOptions extends ListOptions {
  readonly id: number;
  readonly language: string;
}

/** The playlist of a subtitle (§4.3.4.1, TYPE=SUBTITLES): WebVTT cut where the media are cut. */
export const vodSubtitlePlaylist = (plan: SegmentPlan, options: SubtitleListOptions): string => {
  const { isGrowing = false } = options;
  const instants = instantsOf(plan.starts, 1);
  const range = options.range ?? wholeRange(plan);
  const target = options.targetDuration ?? roundedSeconds(longestMs(instants));
  return (
    head({ target, version: VERSION_TS, first: range.first, isGrowing }) +
    body({
      instants,
      range,
      before: `${options.base}subtitle`,
      after: `_${options.id}_${options.language}.vtt${suffixOf(options.query)}`,
      changingKeys: [],
      isGrowing,
    })
  );
};

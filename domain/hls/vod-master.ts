/**
 * Multivariant playlists of stored files (RFC 8216 §4.3.4): the TS one in the shape of the seed's README, richer where
 * `set-akamai-hls-revision` asks for it (C-04, C-66, C-67), and the CMAF one with audio in groups. Lines end in CRLF.
 */
import { AUDIO_ONLY, AV, type Container, type Leaf, leafName, VIDEO_ONLY } from "../csmil/leaf.ts";
import type { Variant } from "../csmil/variants.ts";
import type { Rates, Rendition, RenditionTrack } from "../vod/rendition.ts";
import {
  type AudioEntry,
  type AudioGroup,
  audioGroupsOf,
  audioLines,
  type IsOffered,
  quoted,
  type SubtitleTrack,
  subtitleLines,
} from "./vod-groups.ts";
import type { PlaylistKey } from "./vod-media.ts";

/** What a multivariant playlist is made by, besides its variants. */
export interface MasterOptions {
  readonly container: Container;
  /** `set-akamai-hls-revision`; nothing to the CMAF playlist, which has all attributes. */
  readonly revision: 0 | 4 | 5;
  /** False: nothing but PROGRAM-ID and BANDWIDTH (C-66). */
  readonly attributes: boolean;
  /** Media playlists are below each file (all cut at the same places by themselves), or below the set. */
  readonly children: "file" | "set";
  /** Put before names below the set: empty, or an absolute URL that ends with a slash. */
  readonly base: string;
  /** Name of a file's first media playlist (C-08). */
  readonly childManifestFilename: string;
  /** Passed on to media playlists: behind a `?`, already encoded. Empty: none. */
  readonly query: string;
  readonly subtitles: readonly SubtitleTrack[];
  /** Audio that has no place in the container is in no group; all of it has where absent. */
  readonly isOffered?: IsOffered;
  /** Announced as EXT-X-SESSION-KEY (§4.3.4.5); variants that share a key name it once each. */
  readonly sessionKeys: readonly PlaylistKey[];
}

const VERSION_MEDIA = 4; // §7: groups are of version 4; I-frame lists need it
const VERSION_KEYFORMAT = 5;
const VERSION_FMP4 = 7;

/** The whole playlist in the making. */
interface Master {
  readonly options: MasterOptions;
  readonly groups: ReadonlyMap<Variant, AudioGroup>;
  /** Attributes and tags beyond the README's. */
  readonly rich: boolean;
  /** There are closed captions, and they are told of. */
  readonly captions: boolean;
}

/** Where a leaf of a variant's rendition is: the file's own first rendition, or the set's. */
const uriOf = ({ options }: Master, { rendition, index }: Variant, leafAt: (r: number) => Leaf): string => {
  const query = options.query === "" ? "" : `?${options.query}`;
  if (options.children === "set") return `${options.base}${leafName(leafAt(index))}${query}`;
  const name = leafName(leafAt(0));
  const isFirstMedia = name === "index_0_av.m3u8";
  return `${rendition.uri}/${isFirstMedia ? options.childManifestFilename : name}${query}`;
};

const audioUri = (master: Master, { source, audio }: AudioEntry): string =>
  uriOf(master, source, (rendition) => ({
    kind: "media",
    container: master.options.container,
    rendition,
    tracks: { video: false, audio },
  }));

const variantUri = (master: Master, variant: Variant): string => {
  const { container } = master.options;
  // Without groups (attributes=off) nothing else would bring the sound.
  const muxed = container === "ts" || !master.options.attributes ? AV : VIDEO_ONLY;
  const alone = variant.audioOnly || (container === "fmp4" && variant.rendition.video === null);
  const tracks = alone ? AUDIO_ONLY : muxed;
  return uriOf(master, variant, (rendition) => ({ kind: "media", container, rendition, tracks }));
};

const NOTHING: Rates = { peakBps: 0, averageBps: 0 };
const both = (one: Rates, other: Rates): Rates => ({
  peakBps: one.peakBps + other.peakBps,
  averageBps: one.averageBps + other.averageBps,
});

/** Of a track by itself. */
const aloneRates = ({ options }: Master, track: RenditionTrack): Rates =>
  options.container === "ts" ? (track.ts ?? track) : track;

const ownRates = (master: Master, { rendition, audioOnly }: Variant): Rates => {
  const { container, attributes } = master.options;
  const { video, audio, muxedPeakBps, muxedAverageBps, muxedFmp4 } = rendition;
  if (audioOnly) return audio[0] ? aloneRates(master, audio[0]) : NOTHING;
  if (container === "ts") return { peakBps: muxedPeakBps, averageBps: muxedAverageBps };
  const sound = audio[0] ?? NOTHING;
  if (!video) return sound;
  return attributes ? video : (muxedFmp4 ?? both(video, sound));
};

/** Of the largest combination that can be played (§4.3.4.2): the variant's own stream and one of its group. */
const ratesOf = (master: Master, variant: Variant): Rates => {
  const own = ownRates(master, variant);
  const others = (master.groups.get(variant)?.entries ?? [])
    .filter(({ muxed }) => !muxed)
    .map(({ track }) => aloneRates(master, track));
  return {
    peakBps: own.peakBps + Math.max(0, ...others.map(({ peakBps }) => peakBps)),
    averageBps: own.averageBps + Math.max(0, ...others.map(({ averageBps }) => averageBps)),
  };
};

/** CODECS: of everything that the variant and its group have, each once (RFC 6381). */
const codecsOf = ({ groups }: Master, variant: Variant): string => {
  const { video, audio } = variant.rendition;
  const group = groups.get(variant);
  const sound = group ? group.entries.map(({ track }) => track) : audio.slice(0, 1);
  const tracks = variant.audioOnly || video === null ? audio.slice(0, 1) : [video, ...sound];
  return `CODECS=${quoted([...new Set(tracks.map(({ codecs }) => codecs))].join(","))}`;
};

export const displayWidth = ({ width, sampleAspectRatio: [horizontal, vertical] }: RenditionTrack): number =>
  Math.round((width * horizontal) / vertical);
const resolutionOf = (video: RenditionTrack): string => `RESOLUTION=${displayWidth(video)}x${video.height}`;

/** NONE is told of all variants or of none (§4.3.4.2); also where nobody looked, as MSOD does without its option. */
const captionsOf = ({ captions }: Master, { closedCaptions }: Rendition): string[] => {
  if (!captions) return ["CLOSED-CAPTIONS=NONE"];
  return closedCaptions === true ? ['CLOSED-CAPTIONS="cc"'] : [];
};

const streamInf = (master: Master, variant: Variant): string => {
  const { options, groups, rich } = master;
  const { rendition, audioOnly, correction } = variant;
  const video = audioOnly ? null : rendition.video;
  const { peakBps, averageBps } = ratesOf(master, variant);
  const fmp4 = options.container === "fmp4";
  const attributes = rich ? [] : ["PROGRAM-ID=1"];
  attributes.push(`BANDWIDTH=${Math.max(1, Math.round(peakBps * correction))}`);
  if (options.attributes) {
    if (rich) attributes.push(`AVERAGE-BANDWIDTH=${Math.round(averageBps)}`);
    if (video) attributes.push(resolutionOf(video));
    // Without CODECS a player can't see that there is no picture or no sound: it switches to it as to any other, or
    // waits for the other one (shaka-player).
    const group = groups.get(variant);
    const isBoth = video && (group || rendition.audio.length > 0);
    if (fmp4 || options.revision === 5 || !isBoth) attributes.push(codecsOf(master, variant));
    if (fmp4 && video && video.frameRate[0] > 0) {
      attributes.push(`FRAME-RATE=${(video.frameRate[0] / video.frameRate[1]).toFixed(3)}`);
    }
    if (group) attributes.push(`AUDIO="${group.id}"`);
    if (options.subtitles.length > 0) attributes.push('SUBTITLES="subtitles"');
    if (rich) attributes.push(...captionsOf(master, rendition));
  }
  return `#EXT-X-STREAM-INF:${attributes.join(",")}`;
};

const iframeLine = (master: Master, variant: Variant, video: RenditionTrack): string => {
  const { container } = master.options;
  const uri = uriOf(master, variant, (rendition) => ({ kind: "iframes", container, rendition }));
  const { peakBps, averageBps } = video.keyFrameRates?.[container] ?? video;
  return (
    `#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=${Math.max(1, Math.round(peakBps))},` +
    `AVERAGE-BANDWIDTH=${Math.round(averageBps)},${resolutionOf(video)},` +
    `CODECS=${quoted(video.codecs)},URI=${quoted(uri)}`
  );
};

/** As EXT-X-KEY says it (§4.3.4.5), without an IV where each segment has its own. */
export const sessionKeyLine = ({ method, uri, iv, keyFormat, keyFormatVersions }: PlaylistKey): string =>
  [
    `#EXT-X-SESSION-KEY:METHOD=${method},URI=${quoted(uri)}`,
    ...(typeof iv === "string" ? [`IV=0x${iv}`] : []),
    ...(keyFormat === undefined ? [] : [`KEYFORMAT=${quoted(keyFormat)}`]),
    ...(keyFormatVersions === undefined ? [] : [`KEYFORMATVERSIONS=${quoted(keyFormatVersions)}`]),
  ].join(",");

/** EXT-X-MEDIA of everything that variants refer to. */
const mediaLines = (master: Master): string[] => {
  const { options, groups, captions } = master;
  if (!options.attributes) return [];
  const query = options.query === "" ? "" : `?${options.query}`;
  const subtitleUri = ({ id, language }: SubtitleTrack): string =>
    `${options.base}${leafName({ kind: "subtitles", id, language })}${query}`;
  return [
    ...[...new Set(groups.values())].flatMap((group) => audioLines(group, (entry) => audioUri(master, entry))),
    ...subtitleLines(options.subtitles, subtitleUri),
    ...(captions ? ['#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC1",INSTREAM-ID="CC1"'] : []),
  ];
};

/** The EXT-X-VERSION that is told; null: none, as in the README. */
const versionOf = (options: MasterOptions, media: readonly string[]): number | null => {
  if (options.container === "fmp4") return VERSION_FMP4;
  if (options.sessionKeys.some(({ method }) => method !== "AES-128")) return VERSION_KEYFORMAT;
  if (options.revision === 5 || media.length > 0) return VERSION_MEDIA;
  return options.revision === 4 ? 3 : null;
};

/**
 * The multivariant playlist of variants in their order. The default TS one is the README's: nothing but EXTM3U, and
 * PROGRAM-ID, BANDWIDTH and RESOLUTION of each. I-frame lists come with revision 5 and with CMAF.
 */
export const vodMasterPlaylist = (variants: readonly Variant[], options: MasterOptions): string => {
  const demuxed = options.container === "fmp4";
  const groups = options.attributes
    ? audioGroupsOf(variants, { demuxed, isOffered: options.isOffered })
    : new Map<Variant, AudioGroup>();
  const rich = demuxed || options.revision !== 0;
  const captions = rich && variants.some(({ rendition }) => rendition.closedCaptions === true);
  const master: Master = { options, groups, rich, captions };
  const media = mediaLines(master);
  const version = versionOf(options, media);
  const lines = ["#EXTM3U"];
  if (version !== null) lines.push(`#EXT-X-VERSION:${version}`);
  if (demuxed) lines.push("#EXT-X-INDEPENDENT-SEGMENTS");
  lines.push(...new Set(options.sessionKeys.map(sessionKeyLine)), ...media); // none may stand there twice
  for (const variant of variants) lines.push(streamInf(master, variant), variantUri(master, variant));
  if ((demuxed || options.revision === 5) && options.attributes) {
    for (const variant of variants) {
      const { video } = variant.rendition;
      if (video && video.keyFrames.length > 0 && !variant.audioOnly) lines.push(iframeLine(master, variant, video));
    }
  }
  return `${lines.join("\r\n")}\r\n`;
};

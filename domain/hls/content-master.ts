/**
 * Multivariant playlists of titles (RFC 8216 §4.3.4): every rung with all that can be told of it. Pure.
 */
import { type Container, leafName, type TrackChoice } from "../csmil/leaf.ts";
import type { Variant } from "../csmil/variants.ts";
import type { Rates, Rendition, RenditionTrack } from "../vod/rendition.ts";
import {
  type AudioEntry,
  type AudioGroup,
  audioGroupsOf,
  audioLines,
  quoted,
  type SubtitleTrack,
  subtitleLines,
} from "./vod-groups.ts";
import { displayWidth, sessionKeyLine } from "./vod-master.ts";
import type { PlaylistKey } from "./vod-media.ts";

export interface ContentVariant {
  /** Its `uri` is the rung's name: what is below the rung is below that folder. */
  readonly rendition: Rendition;
  readonly container: Container;
  /** Media playlist of the variant itself. */
  readonly uri: string;
  /** Sound is in the variant's own stream: of several tracks the first one. */
  readonly isMuxed: boolean;
  readonly range: "SDR" | "PQ" | "HLG";
  /** What it will never exceed; counts while more follows than can be measured. */
  readonly promisedBps: number;
}

export interface ContentMasterOptions {
  readonly subtitles: readonly SubtitleTrack[];
  readonly sessionKeys: readonly PlaylistKey[];
  /** Which of the sound tracks players begin with; by their place. */
  readonly defaultAudio: number;
}

const VERSION_FMP4 = 7;
const VERSION_TS = 6;
const CAPTIONS = "CLOSED-CAPTIONS=NONE"; // what there was of them has become subtitles

interface Grouped {
  readonly id: string;
  readonly group: AudioGroup;
}

const NOTHING: Rates = { peakBps: 0, averageBps: 0 };

const soundRates = (container: Container, track: RenditionTrack): Rates =>
  container === "ts" ? (track.ts ?? track) : track;

/** Of the variant's own stream. */
const ownRates = ({ rendition, container, isMuxed }: ContentVariant): Rates => {
  const { video, muxedPeakBps, muxedAverageBps, muxedFmp4 } = rendition;
  if (!isMuxed) return video ?? NOTHING;
  if (container === "ts") return { peakBps: muxedPeakBps, averageBps: muxedAverageBps };
  return muxedFmp4 ?? NOTHING;
};

/** Of the largest combination that can be played (§4.3.4.2). */
const ratesOf = (variant: ContentVariant, group: AudioGroup | undefined): Rates => {
  const own = ownRates(variant);
  const others = (group?.entries ?? [])
    .filter(({ muxed }) => !muxed)
    .map(({ track }) => soundRates(variant.container, track));
  const most = (of: (rates: Rates) => number): number => Math.max(0, ...others.map(of));
  return {
    peakBps: Math.max(own.peakBps + most((rates) => rates.peakBps), variant.promisedBps),
    averageBps: own.averageBps + most((rates) => rates.averageBps),
  };
};

const resolution = (video: RenditionTrack): string => `RESOLUTION=${displayWidth(video)}x${video.height}`;

const codecs = ({ rendition: { video, audio } }: ContentVariant, group: AudioGroup | undefined): string => {
  const sound = group ? group.entries.map(({ track }) => track) : audio.slice(0, 1);
  const all = [...(video ? [video] : []), ...sound].map((track) => track.codecs);
  return `CODECS=${quoted([...new Set(all)].join(","))}`;
};

const streamInf = (variant: ContentVariant, grouped: Grouped | undefined, hasSubtitles: boolean): string => {
  const { video } = variant.rendition;
  const { peakBps, averageBps } = ratesOf(variant, grouped?.group);
  const attributes = [
    `BANDWIDTH=${Math.max(1, Math.round(peakBps))}`,
    `AVERAGE-BANDWIDTH=${Math.round(averageBps)}`,
    codecs(variant, grouped?.group),
  ];
  if (video) attributes.push(resolution(video));
  if (video && video.frameRate[0] > 0) {
    attributes.push(`FRAME-RATE=${(video.frameRate[0] / video.frameRate[1]).toFixed(3)}`);
  }
  attributes.push(`VIDEO-RANGE=${variant.range}`);
  if (grouped) attributes.push(`AUDIO="${grouped.id}"`);
  if (hasSubtitles) attributes.push('SUBTITLES="subtitles"');
  return `#EXT-X-STREAM-INF:${[...attributes, CAPTIONS].join(",")}\n${variant.uri}`;
};

const iframeInf = ({ rendition, container, range }: ContentVariant): string[] => {
  const { video, uri } = rendition;
  if (!video || video.keyFrames.length === 0) return [];
  const { peakBps, averageBps } = video.keyFrameRates?.[container] ?? video;
  const name = leafName({ kind: "iframes", container, rendition: 0 });
  return [
    `#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=${Math.max(1, Math.round(peakBps))},` +
      `AVERAGE-BANDWIDTH=${Math.round(averageBps)},${resolution(video)},CODECS=${quoted(video.codecs)},` +
      `VIDEO-RANGE=${range},URI=${quoted(`${uri}/${name}`)}`,
  ];
};

const asVariant = ({ rendition }: ContentVariant, index: number): Variant => ({
  rendition,
  index,
  audioOnly: false,
  correction: 1,
});

/** The groups of one container and way of sending: a player never takes sound of another one. */
const groupsOf = (variants: readonly ContentVariant[], defaultAudio: number): ReadonlyMap<ContentVariant, Grouped> => {
  const found = new Map<ContentVariant, Grouped>();
  const ids = new Map<AudioGroup, string>();
  for (const container of ["ts", "fmp4"] as const) {
    for (const isMuxed of [true, false]) {
      const own = variants.filter((one) => one.container === container && one.isMuxed === isMuxed);
      const entries = own.map(asVariant);
      const groups = audioGroupsOf(entries, { demuxed: !isMuxed });
      own.forEach((variant, n) => {
        const entry = entries[n];
        const group = entry && groups.get(entry);
        if (!group) return;
        const id = ids.get(group) ?? `audio${ids.size}`;
        ids.set(group, id);
        const isDefault = (one: AudioEntry): boolean => one.audio === defaultAudio;
        const told = { id, entries: group.entries.map((one) => ({ ...one, isDefault: isDefault(one) })) };
        found.set(variant, { id, group: told });
      });
    }
  }
  return found;
};

const audioUri = (container: Container, { source, audio }: AudioEntry): string => {
  const tracks: TrackChoice = { video: false, audio };
  return `${source.rendition.uri}/${leafName({ kind: "media", container, rendition: 0, tracks })}`;
};

/** The multivariant playlist of variants in their order; there is at least one. */
export const contentMasterPlaylist = (variants: readonly ContentVariant[], options: ContentMasterOptions): string => {
  const { subtitles, sessionKeys, defaultAudio } = options;
  const groups = groupsOf(variants, defaultAudio);
  const media = new Set<string>();
  for (const [{ container }, { group }] of groups) {
    for (const line of audioLines(group, (entry) => audioUri(container, entry))) media.add(line);
  }
  const subtitleUri = ({ id, language }: SubtitleTrack): string => leafName({ kind: "subtitles", id, language });
  const isFmp4 = variants.some(({ container }) => container === "fmp4");
  const lines = [
    "#EXTM3U",
    `#EXT-X-VERSION:${isFmp4 ? VERSION_FMP4 : VERSION_TS}`,
    "#EXT-X-INDEPENDENT-SEGMENTS",
    ...new Set(sessionKeys.map(sessionKeyLine)),
    ...media,
    ...subtitleLines(subtitles, subtitleUri),
    ...variants.map((variant) => streamInf(variant, groups.get(variant), subtitles.length > 0)),
    ...variants.flatMap(iframeInf),
  ];
  return `${lines.join("\n")}\n`;
};

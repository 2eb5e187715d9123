/**
 * The MPD of stored files (ISO/IEC 23009-1), static: one Period, CMAF segments by number with an exact timeline. It
 * lists the same init and media segments as the CMAF playlists.
 */
import { leafName, type TrackChoice, tracksText } from "../csmil/leaf.ts";
import type { Variant } from "../csmil/variants.ts";
import type { SubtitleTrack } from "../hls/vod-groups.ts";
import { isSameAudio } from "../vod/alike.ts";
import { TIME_OFFSET_SECONDS } from "../vod/plan.ts";
import type { Rendition, RenditionTrack } from "../vod/rendition.ts";
import type { SegmentRange } from "../vod/selection.ts";
import { element, textElement } from "./xml.ts";

/** ContentProtection of everything in the MPD (§5.8.4.1; ISO/IEC 23001-7 §11.2; DASH-IF CPS for the licence's URL). */
export interface ContentProtection {
  readonly schemeIdUri: string;
  readonly value?: string;
  /** UUID text. */
  readonly defaultKid?: string;
  readonly psshBase64?: string;
  readonly licenseUrl?: string;
}

/** A presentation that grows at its end (§5.3.1.2: `dynamic`), and that players are to show from its beginning. */
export interface GrowingMpd {
  /** How long it will be: players that stay so far behind what is newest begin at the beginning. */
  readonly wholeSeconds: number;
  readonly updateSeconds: number;
}

/** What an MPD is made by, besides its variants. */
export interface VodMpdOptions {
  /** Segments that `start` and `end` leave: the Period has these, from its own zero. */
  readonly range: SegmentRange;
  /** Absolute URL of the set, with a slash at its end; empty: names are relative to the MPD. */
  readonly base: string;
  /** More segments follow; absent: these are all. */
  readonly growing?: GrowingMpd;
  /** Where segments are: below the set (absent), or below each rendition's own folder, whose first they are. */
  readonly children?: "file" | "set";
  /** Behind the `?` of a rendition's segments, already encoded: `v=…`. Empty: none. */
  readonly segmentQuery: (rendition: Rendition) => string;
  readonly protection: readonly ContentProtection[];
  /** Whole WebVTT files. */
  readonly subtitles: readonly SubtitleTrack[];
  /** Behind the `?` of subtitles: `start=…`, by which their times are shifted too. Empty: none. */
  readonly subtitleQuery: string;
}

const PROFILES = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019";
const ROLES = "urn:mpeg:dash:role:2011";
const CHANNELS = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
const DIRECT_CLOCK = "urn:mpeg:dash:utc:direct:2014";
const SUBTITLE_BPS = 256; // a rate is required, and nobody chooses by this one

/** A track as one Representation. */
interface Stream {
  readonly variant: Variant;
  readonly track: RenditionTrack;
  readonly tracks: TrackChoice;
}

const duration = (seconds: number): string => `PT${seconds.toFixed(3).replace(/\.?0+$/, "")}S`;
const role = (value: string): string => element("Role", { schemeIdUri: ROLES, value });

/** Where the Period's zero is in the presentation, in seconds. */
const originOf = ({ starts }: Rendition["plan"], { first }: SegmentRange): number => (first === 0 ? 0 : starts[first]!);

/** `S` elements (§5.3.9.6): runs of equal durations, the first with its time. */
const timeline = (ticks: Float64Array, { first, end }: SegmentRange): string => {
  const runs: string[] = [];
  for (let n = first; n < end; ) {
    const d = ticks[n + 1]! - ticks[n]!;
    let next = n + 1;
    while (next < end && ticks[next + 1]! - ticks[next]! === d) next += 1;
    const [t, r] = [n === first ? ` t="${ticks[n]!}"` : "", next - n > 1 ? ` r="${next - n - 1}"` : ""];
    runs.push(`<S${t} d="${d}"${r}/>`);
    n = next;
  }
  return element("SegmentTimeline", {}, runs);
};

const timing = ({ track, variant }: Stream, { range }: VodMpdOptions) => ({
  timescale: track.timescale,
  startNumber: range.first + 1,
  presentationTimeOffset: Math.round((TIME_OFFSET_SECONDS + originOf(variant.rendition.plan, range)) * track.timescale),
});

const names = ({ variant, tracks }: Stream, options: VodMpdOptions) => {
  const query = options.segmentQuery(variant.rendition).replaceAll("$", "$$$$"); // §5.3.9.4.4: `$$` is a dollar sign
  const suffix = query === "" ? "" : `?${query}`;
  const isOwn = options.children === "file";
  const [folder, r] = isOwn ? [`${variant.rendition.uri}/`, 0] : ["", variant.index];
  return {
    initialization: `${folder}${leafName({ kind: "init", rendition: r, tracks })}${suffix}`,
    media: `${folder}segment$Number$_${r}_${tracksText(tracks)}.m4s${suffix}`,
  };
};

const isSameTimeline = (one: RenditionTrack, other: RenditionTrack): boolean =>
  one.timescale === other.timescale &&
  one.segmentTicks.length === other.segmentTicks.length &&
  one.segmentTicks.every((time, n) => time === other.segmentTicks[n]);

const representation = (stream: Stream, template: string): string => {
  const { variant, track, tracks } = stream;
  const common = {
    id: `${variant.index}_${tracksText(tracks)}`,
    codecs: track.codecs,
    bandwidth: Math.max(1, Math.round(track.peakBps * variant.correction)),
  };
  if (track.kind === "video") {
    const [frames, seconds] = track.frameRate;
    const frameRate = seconds === 1 ? String(frames) : `${frames}/${seconds}`;
    const picture = {
      width: track.width,
      height: track.height,
      frameRate: frames > 0 ? frameRate : undefined,
      sar: track.sampleAspectRatio.join(":"),
    };
    return element("Representation", { ...common, ...picture }, [template]);
  }
  const channels = element("AudioChannelConfiguration", { schemeIdUri: CHANNELS, value: track.channelCount });
  return element("Representation", { ...common, audioSamplingRate: track.sampleRate }, [channels, template]);
};

const protectionOf = ({ schemeIdUri, value, defaultKid, psshBase64, licenseUrl }: ContentProtection): string =>
  element("ContentProtection", { schemeIdUri, value, "cenc:default_KID": defaultKid }, [
    ...(psshBase64 === undefined ? [] : [textElement("cenc:pssh", {}, psshBase64)]),
    ...(licenseUrl === undefined ? [] : [textElement("dashif:Laurl", { licenseType: "EME-1.0" }, licenseUrl)]),
  ]);

/** One AdaptationSet; its timeline is told once where all its streams have the same (§5.3.9.1: templates inherit). */
const adaptationSet = (streams: readonly Stream[], id: number, options: VodMpdOptions): string => {
  const { track } = streams[0]!;
  const attributes = {
    id,
    contentType: track.kind,
    mimeType: `${track.kind}/mp4`,
    lang: track.language === "und" ? undefined : track.language,
    segmentAlignment: "true",
    startWithSAP: 1,
  };
  const isShared = streams.length > 1 && streams.every((stream) => isSameTimeline(stream.track, track));
  const timeOf = (stream: Stream): string => timeline(stream.track.segmentTicks, options.range);
  const own = (stream: Stream): string =>
    isShared
      ? element("SegmentTemplate", names(stream, options))
      : element("SegmentTemplate", { ...timing(stream, options), ...names(stream, options) }, [timeOf(stream)]);
  const isMain = track.kind === "video" || (streams[0]!.tracks.audio ?? 0) === 0;
  return element("AdaptationSet", attributes, [
    ...options.protection.map(protectionOf),
    ...(track.name === "" ? [] : [textElement("Label", {}, track.name)]),
    role(isMain ? "main" : "alternate"),
    ...(isShared ? [element("SegmentTemplate", timing(streams[0]!, options), [timeOf(streams[0]!)])] : []),
    ...streams.map((stream) => representation(stream, own(stream))),
  ]);
};

const subtitleSet = (subtitle: SubtitleTrack, id: number, { subtitleQuery }: VodMpdOptions): string => {
  const name = leafName({ kind: "subtitleFile", id: subtitle.id, language: subtitle.language });
  const url = textElement("BaseURL", {}, subtitleQuery === "" ? name : `${name}?${subtitleQuery}`);
  return element("AdaptationSet", { id, contentType: "text", mimeType: "text/vtt", lang: subtitle.language }, [
    ...(subtitle.name === "" ? [] : [textElement("Label", {}, subtitle.name)]),
    role(subtitle.forced ? "forced-subtitle" : "subtitle"),
    ...(subtitle.isDefault ? [role("main")] : []),
    element("Representation", { id: `subtitle_${subtitle.id}_${subtitle.language}`, bandwidth: SUBTITLE_BPS }, [url]),
  ]);
};

/** Players switch within a set: so one for each codec, and for audio for each language, layout and name as well. */
const setKey = ({ kind, codecs, language, name, channelCount, sampleRate }: RenditionTrack): string =>
  [kind, codecs.split(".")[0], language, ...(kind === "audio" ? [name, channelCount, sampleRate] : [])].join("\n");

const adaptationStreams = (variants: readonly Variant[]): readonly (readonly Stream[])[] => {
  const sets = new Map<string, Stream[]>();
  const add = (stream: Stream): void => {
    const streams = sets.get(setKey(stream.track)) ?? [];
    const isTwin = (other: Stream): boolean => isSameAudio(stream.track, other.track);
    if (stream.track.kind === "audio" && streams.some(isTwin)) return;
    sets.set(setKey(stream.track), [...streams, stream]);
  };
  for (const variant of variants) {
    if (variant.audioOnly) continue; // audio is by itself already
    const { video, audio } = variant.rendition;
    if (video) add({ variant, track: video, tracks: { video: true, audio: null } });
    for (const [n, track] of audio.entries()) add({ variant, track, tracks: { video: false, audio: n } });
  }
  const isPicture = ([stream]: readonly Stream[]): boolean => stream?.track.kind === "video";
  const all = [...sets.values()];
  return [...all.filter(isPicture), ...all.filter((streams) => !isPicture(streams))];
};

const longestSeconds = (streams: readonly Stream[], { first, end }: SegmentRange): number => {
  let longest = 0;
  for (const { track } of streams) {
    for (let n = first; n < end; n += 1) {
      longest = Math.max(longest, (track.segmentTicks[n + 1]! - track.segmentTicks[n]!) / track.timescale);
    }
  }
  return longest;
};

/**
 * What grows follows no clock: it is made faster or more slowly than it is shown. So its clock is told (§5.8.5.7,
 * `direct`): it began in 1970, and now is the end of what is listed. From every node that is the same.
 */
const instantAfter = (seconds: number): string => new Date(Math.round(seconds * 1_000)).toISOString();
const clockOf = ({ growing }: VodMpdOptions, seconds: number): readonly string[] =>
  growing ? [element("UTCTiming", { schemeIdUri: DIRECT_CLOCK, value: instantAfter(seconds) })] : [];

/** Attributes of the whole that tell when it is; `seconds` are listed. */
const timesOf = ({ growing }: VodMpdOptions, seconds: number): Readonly<Record<string, string>> => {
  if (!growing) return { type: "static", mediaPresentationDuration: duration(seconds) };
  const { wholeSeconds, updateSeconds } = growing;
  return {
    type: "dynamic",
    availabilityStartTime: instantAfter(0),
    publishTime: instantAfter(seconds),
    minimumUpdatePeriod: duration(updateSeconds),
    suggestedPresentationDelay: duration(wholeSeconds),
  };
};

/** The MPD of variants that are cut at the same places; there is at least one. */
export const vodMpd = (variants: readonly Variant[], options: VodMpdOptions): string => {
  const { plan } = variants[0]!.rendition;
  const sets = adaptationStreams(variants);
  const longest = longestSeconds(sets.flat(), options.range);
  const seconds = plan.starts[options.range.end]! - originOf(plan, options.range);
  const isProtected = options.protection.length > 0;
  const attributes = {
    xmlns: "urn:mpeg:dash:schema:mpd:2011",
    "xmlns:cenc": isProtected ? "urn:mpeg:cenc:2013" : undefined,
    "xmlns:dashif": isProtected ? "https://dashif.org/CPS" : undefined,
    profiles: PROFILES,
    ...timesOf(options, seconds),
    minBufferTime: duration(Math.max(1, Math.ceil(longest))),
    maxSegmentDuration: duration(Math.ceil(longest * 1_000) / 1_000),
  };
  const period = element("Period", { id: "p0", start: "PT0S" }, [
    ...sets.map((streams, n) => adaptationSet(streams, n + 1, options)),
    ...options.subtitles.map((subtitle, n) => subtitleSet(subtitle, sets.length + n + 1, options)),
  ]);
  const base = options.base === "" ? [] : [textElement("BaseURL", {}, options.base)];
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element("MPD", attributes, [...base, period, ...clockOf(options, seconds)])}\n`;
};

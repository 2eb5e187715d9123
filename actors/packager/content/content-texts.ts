/** The texts that a title is played by: multivariant and media playlists, I-frame lists, the MPD. */
import { type ContentSet, SEGMENT_SECONDS } from "../../../contracts/content-set.ts";
import { fail } from "../../../contracts/errors.ts";
import { CLEAR_KEY_SYSTEM_URI, MP4_PROTECTION_URI } from "../../../domain/cenc/protection.ts";
import { AV, type Container, type Leaf, type TrackChoice, VIDEO_ONLY } from "../../../domain/csmil/leaf.ts";
import { type ContentProtection, type GrowingMpd, vodMpd } from "../../../domain/dash/vod-mpd.ts";
import { type ContentVariant, contentMasterPlaylist } from "../../../domain/hls/content-master.ts";
import {
  type PlaylistKey,
  targetDurationOf,
  vodIFramePlaylist,
  vodMediaPlaylist,
  vodSubtitlePlaylist,
} from "../../../domain/hls/vod-media.ts";
import { withSampleEncryption } from "../../../domain/vod/describe.ts";
import type { SegmentPlan } from "../../../domain/vod/plan.ts";
import type { Rendition } from "../../../domain/vod/rendition.ts";
import { wholeRange } from "../../../domain/vod/selection.ts";
import type { StreamChoice } from "../protection.ts";
import { isServable } from "../servable.ts";
import { type Edition, type OpenRung, renditionOf, subtitlesOf } from "./content-view.ts";

type Of<K extends Leaf["kind"]> = Extract<Leaf, { readonly kind: K }>;

const RANGES = { sdr: "SDR", hdr10: "PQ", hlg: "HLG" } as const;

const isGrowing = ({ state }: ContentSet): boolean => state === "growing";

/** All playlists of a title tell the same (RFC 8216 §6.2.4), also of those that are still short. */
const targetDuration = (rendition: Rendition): number => Math.max(SEGMENT_SECONDS, targetDurationOf([rendition]));

/** HEVC has no place in what players take of MPEG-2 TS; counter mode has none there either. */
export const containerOf = ({ method }: Edition, { rung }: OpenRung): Container =>
  rung.codec === "hevc" || method === "cenc" ? "fmp4" : "ts";

const isOffered = ({ member, protection }: OpenRung, container: Container, tracks: TrackChoice): boolean =>
  isServable({ path: member.title.path, cut: member.cut, tracks, container, protection });

/** Addresses of keys from a playlist that lies so many folders below the title. */
const keysOf = (
  { set, key }: Edition,
  { protection }: OpenRung,
  { stream, up }: { readonly stream: Omit<StreamChoice, "rendition">; readonly up: string },
): readonly PlaylistKey[] => {
  if (!protection || !key) return [];
  const places = { key: `${up}key.${key.generation}.bin`, licence: `${up}../../dash/${set.contentId}/clearkey` };
  return protection.playlistKeys(stream, places);
};

const sentAs = ({ method }: Edition, open: OpenRung, container: Container, rendition: Rendition): Rendition =>
  container === "fmp4" && (method === "cenc" || method === "cbcs")
    ? withSampleEncryption(rendition, open.member.cut)
    : rendition;

const UPDATE_SECONDS = 2; // segments last longer
const BITS_OVER = 1.1; // containers and sound, of what is promised of pictures alone

/** `master.m3u8` (`ts`), in which each rung has the container of its codec, or `cmaf.m3u8`. */
export const masterText = (edition: Edition, rungs: readonly OpenRung[], kind: Container): string => {
  const { set } = edition;
  const keys: PlaylistKey[] = [];
  const variants = rungs.flatMap((open): ContentVariant[] => {
    const container = kind === "fmp4" ? kind : containerOf(edition, open);
    const isMuxed = kind === "ts";
    const tracks = isMuxed ? AV : VIDEO_ONLY;
    if (!isOffered(open, container, tracks)) return [];
    keys.push(...keysOf(edition, open, { stream: { container, tracks }, up: "" }));
    const { name, dynamicRange, maxBitsPerSecond } = open.rung;
    return [
      {
        rendition: sentAs(edition, open, container, renditionOf(open, set)),
        container,
        uri: isMuxed ? `${name}.m3u8` : `${name}/cmaf_0_v.m3u8`,
        isMuxed,
        range: RANGES[dynamicRange],
        promisedBps: isGrowing(set) ? Math.round(maxBitsPerSecond * BITS_OVER) : 0,
      },
    ];
  });
  if (variants.length === 0) fail("RENDITIONS_EMPTY");
  const defaultAudio = set.audio.findIndex((one) => one.isDefault);
  return contentMasterPlaylist(variants, {
    subtitles: subtitlesOf(set),
    sessionKeys: keys,
    defaultAudio: Math.max(0, defaultAudio),
  });
};

interface MediaChoice {
  readonly container: Container;
  readonly tracks: TrackChoice;
  /** It lies in the rung's folder, not beside it. */
  readonly isBelow: boolean;
}

export const mediaText = (edition: Edition, open: OpenRung, { container, tracks, isBelow }: MediaChoice): string => {
  const { member, rung } = open;
  const { movie } = member.cut;
  if (tracks.video && movie.video.length === 0) fail("NOT_FOUND");
  if (!tracks.video && !movie.audio[tracks.audio ?? 0]) fail("NOT_FOUND");
  if (!isOffered(open, container, tracks)) {
    fail("MEDIA_UNSUPPORTED", {
      path: `${edition.set.contentId}/${rung.name}`,
      reason: `it has no form in ${container}`,
    });
  }
  return vodMediaPlaylist(member.rendition, {
    container,
    tracks,
    rendition: 0,
    base: isBelow ? "" : `${rung.name}/`,
    query: `v=${edition.version}`,
    targetDuration: targetDuration(member.rendition),
    keys: keysOf(edition, open, { stream: { container, tracks }, up: isBelow ? "../" : "" }),
    isGrowing: isGrowing(edition.set),
  });
};

export const iframesText = (edition: Edition, open: OpenRung, container: Container): string => {
  const { member } = open;
  if (member.cut.video === null) fail("NOT_FOUND");
  return vodIFramePlaylist(member.rendition, {
    container,
    rendition: 0,
    base: "",
    query: `v=${edition.version}`,
    keys: keysOf(edition, open, { stream: { container, tracks: VIDEO_ONLY, keyFrames: true }, up: "../" }),
    isGrowing: isGrowing(edition.set),
  });
};

export const subtitlesText = (edition: Edition, open: OpenRung, { id, language }: Of<"subtitles">): string => {
  const { rendition, cut } = open.member;
  return vodSubtitlePlaylist(cut.plan, {
    id,
    language,
    base: "",
    query: `v=${edition.version}`,
    targetDuration: targetDuration(rendition),
    isGrowing: isGrowing(edition.set),
  });
};

/**
 * Without the licence's address, which is each session's own: players take a relative one for one below their own page,
 * and some prefer it to what they are told. Nor with `pssh`, which lies in the init segments: beside it dash.js takes
 * no other address.
 */
const contentProtection = ([open]: readonly OpenRung[]): readonly ContentProtection[] => {
  if (!open?.protection) return [];
  const { scheme: value, defaultKeyId: defaultKid } = open.protection.manifest;
  return [{ schemeIdUri: MP4_PROTECTION_URI, value, defaultKid }, { schemeIdUri: CLEAR_KEY_SYSTEM_URI }];
};

const growingOf = ({ durationSeconds }: ContentSet): GrowingMpd => ({
  wholeSeconds: durationSeconds,
  updateSeconds: UPDATE_SECONDS,
});

export const mpdText = (edition: Edition, rungs: readonly OpenRung[]): string => {
  const { set, version } = edition;
  const [first] = rungs;
  const plan: SegmentPlan = first?.member.cut.plan ?? fail("RENDITIONS_EMPTY");
  const variants = rungs.map((open, index) => ({
    rendition: sentAs(edition, open, "fmp4", renditionOf(open, set)),
    index,
    audioOnly: false,
    correction: 1,
  }));
  return vodMpd(variants, {
    range: wholeRange(plan),
    base: "",
    children: "file",
    ...(isGrowing(set) ? { growing: growingOf(set) } : {}),
    segmentQuery: () => `v=${version}`,
    protection: contentProtection(rungs),
    subtitles: subtitlesOf(set),
    subtitleQuery: `v=${version}`,
  });
};

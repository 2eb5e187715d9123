/** The texts that a set is played by: multivariant and media playlists, I-frame lists, the MPD. */
import { fail } from "../../contracts/errors.ts";
import { CLEAR_KEY_SYSTEM_URI, COMMON_SYSTEM_URI, MP4_PROTECTION_URI } from "../../domain/cenc/protection.ts";
import { AUDIO_ONLY, AV, type Container, type Leaf, leafName, VIDEO_ONLY } from "../../domain/csmil/leaf.ts";
import { childQuery, type MasterQuery } from "../../domain/csmil/query.ts";
import { type Variant, variantsOf } from "../../domain/csmil/variants.ts";
import { type ContentProtection, vodMpd } from "../../domain/dash/vod-mpd.ts";
import type { SubtitleTrack } from "../../domain/hls/vod-groups.ts";
import { vodMasterPlaylist } from "../../domain/hls/vod-master.ts";
import {
  type PlaylistKey,
  targetDurationOf,
  vodIFramePlaylist,
  vodMediaPlaylist,
  vodSubtitlePlaylist,
} from "../../domain/hls/vod-media.ts";
import { withArtwork, withSampleEncryption } from "../../domain/vod/describe.ts";
import type { SegmentPlan } from "../../domain/vod/plan.ts";
import type { Rendition } from "../../domain/vod/rendition.ts";
import { type SegmentRange, segmentRange } from "../../domain/vod/selection.ts";
import { artworkVersion } from "./artwork.ts";
import type { FileProtection, StreamChoice } from "./protection.ts";
import { assertServable, isServable, type Offer, servable } from "./servable.ts";
import { belowSet, memberAt, renditionsOf, type SetView } from "./set-view.ts";
import type { Member } from "./sets.ts";

export interface TextOptions {
  readonly view: SetView;
  readonly query: MasterQuery;
  /** Added to the query of everything that is named: a session token. */
  readonly token: string;
  readonly versioned: boolean;
  readonly childManifestFilename: string;
  readonly protectionOf: (member: Member) => FileProtection | null;
  /** As the view's base, with a host: players take the address of a licence for one below their own page's. */
  readonly licenceBase: string;
  readonly subtitles: readonly SubtitleTrack[];
  /** The ID3 tag that goes with each TS segment of sound alone, of files that have a picture. */
  readonly artwork: ReadonlyMap<Member, Buffer>;
}

const joined = (...parts: readonly string[]): string => parts.filter((part) => part !== "").join("&");

const startsLate = (): never => fail("QUERY_REFUSED", { reason: "start is after the end of the file" });

const rangeOf = (plan: SegmentPlan, { span }: MasterQuery): SegmentRange => segmentRange(plan, span) ?? startsLate();

const offerOf = ({ view, protectionOf }: TextOptions, { container, rendition, tracks }: StreamChoice): Offer => {
  const member = memberAt(view, rendition);
  return { path: member.title.path, cut: member.cut, tracks, container, protection: protectionOf(member) };
};

/** As it is sent in a container, with what goes with its segments besides the media. */
const sent = (options: TextOptions, container: Container, rendition: Rendition, member: Member): Rendition => {
  const tagBytes = options.artwork.get(member)?.length ?? 0;
  if (container === "ts") return tagBytes > 0 ? withArtwork(rendition, member.cut, tagBytes) : rendition;
  const scheme = options.protectionOf(member)?.schemeOf(container);
  return scheme === "cenc" || scheme === "cbcs" ? withSampleEncryption(rendition, member.cut) : rendition;
};

/** Without renditions whose codecs have no place in the container, and without those that end before the start. */
const listed = (options: TextOptions, container: Container): readonly Variant[] => {
  const { view, query } = options;
  const renditions = renditionsOf(view).map((rendition, r) => sent(options, container, rendition, memberAt(view, r)));
  const variants = variantsOf(renditions, query);
  if (variants.length === 0) fail("RENDITIONS_EMPTY");
  const lasting = variants.filter(({ rendition: { plan } }) => segmentRange(plan, query.span) !== null);
  if (lasting.length === 0) startsLate();
  return servable(lasting, ({ index, audioOnly }) =>
    offerOf(options, { container, rendition: index, tracks: audioOnly ? AUDIO_ONLY : AV }),
  );
};

/** What segments of a rendition are named with. */
const segmentQuery = ({ versioned, token }: TextOptions, version: string): string =>
  joined(versioned ? `v=${version}` : "", token);

/** What tells where subtitles are: each of their addresses is complete by itself. */
const subtitleQuery = ({ subtitles }: MasterQuery): string => {
  const { pattern, identifier, location } = subtitles;
  const pairs: string[] = [];
  if (pattern !== null) {
    const { languageFirst, delimiter, extension } = pattern;
    const names = languageFirst ? ["langcode", "identifier"] : ["identifier", "langcode"];
    const text = names.join(delimiter) + (extension === null ? "" : `.${extension}`);
    pairs.push(`subtitle_file_pattern=${encodeURIComponent(text)}`);
  }
  if (identifier !== null) pairs.push(`subtitle_identifier=${encodeURIComponent(identifier)}`);
  if (location !== null) pairs.push(`subtitle_location=${encodeURIComponent(location)}`);
  return pairs.join("&");
};

type Of<K extends Leaf["kind"]> = Extract<Leaf, { readonly kind: K }>;

const masterText = (options: TextOptions, { container }: Of<"master">): string => {
  const { view, query, childManifestFilename, subtitles, token } = options;
  const variants = listed(options, container);
  return vodMasterPlaylist(variants, {
    container,
    revision: query.revision,
    attributes: query.attributes,
    children: view.children,
    base: belowSet(view),
    childManifestFilename,
    query: joined(childQuery(query), subtitles.length > 0 ? subtitleQuery(query) : "", token),
    subtitles,
    isOffered: ({ index }, audio) =>
      isServable(offerOf(options, { container, rendition: index, tracks: { video: false, audio } })),
    sessionKeys: query.attributes ? sessionKeysOf(options, container, variants) : [],
  });
};

const mediaText = (options: TextOptions, { container, rendition, tracks }: Of<"media">): string => {
  const { view, query } = options;
  const member = memberAt(view, rendition);
  const { movie, plan } = member.cut;
  if (tracks.video && movie.video.length === 0 && tracks.audio === null) noTrack(view, "video");
  if (!tracks.video && !movie.audio[tracks.audio ?? 0]) noTrack(view, "audio");
  assertServable(offerOf(options, { container, rendition, tracks }));
  return vodMediaPlaylist(member.rendition, {
    container,
    tracks,
    rendition,
    base: belowSet(view),
    query: segmentQuery(options, member.version + artworkVersion(options.artwork.get(member) ?? null)),
    range: rangeOf(plan, query),
    targetDuration: targetDurationOf(view.open.members.map((one) => one.rendition)),
    keys: keysOf(options, { container, rendition, tracks }),
    ...(query.revision === 0 ? {} : { leastVersion: query.revision === 4 ? 3 : 4 }),
  });
};

/** Keys of a stream whose media playlist is of the `r`-th rendition of what is at `below`. */
const keysAt = (
  { view, token, protectionOf }: TextOptions,
  stream: StreamChoice,
  { below, r }: { readonly below: string; readonly r: number },
): readonly PlaylistKey[] => {
  const protection = protectionOf(memberAt(view, stream.rendition));
  if (!protection) return [];
  const at = (leaf: Leaf): string => withToken(`${below}${leafName(leaf)}`, token);
  return protection.playlistKeys(stream, {
    key: at({ kind: "key", rendition: r }),
    licence: at({ kind: "clearkey" }),
  });
};

const keysOf = (options: TextOptions, stream: StreamChoice): readonly PlaylistKey[] =>
  keysAt(options, stream, { below: belowSet(options.view), r: stream.rendition });

/** Those that the variants' media playlists name, at the same addresses: players get them before they need them. */
const sessionKeysOf = (
  options: TextOptions,
  container: Container,
  variants: readonly Variant[],
): readonly PlaylistKey[] => {
  const { view } = options;
  return variants.flatMap(({ rendition: { uri }, index }) => {
    const place = view.children === "file" ? { below: `${uri}/`, r: 0 } : { below: belowSet(view), r: index };
    return keysAt(options, { container, rendition: index, tracks: AV }, place);
  });
};

const withToken = (address: string, token: string): string => (token === "" ? address : `${address}?${token}`);

const noTrack = ({ media }: SetView, kind: string): never =>
  fail("SOURCE_NOT_FOUND", { path: `${media.path}, that ${kind} track` });

const iframesText = (options: TextOptions, { container, rendition }: Of<"iframes">): string => {
  const { view, query } = options;
  const member = memberAt(view, rendition);
  if (member.cut.video === null) noTrack(view, "video");
  if (member.rendition.video?.keyFrames.length === 0) {
    fail("MEDIA_UNSUPPORTED", { path: view.media.path, reason: "it has too many key frames for a list of them" });
  }
  assertServable(offerOf(options, { container, rendition, tracks: VIDEO_ONLY }));
  return vodIFramePlaylist(member.rendition, {
    container,
    rendition,
    base: belowSet(view),
    query: segmentQuery(options, member.version),
    range: rangeOf(member.cut.plan, query),
    keys: keysOf(options, { container, rendition, tracks: VIDEO_ONLY, keyFrames: true }),
  });
};

const subtitlesText = (options: TextOptions, { id, language }: Of<"subtitles">): string => {
  const { view, query } = options;
  const { cut, version } = memberAt(view, 0);
  return vodSubtitlePlaylist(cut.plan, {
    id,
    language,
    base: belowSet(view),
    query: joined(segmentQuery(options, version), subtitleQuery(query)),
    range: rangeOf(cut.plan, query),
    targetDuration: targetDurationOf(view.open.members.map(({ rendition }) => rendition)),
  });
};

/**
 * ContentProtection for players that know one system or another: the scheme itself, Clear Key, the common header. In
 * this order: shaka-player takes the first licence's address of what it holds to be one key system, and dash.js no
 * header with it. A file with a key server of its own has no licence here.
 */
const contentProtection = (options: TextOptions): readonly ContentProtection[] => {
  const { view, token, licenceBase } = options;
  const [protection, ...others] = view.open.members.map((member) => options.protectionOf(member));
  // One key for all of it: what an adaptation set says holds for each of its representations.
  const isAlike = others.every((other) => other?.isLike(protection) ?? protection === null);
  if (!isAlike) {
    const reason = "its files have different keys, because they lie in several folders or under several rules";
    fail("MEDIA_UNSUPPORTED", { path: view.media.path, reason });
  }
  if (!protection) return [];
  const { scheme: value, defaultKeyId: defaultKid, psshBase64 } = protection.manifest;
  const below = belowSet({ media: view.media, base: licenceBase });
  const licenseUrl = withToken(`${below}${leafName({ kind: "clearkey" })}`, token);
  return [
    { schemeIdUri: MP4_PROTECTION_URI, value, defaultKid },
    ...(protection.keyUrl === null ? [{ schemeIdUri: CLEAR_KEY_SYSTEM_URI, licenseUrl }] : []),
    { schemeIdUri: COMMON_SYSTEM_URI, psshBase64 },
  ];
};

const mpdText = (options: TextOptions): string => {
  const { view, query, subtitles, token } = options;
  return vodMpd(listed(options, "fmp4"), {
    range: rangeOf(memberAt(view, 0).cut.plan, query),
    base: belowSet(view),
    segmentQuery: ({ version }) => segmentQuery(options, version),
    protection: contentProtection(options),
    subtitles,
    subtitleQuery: joined(childQuery(query), subtitleQuery(query), token),
  });
};

export type TextLeaf = Of<"master" | "mpd" | "media" | "iframes" | "subtitles">;

export const isTextLeaf = (leaf: Leaf): leaf is TextLeaf =>
  leaf.kind === "master" ||
  leaf.kind === "mpd" ||
  leaf.kind === "media" ||
  leaf.kind === "iframes" ||
  leaf.kind === "subtitles";

/** The text of a playlist or manifest. */
export const textOf = (leaf: TextLeaf, options: TextOptions): string => {
  switch (leaf.kind) {
    case "master":
      return masterText(options, leaf);
    case "mpd":
      return mpdText(options);
    case "media":
      return mediaText(options, leaf);
    case "iframes":
      return iframesText(options, leaf);
    default:
      return subtitlesText(options, leaf);
  }
};

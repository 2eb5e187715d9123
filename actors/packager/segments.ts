/** Answers with media: segments, init segments, single key frames. */
import { codeOf, fail } from "../../contracts/errors.ts";
import { initProtection } from "../../domain/cenc/protection.ts";
import { type Leaf, leafName, type TrackChoice, VIDEO_ONLY } from "../../domain/csmil/leaf.ts";
import { initSegment } from "../../domain/mp4/init-segment.ts";
import { keyFrameSamples } from "../../domain/mp4/movie-fragment.ts";
import { endOfServedKeys, firstServedKey } from "../../domain/vod/cut.ts";
import { samplesIn } from "../../domain/vod/describe.ts";
import type { TrackCuts } from "../../domain/vod/plan.ts";
import type { HeaderLines, RawExchange } from "../../lib/http/exchange.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { artworkOf, artworkVersion, isSoundAlone } from "./artwork.ts";
import { headerLines, TYPES } from "./caching.ts";
import { encryptedRecipe } from "./encrypted.ts";
import { fragmentRecipe, type SamplesPart } from "./fragments.ts";
import { refuseMedia } from "./media-fault.ts";
import type { FileProtection } from "./protection.ts";
import type { SegmentCache } from "./segment-cache.ts";
import type { Member } from "./sets.ts";
import { tsRecipe } from "./ts-segments.ts";
import type { SegmentRecipe, Workshop } from "./workshop.ts";

type Of<K extends Leaf["kind"]> = Extract<Leaf, { readonly kind: K }>;
export type MediaLeaf = Of<"segment" | "init" | "iframe">;

export const isMediaLeaf = (leaf: Leaf): leaf is MediaLeaf =>
  leaf.kind === "segment" || leaf.kind === "init" || leaf.kind === "iframe";

export interface MediaRequest {
  readonly exchange: RawExchange;
  readonly member: Member;
  readonly leaf: MediaLeaf;
  readonly protection: FileProtection | null;
  /** The version that it is asked for with; null: none. */
  readonly asked: string | null;
  /** Whether it may be taken back from who has its address: caches then ask again, as of what has no version. */
  readonly isRevocable?: boolean;
}

/** What is answered, as far as it is known before it is made. */
interface Versioned extends MediaRequest {
  readonly artwork: Buffer | null;
  /** Of all that its bytes depend on. */
  readonly version: string;
}

export interface SegmentTools {
  /** Where pictures lie beside files; null: there are none. */
  readonly source: ContentSource | null;
  readonly workshop: Workshop;
  readonly segmentCache: SegmentCache | null;
}

const NOTHING = Buffer.alloc(0);

const absent = ({ member, leaf }: MediaRequest): never =>
  fail("SEGMENT_NOT_FOUND", { path: member.title.path, segment: leafName(leaf) });

/** The tracks that a choice names, in the order of their init segment: `av` is what there is of the two. */
const chosen = (request: MediaRequest, { video, audio }: TrackChoice): readonly TrackCuts[] => {
  const { cut } = request.member;
  const picture = video ? cut.video : null;
  const sound = audio === null ? null : (cut.audio[audio] ?? null);
  const tracks = [picture, sound].filter((track) => track !== null);
  return tracks.length > 0 ? tracks : absent(request);
};

const choiceOf = (leaf: MediaLeaf): TrackChoice => (leaf.kind === "iframe" ? VIDEO_ONLY : leaf.tracks);

const segmentParts = (request: MediaRequest, number: number, tracks: readonly TrackCuts[]): readonly SamplesPart[] => {
  if (number > request.member.cut.plan.count) absent(request);
  return tracks.map((cuts) => ({ track: cuts.track, samples: samplesIn(cuts, number - 1) }));
};

/** One key frame, shown until the next one. */
const keyFramePart = (request: MediaRequest, number: number): SamplesPart => {
  const { video, plan } = request.member.cut;
  if (!video) return absent(request);
  const { track } = video;
  const { table, timescale, shift } = track;
  const keys = table.syncSamples;
  const index = firstServedKey(video) + number - 1;
  const end = endOfServedKeys(video);
  if (index >= end) return absent(request);
  const isLast = index + 1 === end;
  const endOfAll = Math.round((plan.starts[plan.count] ?? 0) * timescale) - shift;
  const endPts = isLast ? endOfAll : table.ptsOf(keys?.[index + 1] ?? index + 1);
  return { track, samples: keyFrameSamples(table, keys?.[index] ?? index, endPts) };
};

const partsOf = (request: MediaRequest, leaf: Of<"segment" | "iframe">): readonly SamplesPart[] =>
  leaf.kind === "iframe"
    ? [keyFramePart(request, leaf.number)]
    : segmentParts(request, leaf.number, chosen(request, leaf.tracks));

/** How the media of a leaf are made, encrypted as its file's rule says. */
const recipeOf = (request: Versioned, leaf: Of<"segment" | "iframe">): SegmentRecipe => {
  const { member, protection, artwork } = request;
  const parts = partsOf(request, leaf);
  const scheme = protection?.schemeOf(leaf.container) ?? null;
  const stream = { container: leaf.container, tracks: choiceOf(leaf), keyFrames: leaf.kind === "iframe" };
  const clear =
    leaf.container === "ts"
      ? tsRecipe({ path: member.title.path, parts, segmentIndex: leaf.number - 1, protection, artwork })
      : fragmentRecipe({ parts, sequenceNumber: leaf.number, protection, stream });
  if (scheme !== "aes-128" || !protection) return clear;
  return encryptedRecipe(clear, { key: protection.key.key, iv: protection.segmentIvs(stream)(leaf.number) });
};

const typeOf = (leaf: MediaLeaf, { cut }: Member): string => {
  if (leaf.kind !== "init" && leaf.container === "ts") return TYPES.ts;
  return choiceOf(leaf).video && cut.video ? TYPES.fmp4Video : TYPES.fmp4Audio;
};

const headersOf = ({
  member,
  leaf,
  asked,
  isRevocable = false,
  version,
}: Versioned): { readonly lines: HeaderLines; readonly etag: string } => {
  const etag = `${version}-${leafName(leaf)}`;
  const { modifiedMs } = member.title.stat;
  // Named with its version, it never changes.
  const freshness = asked === version && !isRevocable ? "versioned" : "unversioned";
  const lines = headerLines({ type: typeOf(leaf, member), freshness, etag, modifiedMs });
  return { lines: `${lines}Accept-Ranges: bytes\r\n`, etag };
};

/** Whether the client has just this one: then it needs not be made. */
const hasIt = (exchange: RawExchange, etag: string): boolean =>
  exchange.header("if-none-match")?.includes(`"${etag}"`) === true;

const answerInit = (request: MediaRequest, leaf: Of<"init">, lines: HeaderLines): void => {
  const { exchange, protection } = request;
  const tracks = chosen(request, leaf.tracks).map(({ track }) => track);
  const common = protection?.common ?? null;
  exchange.send(200, lines, initSegment(tracks, common ? initProtection(common) : undefined));
};

const answerMade = async (request: Versioned, recipe: SegmentRecipe, tools: SegmentTools): Promise<void> => {
  const { exchange, member, leaf, version } = request;
  const { workshop, segmentCache } = tools;
  const { lines } = headersOf(request);
  const { object } = member.title;
  const segment = { path: member.title.path, version, leaf: leafName(leaf) };
  const kept = await segmentCache?.get(segment);
  if (kept) return exchange.send(200, lines, kept);
  if (exchange.method === "HEAD" && recipe.exactBytes !== null) {
    return exchange.beginPart(lines, recipe.exactBytes)?.writer.end(); // nothing has to be made for it
  }
  // Of this opening of the file: one that a purge came after shares nothing with the next.
  const made = await workshop.whole(`${member.title.serial} ${version} ${segment.leaf}`, object, recipe);
  if (made) {
    // It copies them at once, and never rejects.
    if (!member.title.isForgotten) void segmentCache?.put(segment, made.bytes);
    return exchange.send(200, lines, made.bytes, made.letGo);
  }
  const { exactBytes } = recipe;
  return workshop.inPieces(object, recipe, () => {
    if (exactBytes !== null) return exchange.beginPart(lines, exactBytes);
    return { start: 0, end: Number.POSITIVE_INFINITY, writer: exchange.begin(200, lines, null) };
  });
};

/**
 * VERSION_GONE for what is asked for in another version. Sound with another picture than the asked one is as good: it
 * is answered as what has no version, so that nodes that see a new picture sooner and later have no gaps between them.
 */
const versionedOf = async (request: MediaRequest, { source }: SegmentTools): Promise<Versioned> => {
  const { member, leaf, asked } = request;
  const isHeard = isSoundAlone(leaf, member.cut);
  if (asked !== null && asked !== member.version && !(isHeard && asked.startsWith(member.version))) {
    return fail("VERSION_GONE", { path: member.title.path });
  }
  const artwork = isHeard ? await artworkOf(source, member.title) : null;
  return { ...request, artwork, version: member.version + artworkVersion(artwork) };
};

/** Answers with a segment, an init segment or a key frame. */
export const answerMedia = async (asked: MediaRequest, tools: SegmentTools): Promise<void> => {
  const request = await versionedOf(asked, tools);
  const { exchange, leaf } = request;
  const { lines, etag } = headersOf(request);
  try {
    if (leaf.kind === "init") return answerInit(request, leaf, lines);
    const recipe = recipeOf(request, leaf);
    if (hasIt(exchange, etag)) return exchange.send(304, lines, NOTHING);
    await answerMade(request, recipe, tools);
  } catch (error) {
    refuseMedia(error, request.member.title.path);
  }
};

/** Whether an error says that the file is another one by now. */
export const isReplaced = (error: unknown): boolean =>
  codeOf(error) === "SOURCE_CHANGED" || codeOf(error) === "SOURCE_TRUNCATED";

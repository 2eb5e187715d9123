/** How far a playlist has come, so that nobody is ever shown an older one than before. Pure. */

/** Of a media playlist: its segment numbers. */
export interface MediaPosition {
  readonly kind: "media";
  readonly mediaSequence: number;
  readonly lastNumber: number;
}
/** Of a DASH manifest: `MPD@publishTime`, ms since 1970. */
export interface ManifestPosition {
  readonly kind: "manifest";
  readonly publishMs: number;
}
export type Position = MediaPosition | ManifestPosition;

const MEDIA_SEQUENCE = /^#EXT-X-MEDIA-SEQUENCE:\s*(\d{1,15})\s*$/m;
const SEGMENT = /^#EXTINF:/gm;
const SKIPPED = /^#EXT-X-SKIP:.*SKIPPED-SEGMENTS=(\d{1,9})/m;
const PUBLISH_TIME = /<MPD\b[^>]*?\spublishTime\s*=\s*["']([^"']{10,40})["']/;

/** Undefined for a multivariant playlist and for a text that says nothing about its age. */
export const positionOf = (path: string, text: string): Position | undefined => {
  if (path.toLowerCase().endsWith(".mpd")) {
    const publishMs = Date.parse(PUBLISH_TIME.exec(text)?.[1] ?? "");
    return Number.isNaN(publishMs) ? undefined : { kind: "manifest", publishMs };
  }
  const segments = (text.match(SEGMENT)?.length ?? 0) + Number(SKIPPED.exec(text)?.[1] ?? 0);
  if (segments === 0) return undefined;
  // RFC 8216 §4.3.3.2: without the tag the first segment has the number 0.
  const mediaSequence = Number(MEDIA_SEQUENCE.exec(text)?.[1] ?? 0);
  return { kind: "media", mediaSequence, lastNumber: mediaSequence + segments - 1 };
};

/**
 * True when a viewer who has seen `seen` would go back in time with `next`. The last segment decides: an origin that
 * started later lists fewer old segments, and its window may well begin behind that of another.
 */
export const isOlder = (next: Position, seen: Position): boolean => {
  if (next.kind === "media") return seen.kind === "media" && next.lastNumber < seen.lastNumber;
  return seen.kind === "manifest" && next.publishMs < seen.publishMs;
};

/** True for the first bytes of a playlist (RFC 8216 §4.3.1.1) or of an XML document: an error page is neither. */
export const looksLikePlaylist = (path: string, text: string): boolean => {
  const start = text
    .slice(0, 200)
    .replace(/^\uFEFF/, "")
    .trimStart();
  return path.toLowerCase().endsWith(".mpd") ? /^<(?:\?xml|MPD|!--)/.test(start) : start.startsWith("#EXTM3U");
};

/** How long an answer of an origin may be used: RFC 9111 within caps that suit live media. Pure. */
import type { ObjectKind } from "./object-kind.ts";

/** Durations in ms from the moment at which the answer came. */
export interface Lifetime {
  readonly storable: boolean;
  readonly freshMs: number;
  /** After `freshMs`: how much longer it may stand in for an answer that no origin gives (stale-if-error). */
  readonly staleMs: number;
}

export interface CacheHeaders {
  readonly cacheControl?: string | undefined;
  readonly expires?: string | undefined;
  readonly date?: string | undefined;
  readonly age?: string | undefined;
}

/** A playlist is asked for again at least three times per segment: no player learns of a segment too late. */
const PLAYLIST_SHARE = 3;
/** Under `no-cache` too a playlist serves all who ask within one part: nothing in it is newer than that. */
const PLAYLIST_FRESH_MS_MIN = 200;
const SEGMENT_FRESH_MS_MAX = 3_600_000;
/** Without a word from the origin: longer than the live window of any playlist that names it. */
const SEGMENT_FRESH_MS_DEFAULT = 60_000;
const MEDIA_STALE_MS = 60_000;
const OTHER_FRESH_MS_MAX = 1_000;

const directivesOf = (cacheControl: string): Map<string, string> => {
  const found = new Map<string, string>();
  for (const part of cacheControl.split(",")) {
    const [name = "", value = ""] = part.split("=", 2);
    found.set(name.trim().toLowerCase(), value.trim().replaceAll('"', ""));
  }
  return found;
};
const secondsOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;

/** RFC 9111 §4.2.1: s-maxage, max-age, Expires − Date; less the age that the answer has already. */
const announcedMs = (headers: CacheHeaders, directives: ReadonlyMap<string, string>): number | undefined => {
  const ageMs = ageMsOf(headers);
  const seconds = secondsOf(directives.get("s-maxage")) ?? secondsOf(directives.get("max-age"));
  if (seconds !== undefined) return Math.max(0, seconds * 1_000 - ageMs);
  if (headers.expires === undefined) return undefined;
  const lifetime = Date.parse(headers.expires) - Date.parse(headers.date ?? "");
  return Number.isNaN(lifetime) ? 0 : Math.max(0, lifetime - ageMs); // an Expires that is no date has passed (§5.3)
};

export const ageMsOf = ({ age }: CacheHeaders): number => (secondsOf(age) ?? 0) * 1_000;

const clamp = (value: number, min: number, max: number): number => Math.min(Math.max(value, min), max);

/** `segmentMs`: duration of the channel's segments. */
export const lifetimeOf = (kind: ObjectKind, headers: CacheHeaders, segmentMs: number): Lifetime => {
  const directives = directivesOf(headers.cacheControl ?? "");
  // The edge sends no credentials, so an answer is the same for everybody; it is not kept against the origin's will.
  if (directives.has("no-store") || directives.has("private")) return { storable: false, freshMs: 0, staleMs: 0 };
  const mustAsk = directives.has("no-cache");
  const announced = mustAsk ? 0 : announcedMs(headers, directives);
  const mayBeStale = !directives.has("must-revalidate") && !directives.has("proxy-revalidate");
  const lifetime = (freshMs: number, staleMs: number): Lifetime => ({
    storable: true,
    freshMs,
    staleMs: mayBeStale ? staleMs : 0,
  });
  switch (kind) {
    case "playlist": {
      const max = Math.max(segmentMs / PLAYLIST_SHARE, PLAYLIST_FRESH_MS_MIN);
      return lifetime(clamp(announced ?? max, PLAYLIST_FRESH_MS_MIN, max), segmentMs);
    }
    // Its name alone does not change with the ladder, so it is checked (by its ETag) about once per segment.
    case "init":
      return lifetime(Math.min(announced ?? segmentMs, segmentMs), MEDIA_STALE_MS);
    case "segment":
      return lifetime(Math.min(announced ?? SEGMENT_FRESH_MS_DEFAULT, SEGMENT_FRESH_MS_MAX), MEDIA_STALE_MS);
    case "other":
      return lifetime(Math.min(announced ?? 0, OTHER_FRESH_MS_MAX), 0);
  }
};

/** Header fields of what is served: types, validators, how long a cache may keep it. */
import { createHash } from "node:crypto";
import { OPEN_TO_ALL } from "../../lib/http/cors.ts";
import type { HeaderLines } from "../../lib/http/exchange.ts";

/**
 * Media types: RFC 8216 §4, ISO/IEC 23009-1 Annex C, RFC 8216 §3.3 for WebVTT; the seed's spelling for MPEG-2 TS
 * (C-10).
 */
export const TYPES = {
  hls: "application/vnd.apple.mpegurl",
  mpd: "application/dash+xml",
  ts: "video/MP2T",
  fmp4Video: "video/mp4",
  fmp4Audio: "audio/mp4",
  vtt: "text/vtt; charset=utf-8",
  key: "application/octet-stream",
  json: "application/json",
} as const;

/** Playlists follow a file that is replaced within this time, also behind caches. */
const PLAYLIST_SECONDS = 60;
/** A set that lacks a file may have it soon (C-07). */
const INCOMPLETE_SECONDS = 2;
const UNVERSIONED_SECONDS = 60;

/** Playlists of a title that grows by a segment at a time. */
const GROWING_SECONDS = 1;

export type Freshness =
  | "playlist"
  | "title"
  | "growing"
  | "incomplete"
  | "personal"
  | "versioned"
  | "unversioned"
  | "secret";

const CACHE_CONTROL: Readonly<Record<Freshness, string>> = {
  playlist: `public, max-age=${PLAYLIST_SECONDS}`,
  // Of a title: what changes is a new transcode, whose playlists name other addresses.
  title: `public, max-age=${PLAYLIST_SECONDS}, stale-while-revalidate=${PLAYLIST_SECONDS}`,
  growing: `public, max-age=${GROWING_SECONDS}`,
  incomplete: `public, max-age=${INCOMPLETE_SECONDS}`,
  // It has a token in it.
  personal: "private, no-cache",
  versioned: "public, max-age=31536000, immutable",
  unversioned: `public, max-age=${UNVERSIONED_SECONDS}`,
  secret: "no-store",
};

export interface Described {
  readonly type: string;
  readonly freshness: Freshness;
  /** Without quotes; a strong validator (RFC 9110 §8.8.3). */
  readonly etag?: string;
  readonly modifiedMs?: number | null;
}

/** Header lines of an answer. Players of other origins may read it: media are no secrets of a page. */
export const headerLines = ({ type, freshness, etag, modifiedMs }: Described): HeaderLines => {
  let lines = `${OPEN_TO_ALL}Content-Type: ${type}\r\nCache-Control: ${CACHE_CONTROL[freshness]}\r\n`;
  if (etag !== undefined) lines += `ETag: "${etag}"\r\n`;
  if (modifiedMs !== undefined && modifiedMs !== null) {
    lines += `Last-Modified: ${new Date(modifiedMs).toUTCString()}\r\n`;
  }
  return lines;
};

const ETAG_DIGITS = 16;
/** A strong validator of a text. */
export const etagOf = (text: Uint8Array): string =>
  createHash("sha256").update(text).digest("hex").slice(0, ETAG_DIGITS);

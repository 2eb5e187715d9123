/** Which segments a playlist lists, whatever its kind. */
import { hlsSegments } from "./hls-segments.ts";
import { mpdSegments } from "./mpd-segments.ts";
import { playlistUrl, type Rendition } from "./targets.ts";

export type PlaylistKind = "hls" | "dash";

export interface Playlist {
  /** As in the request's Host. */
  readonly host: string;
  /** Path and query by which it was asked for. */
  readonly target: string;
  readonly kind: PlaylistKind;
  readonly text: string;
}

/** A film of 3 h in 2 s segments with long names has 1 MiB; nothing is read of what is longer than this. */
export const PLAYLIST_LENGTH_MAX = 4 * 1024 * 1024;

/** By the media type (RFC 8216bis §4: also the old names), else by the path's ending; undefined: it is none. */
export const playlistKind = (path: string, contentType?: string): PlaylistKind | undefined => {
  const type = contentType?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (/^(?:application|audio)\/(?:vnd\.apple\.mpegurl|x-mpegurl|mpegurl)$/.test(type)) return "hls";
  if (type === "application/dash+xml") return "dash";
  if (/\.m3u8?$/i.test(path)) return "hls";
  return /\.mpd$/i.test(path) ? "dash" : undefined;
};

/**
 * The renditions of a playlist of something whole, as request targets on its own host; none of live ones, of
 * multivariant ones, and of what can't be read.
 */
export const playlistSegments = ({ host, target, kind, text }: Playlist): readonly Rendition[] => {
  const base = playlistUrl(host, target);
  if (base === undefined || text.length > PLAYLIST_LENGTH_MAX) return [];
  return kind === "hls" ? hlsSegments(text, base) : mpdSegments(text, base);
};

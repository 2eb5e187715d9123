/** What a path below a stream's folder names, and how long such a thing may be kept. Pure. */

/** `playlist`: changes all the time; `init`: changes with the ladder; `segment`: never changes under its name. */
export type ObjectKind = "playlist" | "init" | "segment" | "other";

const SEGMENT = /\.(?:m4s|mp4|m4v|m4a|cmfv|cmfa|cmft|ts|aac|vtt|webm)$/i;
const SEGMENT_NUMBER = /(?:^|\/)(\d{1,15})\.m4s$/;
const INIT = /(?:^|\/)init[^/]*\.mp4$/;

/** An init whose query names its hash is another one for each hash: it never changes either. */
export const kindOf = (path: string, query?: string): ObjectKind => {
  if (/\.(?:m3u8|mpd)$/i.test(path)) return "playlist";
  if (INIT.test(path)) return isInitHash(query) ? "segment" : "init";
  return SEGMENT.test(path) ? "segment" : "other";
};

const INIT_HASH = /^v=[0-9a-f]{1,64}$/;
const isInitHash = (query: string | undefined): boolean => query !== undefined && INIT_HASH.test(query);

/** The part of a query that our origins look at: an init's hash. Any other would make many keys of one object. */
export const ownQueryOf = (path: string, query: string | undefined): string | undefined =>
  INIT.test(path) && isInitHash(query) ? query : undefined;

/** The number in the name of a segment of ours (`{rendition}/{number}.m4s`). */
export const segmentNumberOf = (path: string): number | undefined => {
  const match = SEGMENT_NUMBER.exec(path);
  return match ? Number(match[1]) : undefined;
};

const KiB = 1024;
const MiB = 1024 * KiB;
/** A playlist of a day of 2 s segments, with dates and parts, has about 4 MB. */
const PLAYLIST_BYTES_MAX = 8 * MiB;
/** 10 s at 50 Mbit/s. */
const OBJECT_BYTES_MAX = 64 * MiB;
export const bytesMaxOf = (kind: ObjectKind): number => (kind === "playlist" ? PLAYLIST_BYTES_MAX : OBJECT_BYTES_MAX);

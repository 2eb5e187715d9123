/** Media playlists as a player reads them: hls-parser reads them, the grammar of RFC 8216 is held against each line. */
import assert from "node:assert/strict";
import HLS from "hls-parser";
import { playlistProblems } from "../support/hls-grammar.ts";
import { textOf } from "./client.ts";

HLS.setOptions({ strictMode: true });

export interface ListedSegment {
  readonly url: string;
  readonly seconds: number;
  /** Of EXT-X-KEY; null: in the clear. */
  readonly key: { readonly method: string; readonly url: string; readonly iv: Buffer | null } | null;
}
export interface MediaList {
  readonly url: string;
  /** Of EXT-X-MAP. */
  readonly init: string | null;
  readonly segments: readonly ListedSegment[];
  readonly totalSeconds: number;
  readonly targetSeconds: number;
}

/** Complains of anything in a playlist that its standard doesn't know. */
export const parsedList = (url: string, text: string): ReturnType<typeof HLS.parse> => {
  assert.deepEqual(playlistProblems(text), [], `${url}\n${text}`);
  return HLS.parse(text);
};

const keyOf = (key: HLS.types.Segment["key"], from: string): ListedSegment["key"] => {
  if (!key || key.method === "NONE") return null;
  return { method: key.method, url: new URL(key.uri ?? "", from).href, iv: key.iv ? Buffer.from(key.iv) : null };
};

/** The playlist at an address, found without fault. */
export const mediaList = async (url: string): Promise<MediaList> => {
  const list = parsedList(url, await textOf(url));
  assert.ok(!list.isMasterPlaylist, url);
  const { segments, endlist, playlistType, targetDuration } = list as HLS.types.MediaPlaylist;
  assert.ok(endlist && playlistType === "VOD" && segments.length > 0, url);
  const resolve = (uri: string): string => new URL(uri, url).href;
  const map = segments[0]?.map;
  const listed = segments.map((segment) => ({
    url: resolve(segment.uri),
    seconds: segment.duration,
    key: keyOf(segment.key, url),
  }));
  const totalSeconds = listed.reduce((sum, { seconds }) => sum + seconds, 0);
  return { url, init: map ? resolve(map.uri) : null, segments: listed, totalSeconds, targetSeconds: targetDuration };
};

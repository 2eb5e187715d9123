/** Request targets that a playlist names, in the order in which a player asks for them. */

/** The segments of one rendition, each init segment before what needs it: absolute paths with their queries. */
export type Rendition = readonly string[];

/** What all the renditions of a playlist may have together: a film of 3 h in 2 s segments, nine times. */
export const TARGETS_MAX = 50_000;
const TARGET_LENGTH_MAX = 2_048;

/** RFC 3986 §5 against a base; undefined for another host, another scheme than HTTP, or what is no URI. */
export const resolved = (uri: string, base: URL): URL | undefined => {
  if (uri.length > TARGET_LENGTH_MAX || !URL.canParse(uri, base.href)) return undefined;
  const url = new URL(uri, base);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  return isHttp && url.host === base.host && url.username === "" && url.href.length <= TARGET_LENGTH_MAX
    ? url
    : undefined;
};

/** The URL of a playlist that was asked for by `target` (path and query) at `host`; undefined when it is none. */
export const playlistUrl = (host: string, target: string): URL | undefined => {
  const plainHost = host.toLowerCase().replace(/:(?:80|443)$/, "");
  const text = `http://${plainHost}${target}`;
  if (!target.startsWith("/") || target.length > TARGET_LENGTH_MAX || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.host === plainHost ? url : undefined; // an empty host would be taken from the path
};

/** What stands in a request line. */
export const targetOf = (url: URL): string => url.pathname + url.search;

/** Adds a target, unless it is the one before it again: byte ranges of one file are one object. */
export const append = (rendition: string[], target: string): void => {
  if (rendition.at(-1) !== target) rendition.push(target);
};

/**
 * Where a token stands in a URL: as a part of the path that begins with `~`, the first one or the one behind
 * `/api/media/`, so that relative addresses inside playlists carry it on; or as `token=…` in the query.
 */
import { isTokenShaped } from "./token.ts";

export interface Placed {
  /** Null: there is none. */
  readonly token: string | null;
  readonly path: string;
  readonly query: string;
}

const MEDIA = "/api/media/";
const TILDE = 0x7e;

/** The query without the parts named `token`, and those parts' values. */
const withoutTokens = (query: string): { readonly tokens: string[]; readonly rest: string } => {
  const tokens: string[] = [];
  const rest = query
    .split("&")
    .filter((part) => {
      if (!part.startsWith("token=")) return part !== "token";
      tokens.push(part.slice("token=".length));
      return false;
    })
    .join("&");
  return { tokens, rest };
};

/**
 * Takes the token out of a path in normal form and a query as sent; what is left is what the object is named by.
 * `malformed`: a path part that begins with `~` and is no token, two tokens, or a query's `token` that is none.
 * `isNeeded`: whether a path, without its token, needs one; else a `token=` that is none of ours is let through.
 */
export const takeToken = (path: string, query: string, isNeeded: (path: string) => boolean): Placed | "malformed" => {
  const start = path.startsWith(MEDIA) ? MEDIA.length : 1;
  let bare = path;
  let token: string | null = null;
  if (path.charCodeAt(start) === TILDE) {
    const slash = path.indexOf("/", start);
    if (slash < 0) return "malformed";
    token = path.slice(start + 1, slash);
    bare = path.slice(0, start) + path.slice(slash + 1);
    // What is left may have a token's place too: behind `/`, or behind `/api/media/` that stood behind the token.
    const next = bare.startsWith(MEDIA) ? MEDIA.length : 1;
    if (!isTokenShaped(token) || bare.charCodeAt(next) === TILDE) return "malformed";
  }
  if (!query.includes("token")) return { token, path: bare, query };
  const { tokens, rest } = withoutTokens(query);
  const [only] = tokens;
  if (only === undefined) return { token, path: bare, query };
  const areShaped = tokens.every(isTokenShaped);
  if (!areShaped && token === null && !isNeeded(bare)) return { token, path: bare, query };
  if (!areShaped || tokens.length > 1 || token !== null) return "malformed";
  return { token: only, path: bare, query: rest };
};

// Also cut short by a limit, or broken: whatever is long enough to be most of a token.
const TOKEN_PART = /^((?:[a-z]+:\/\/[^/]*)?\/(?:api\/media\/)?)(?:~|%7e)[^/]{40,}/i;

/** A path or an address without query as logs may show it: `~*` in place of a token. */
export const maskedToken = (text: string): string => text.replace(TOKEN_PART, "$1~*");

/**
 * Whether a path in normal form begins with what is protected, as the most generous origin reads it: several slashes
 * are one, and what follows a `;` in a part of a path is no part of its name.
 */
export const isProtected = (path: string, prefix: string): boolean => {
  if (path.startsWith(prefix)) return true;
  if (!path.includes("//") && !path.includes(";")) return false;
  return path
    .replace(/;[^/]*/g, "")
    .replace(/\/{2,}/g, "/")
    .startsWith(prefix);
};

/** Phase "parse" of a request: from the request line to a path that can't mean two things. Pure. */
import type { Refusal } from "../../lib/http/problem.ts";

/** Longest request target that is looked at. */
const TARGET_LENGTH_MAX = 2_048;
/** Longest name between two slashes, and how many there may be below a stream's folder. */
const NAME_LENGTH_MAX = 160;
const NAMES_MAX = 8;

/** What a viewer asks for: `path` lies below the stream's folder, decoded, without a leading slash. */
export interface Target {
  readonly tenant: string;
  readonly streamId: string;
  readonly path: string;
  /** Without the question mark; undefined where there is none. */
  readonly query: string | undefined;
}
export type Parsed = { readonly target: Target } | { readonly refusal: Refusal };

const TOO_LONG: Parsed = { refusal: { code: "TARGET_TOO_LONG", data: { limit: `${TARGET_LENGTH_MAX} characters` } } };
const NOT_OURS: Parsed = { refusal: { code: "NOT_FOUND" } };
const malformed = (reason: string): Parsed => ({ refusal: { code: "PATH_REFUSED", data: { reason } } });

// RFC 3986 §3.3 pchar without percent signs: what names of media may be made of once they are decoded.
const NAME = /^[A-Za-z0-9._~!$&'()*+,;=:@-]+$/;

/** The decoded name; undefined where it holds a slash, a NUL or what else two readers could take differently. */
const decodeName = (raw: string): string | undefined => {
  if (!raw.includes("%")) return NAME.test(raw) ? raw : undefined;
  try {
    const name = decodeURIComponent(raw);
    return NAME.test(name) ? name : undefined;
  } catch {
    return undefined;
  }
};

/** Takes `/live/{tenant}/{streamId}/{path}`, refuses the rest: what is malformed, and what is not ours. */
export const parseTarget = (url: string): Parsed => {
  if (url.length > TARGET_LENGTH_MAX) return TOO_LONG;
  const mark = url.indexOf("?");
  const rawPath = mark < 0 ? url : url.slice(0, mark);
  const query = mark < 0 ? undefined : url.slice(mark + 1);
  if (!rawPath.startsWith("/")) return malformed("the request target is no path");
  const rawNames = rawPath.slice(1).split("/");
  const names: string[] = [];
  for (const raw of rawNames) {
    if (raw === "") return NOT_OURS;
    if (raw.length > NAME_LENGTH_MAX) return malformed("a name is too long");
    const name = decodeName(raw);
    if (name === undefined) return malformed("a name holds characters that are not taken");
    if (name === "." || name === "..") return malformed("dot segments are not taken");
    names.push(name);
  }
  const [root, tenant, streamId, ...rest] = names;
  if (root !== "live" || tenant === undefined || streamId === undefined || rest.length === 0) {
    return NOT_OURS;
  }
  if (rest.length > NAMES_MAX) return NOT_OURS;
  return { target: { tenant, streamId, path: rest.join("/"), query } };
};

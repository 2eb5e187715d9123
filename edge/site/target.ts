/** Phase "parse" for sites: one name for each thing, whichever way it is written. Pure. */
import type { Rule } from "../config/sites.ts";

/** What makes a path worth a closer look: an escape, a dot segment, a backslash. */
const UNUSUAL = /%|\/\.{1,2}(?:\/|$)|\\/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/;

/**
 * The path in normal form (RFC 3986 §6.2.2): escapes of unreserved characters are resolved, the others in capitals.
 * Undefined for what two readers could take differently: escaped slashes, backslashes and NULs, dot segments, bad
 * escapes.
 */
export const canonicalPath = (path: string): string | undefined => {
  if (!UNUSUAL.test(path)) return path;
  let isFine = !path.includes("\\");
  const normal = path.replace(/%(.{0,2})/gs, (_, digits: string) => {
    if (!/^[\da-fA-F]{2}$/.test(digits)) {
      isFine = false;
      return "";
    }
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    if (character === "/" || character === "\\" || character === "\0") isFine = false;
    return UNRESERVED.test(character) ? character : `%${digits.toUpperCase()}`;
  });
  return isFine && !DOT_SEGMENT.test(normal) ? normal : undefined;
};

const nameOf = (parameter: string): string => {
  const mark = parameter.indexOf("=");
  return mark === -1 ? parameter : parameter.slice(0, mark);
};

/** The part of a query that names the object and is sent to its origin, as the rule has it. */
export const keptQuery = (query: string, rule: Pick<Rule, "query">): string => {
  if (query === "" || rule.query === "keep") return query;
  if (rule.query === "drop") return "";
  const parameters = query.split("&").filter((parameter) => parameter !== "");
  if (rule.query === "sort") return parameters.sort().join("&");
  const kept = rule.query;
  return parameters
    .filter((parameter) => kept.has(nameOf(parameter)))
    .sort()
    .join("&");
};

/** Lower-case, without a port and a final dot: how sites are looked up. */
export const hostnameOf = (host: string): string => {
  const colon = host.lastIndexOf(":");
  const name = colon > host.lastIndexOf("]") ? host.slice(0, colon) : host;
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
};

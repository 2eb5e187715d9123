/** Conditional requests and ranges as RFC 9110 §13 and §14 have them, answered by the edge itself. Pure. */

/** Validators of the body that is at hand. */
export interface Validators {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}
export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifModifiedSince?: string | undefined;
  readonly ifUnmodifiedSince?: string | undefined;
  readonly ifRange?: string | undefined;
  readonly range?: string | undefined;
}
/** `ignore`: answer with the whole body. `end` is inclusive. */
export type RangeChoice =
  | { readonly kind: "ignore" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "part"; readonly start: number; readonly end: number };

const tagsOf = (list: string): string[] => list.match(/(?:W\/)?"[^"]*"/g) ?? [];
const opaque = (tag: string): string => tag.replace(/^W\//, "");
/** RFC 9110 §8.8.3.2: weak comparison. */
const listMatchesWeakly = (list: string, etag: string | undefined): boolean =>
  list.trim() === "*" || (etag !== undefined && tagsOf(list).some((tag) => opaque(tag) === opaque(etag)));
const listMatchesStrongly = (list: string, etag: string | undefined): boolean =>
  list.trim() === "*" || (etag !== undefined && !etag.startsWith("W/") && tagsOf(list).includes(etag));

const dateOf = (text: string | undefined): number | undefined => {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
};

/** The order of RFC 9110 §13.2.2; `proceed` when no condition stands against the full answer. */
export const checkConditions = (
  conditions: Conditions,
  { etag, lastModified }: Validators,
): "proceed" | "not-modified" | "failed" => {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  const modifiedMs = dateOf(lastModified);
  if (ifMatch !== undefined) {
    if (!listMatchesStrongly(ifMatch, etag)) return "failed";
  } else if (ifUnmodifiedSince !== undefined && modifiedMs !== undefined) {
    const since = dateOf(ifUnmodifiedSince);
    if (since !== undefined && modifiedMs > since) return "failed";
  }
  if (ifNoneMatch !== undefined) return listMatchesWeakly(ifNoneMatch, etag) ? "not-modified" : "proceed";
  const since = dateOf(ifModifiedSince);
  return since !== undefined && modifiedMs !== undefined && modifiedMs <= since ? "not-modified" : "proceed";
};

/** RFC 9110 §13.1.5: a strong tag that is equal, or exactly the date that was given out. */
const rangeStillHolds = (ifRange: string | undefined, { etag, lastModified }: Validators): boolean => {
  if (ifRange === undefined) return true;
  const tag = ifRange.trim();
  if (tag.startsWith('"')) return tag === etag;
  return !tag.startsWith("W/") && lastModified !== undefined && tag === lastModified;
};

const ONE_RANGE = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i;

/**
 * Which part of a body of `sizeBytes` is asked for. Several ranges, other units and malformed ones are ignored
 * (RFC 9110 §14.2 lets a server do so), and so is any range while the size is not known.
 */
export const chooseRange = (
  { range, ifRange }: Conditions,
  validators: Validators,
  sizeBytes: number | undefined,
): RangeChoice => {
  if (range === undefined || sizeBytes === undefined || !rangeStillHolds(ifRange, validators))
    return { kind: "ignore" };
  const match = ONE_RANGE.exec(range);
  if (!match) return { kind: "ignore" };
  const [, first = "", last = ""] = match;
  if (first === "") {
    if (last === "") return { kind: "ignore" };
    const suffix = Number(last);
    if (suffix === 0 || sizeBytes === 0) return { kind: "unsatisfiable" };
    return { kind: "part", start: Math.max(0, sizeBytes - suffix), end: sizeBytes - 1 };
  }
  const start = Number(first);
  const end = last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (last !== "" && Number(last) < start) return { kind: "ignore" };
  return start >= sizeBytes ? { kind: "unsatisfiable" } : { kind: "part", start, end };
};

/** Conditional requests and ranges (RFC 9110 §13, §14) against one representation. Pure. */
import { httpDateMs } from "../../domain/http-cache/http-date.ts";
import { parseRange } from "./range.ts";

/** Validators of the representation, as they stand in its header fields. */
export interface Validators {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}
/** The fields of a request, as sent. */
export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifModifiedSince?: string | undefined;
  readonly ifUnmodifiedSince?: string | undefined;
  readonly ifRange?: string | undefined;
  readonly range?: string | undefined;
}
export type Verdict = "proceed" | "not-modified" | "failed";
/** `end` is inclusive. */
export type RangeChoice =
  | { readonly kind: "whole" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "part"; readonly start: number; readonly end: number };

const WHOLE: RangeChoice = { kind: "whole" };

const dateOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : httpDateMs(text, Date.now());

const tagsOf = (list: string): string[] => list.match(/(?:W\/)?"[^"]*"/g) ?? [];
const opaque = (tag: string): string => (tag.startsWith("W/") ? tag.slice(2) : tag);
/** RFC 9110 §8.8.3.2; `*` is met by any representation (§13.1.1, §13.1.2). */
const matchesWeakly = (list: string, etag: string | undefined): boolean =>
  list === "*" || (etag !== undefined && tagsOf(list).some((tag) => opaque(tag) === opaque(etag)));
const matchesStrongly = (list: string, etag: string | undefined): boolean =>
  list === "*" || (etag !== undefined && !etag.startsWith("W/") && tagsOf(list).includes(etag));

/** The order of RFC 9110 §13.2.2 for GET and HEAD; `proceed` when no condition stands against the answer. */
export const checkConditions = (conditions: Conditions, { etag, lastModified }: Validators): Verdict => {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  const modifiedMs = dateOf(lastModified);
  if (ifMatch !== undefined) {
    if (!matchesStrongly(ifMatch, etag)) return "failed";
  } else {
    const since = dateOf(ifUnmodifiedSince);
    if (since !== undefined && modifiedMs !== undefined && modifiedMs > since) return "failed";
  }
  if (ifNoneMatch !== undefined) return matchesWeakly(ifNoneMatch, etag) ? "not-modified" : "proceed";
  const since = dateOf(ifModifiedSince);
  return since !== undefined && modifiedMs !== undefined && modifiedMs <= since ? "not-modified" : "proceed";
};

const STRONG_AFTER_MS = 1_000;

/**
 * RFC 9110 §13.1.5: an equal strong tag, or exactly the date that was given out, where that is a strong validator: its
 * second is over (§8.8.2.2).
 */
const rangeHolds = (ifRange: string, { etag, lastModified }: Validators, nowMs: number): boolean => {
  if (ifRange.startsWith('"')) return ifRange === etag;
  const modifiedMs = dateOf(lastModified);
  return modifiedMs !== undefined && modifiedMs === dateOf(ifRange) && nowMs - modifiedMs >= STRONG_AFTER_MS;
};

/**
 * Which part of a representation of `sizeBytes` a GET wants. Several ranges, other units and malformed ones get the
 * whole (RFC 9110 §14.2 lets a server do so): a client that asks for many small ranges is no player.
 */
export const chooseRange = ({ range, ifRange }: Conditions, validators: Validators, sizeBytes: number): RangeChoice => {
  if (range === undefined) return WHOLE;
  if (ifRange !== undefined && !rangeHolds(ifRange, validators, Date.now())) return WHOLE;
  const chosen = parseRange(range.toLowerCase(), sizeBytes);
  if (chosen === undefined) return WHOLE;
  return chosen === "unsatisfiable" ? { kind: "unsatisfiable" } : { kind: "part", ...chosen };
};

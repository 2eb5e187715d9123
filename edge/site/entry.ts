/** What a stored answer of a site is: its fields, how long it serves (RFC 9111), and by what it may be purged. */

import { eachField, type FieldList, fieldValue } from "../../domain/http-cache/fields.ts";
import type { Freshness, SharedRules } from "../../domain/http-cache/storability.ts";
import { validatorsOf } from "../../domain/http-cache/validation.ts";
import type { Purgeable } from "../cache/purges/purge-table.ts";
import type { Described, Stored } from "../cache/stored.ts";
import type { Rule } from "../config/sites.ts";

/** What a stored answer of a site has beside what is sent of it. */
export interface SiteFacts {
  /** As stored: end-to-end fields (RFC 9111 §3.1). */
  readonly fields: FieldList;
  readonly freshness: Freshness;
  /** Lower-case names of the request's fields that chose it; empty: none. */
  readonly varyNames: readonly string[];
}

/** Written by us, whatever was stored. */
const OURS = new Set(["age", "date", "content-length", "cache-status", "connection"]);

/** `dateMs`: wall clock at which it came, for an answer without a Date (RFC 9110 §6.6.1). */
export const describe = (
  fields: FieldList,
  { status, via, dateMs }: { status: number; via: string; dateMs: number },
): Described => {
  const date = fieldValue(fields, "date");
  let lines = `Date: ${date ?? new Date(dateMs).toUTCString()}\r\n`;
  let hasRanges = status !== 200;
  eachField(fields, (name, lower, value) => {
    if (OURS.has(lower)) return;
    if (lower === "accept-ranges") hasRanges = true;
    lines += `${name}: ${value}\r\n`;
  });
  if (!hasRanges) lines += "Accept-Ranges: bytes\r\n";
  const { etag, lastModified } = validatorsOf(fields);
  const cacheStatus = fieldValue(fields, "cache-status");
  return { status, lines: `${lines}Via: ${via}\r\n`, etag, lastModified, cacheStatus };
};

interface Times {
  bornAtMs: number;
  freshUntilMs: number;
  revalidateUntilMs: number;
  staleUntilMs: number;
}

/** Freshness as instants of the monotonic clock. */
export const timesOf = (freshness: Freshness, nowMs: number): Times => {
  const bornAtMs = nowMs - freshness.initialAgeMs;
  const endsAtMs = bornAtMs + freshness.lifetimeMs;
  const { staleWhileRevalidateMs, staleIfErrorMs, noCache, mustRevalidate } = freshness;
  const mayBeStale = !noCache && !mustRevalidate;
  return {
    bornAtMs,
    freshUntilMs: noCache ? 0 : endsAtMs,
    revalidateUntilMs: mayBeStale ? endsAtMs + staleWhileRevalidateMs : 0,
    staleUntilMs: mayBeStale ? endsAtMs + Math.max(staleIfErrorMs, staleWhileRevalidateMs) : 0,
  };
};

export const entryOf = (
  parts: Pick<Stored, "key" | "described" | "body"> & { readonly facts: SiteFacts; readonly purgeable: Purgeable },
  nowMs: number,
): Stored => ({
  key: parts.key,
  described: parts.described,
  body: parts.body,
  base: "",
  facts: parts.facts,
  purgeable: parts.purgeable,
  askAgainAtMs: 0,
  ready: undefined,
  ...timesOf(parts.facts.freshness, nowMs),
});

/** What is new of an object that was validated. */
export interface Renewal {
  readonly facts: SiteFacts;
  readonly described: Described;
  /** Of the purges when the origin was asked. */
  readonly seq: number;
}

/** The same object after an origin said that it still holds (RFC 9111 §4.3.4). */
export const renew = (stored: Stored, { facts, described, seq }: Renewal, nowMs: number): void => {
  stored.facts = facts;
  stored.described = described;
  if (stored.purgeable) stored.purgeable = { ...stored.purgeable, seq, checkedEpoch: 0 };
  stored.ready = undefined;
  stored.askAgainAtMs = 0;
  Object.assign(stored, timesOf(facts.freshness, nowMs));
};

export const sharedRules = (rule: Rule): SharedRules => ({
  mode: rule.cache,
  ttlMs: rule.ttlMs,
  negativeTtlMs: rule.negativeTtlMs,
  graceMs: rule.graceMs,
  staleWhileRevalidateMs: rule.staleWhileRevalidateMs,
  stripSetCookie: rule.stripSetCookie,
  heuristics: true,
});

const TAGS_MAX = 32;
const TAG_LENGTH_MAX = 128;

/** The tags that an origin gives an object for purges: Surrogate-Key (by spaces) and Cache-Tag (by commas). */
export const tagsOf = (fields: FieldList): readonly string[] => {
  const spaced = fieldValue(fields, "surrogate-key")?.split(/\s+/) ?? [];
  const listed = fieldValue(fields, "cache-tag")?.split(",") ?? [];
  const tags = [...spaced, ...listed]
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "" && tag.length <= TAG_LENGTH_MAX);
  return [...new Set(tags)].slice(0, TAGS_MAX);
};

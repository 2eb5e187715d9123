import { parseDirectives } from "./directives.ts";
import type { FieldLookup } from "./fields.ts";

/** What a client asks of caches (RFC 9111 §5.2.1). A CDN stands on the origin's side and heeds it only when told to. */
export interface RequestControl {
  readonly noCache: boolean;
  readonly noStore: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number | null;
  /** Infinity for `max-stale` without a number: "a stale response of any age". */
  readonly maxStaleMs: number | null;
  readonly minFreshMs: number | null;
  /** `Pragma: no-cache` without Cache-Control, as HTTP/1.0 has it (§5.4); `noCache` is true then too. */
  readonly pragma: boolean;
}

const inMs = (seconds: number | undefined): number | null => (seconds === undefined ? null : seconds * 1_000);

export const requestControl = (requestField: FieldLookup): RequestControl => {
  const value = requestField("cache-control");
  const directives = parseDirectives(value);
  const pragma = value === undefined && parseDirectives(requestField("pragma")).has("no-cache");
  const isAnyStale = directives.has("max-stale") && directives.value("max-stale") === undefined;
  return {
    noCache: pragma || directives.has("no-cache"),
    noStore: directives.has("no-store"),
    onlyIfCached: directives.has("only-if-cached"),
    maxAgeMs: inMs(directives.seconds("max-age")),
    maxStaleMs: isAnyStale ? Number.POSITIVE_INFINITY : inMs(directives.seconds("max-stale")),
    minFreshMs: inMs(directives.seconds("min-fresh")),
    pragma,
  };
};

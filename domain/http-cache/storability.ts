/** May a shared cache store an answer, and for how long is it fresh (RFC 9111 §3, §4.2; RFC 5861; RFC 9213)? Pure. */
import { contentRangeOf } from "./content-range.ts";
import { type Control, controlOf } from "./control.ts";
import { type Directives, deltaSeconds } from "./directives.ts";
import { type FieldList, type FieldLookup, fieldValue, fieldValues, listMembers } from "./fields.ts";
import { httpDateMs } from "./http-date.ts";
import { isHeuristicallyCacheable, isNegative, isUnderstood } from "./status.ts";
import { validatorsOf } from "./validation.ts";
import { varyNames } from "./vary.ts";

/** The customer's rule for an address. */
export interface SharedRules {
  /**
   * `honour`: the origin's fields decide. `override`: `ttlMs` decides in place of the origin's freshness, `no-cache`,
   * `no-store` and `must-revalidate`; never in place of `private`, of cookies, Vary or Authorization. `bypass`: nothing
   * is stored.
   */
  readonly mode: "honour" | "override" | "bypass";
  /** `honour`: the time of answers without explicit freshness; null: none. `override`: null is as `honour`. */
  readonly ttlMs: number | null;
  /** Of 404, 405, 410, 414 and 501 without explicit freshness; 0: they are treated as any answer. */
  readonly negativeTtlMs: number;
  /** How long an answer below 400 may stand in for a failing origin, unless it says so itself (`stale-if-error`). */
  readonly graceMs: number;
  /** Where the answer has no `stale-while-revalidate` of its own; null: none. */
  readonly staleWhileRevalidateMs: number | null;
  /** Set-Cookie is removed before storing; else an answer with one is not stored. */
  readonly stripSetCookie: boolean;
  /** 10 % of the time since Last-Modified, where nothing else gives a time (RFC 9111 §4.2.2). */
  readonly heuristics: boolean;
}

/** How long a stored answer serves. All in ms. */
export interface Freshness {
  /** corrected_initial_age of RFC 9111 §4.2.3: the Age received and the time the answer took. */
  readonly initialAgeMs: number;
  readonly lifetimeMs: number;
  /** After the lifetime, while one request validates it. */
  readonly staleWhileRevalidateMs: number;
  /** After the lifetime, while the origin fails. */
  readonly staleIfErrorMs: number;
  /** Never served stale (must-revalidate, proxy-revalidate, s-maxage). */
  readonly mustRevalidate: boolean;
  /** Validated before each use, fresh or not. */
  readonly noCache: boolean;
  readonly isHeuristic: boolean;
}

/** Why an answer is not stored. */
export type Unstorable =
  | "method"
  | "bypass"
  | "status"
  | "no-store"
  | "private"
  | "not-understood"
  | "authorization"
  | "set-cookie"
  | "vary-star"
  | "partial"
  | "no-freshness";

export type Storability =
  | { readonly store: false; readonly reason: Unstorable }
  | { readonly store: true; readonly freshness: Freshness };

/** An answer of an origin, and the request that it answers. */
export interface Answered {
  readonly method: string;
  readonly status: number;
  readonly requestFields: FieldLookup;
  readonly responseFields: FieldList;
  readonly rules: SharedRules;
  /** When the head had come; ms since 1970. */
  readonly nowWallMs: number;
  /** From the sending of the request to its head. */
  readonly responseDelayMs: number;
}

interface Lifetime {
  readonly ms: number;
  readonly from: "explicit" | "rule" | "heuristic";
}

/** RFC 9111 §4.2.2: "a typical setting of this fraction might be 10%". */
const HEURISTIC_SHARE = 0.1;
const SECOND = 1_000;

const secondsAsMs = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : seconds * SECOND;

/** True where the customer's time stands in place of what the origin says: never for errors and other odd codes. */
const isOverridden = ({ mode, ttlMs, negativeTtlMs }: SharedRules, status: number): boolean => {
  if (mode !== "override" || ttlMs === null || !isHeuristicallyCacheable(status)) return false;
  return !isNegative(status) || negativeTtlMs > 0;
};

/** A 206 is kept as a piece: it needs to say which one, and under which strong validator (RFC 9111 §3.3, §3.4). */
const isPiece = (fields: FieldList): boolean =>
  contentRangeOf(fieldValue(fields, "content-range"))?.kind === "part" && validatorsOf(fields).strongEtag !== undefined;

/** "a private or no-cache with field names limits those fields alone" (RFC 9111 §5.2.2.4, §5.2.2.7). */
const isUnqualified = (directives: Directives, name: string): boolean =>
  directives.has(name) && directives.names(name).length === 0;

/** RFC 9111 §3.5: the directives that let the answer to one who is authorised be given to others. */
const mayShareAuthorised = (directives: Directives): boolean =>
  directives.has("public") || directives.has("s-maxage") || directives.has("must-revalidate");

const setsCookie = (fields: FieldList, directives: Directives): boolean =>
  fieldValues(fields, "set-cookie").length > 0 &&
  !directives.names("private").includes("set-cookie") &&
  !directives.names("no-cache").includes("set-cookie");

const forbidsStoring = (directives: Directives, status: number): boolean => {
  if (!directives.has("no-store")) return false;
  // RFC 9111 §5.2.2.3: a cache that knows the code ignores a no-store that stands with must-understand.
  return !directives.has("must-understand") || !isUnderstood(status);
};

const refusalOf = (answered: Answered, directives: Directives): Unstorable | undefined => {
  const { method, status, requestFields, responseFields, rules } = answered;
  if (method !== "GET") return "method";
  if (rules.mode === "bypass") return "bypass";
  if (status < 200 || status === 304 || status > 599) return "status";
  if (forbidsStoring(directives, status) && !isOverridden(rules, status)) return "no-store";
  if (isUnqualified(directives, "private")) return "private";
  if (directives.has("must-understand") && !isUnderstood(status)) return "not-understood";
  if (requestFields("authorization") !== undefined && !mayShareAuthorised(directives)) return "authorization";
  if (setsCookie(responseFields, directives) && !rules.stripSetCookie) return "set-cookie";
  if (varyNames(responseFields) === "*") return "vary-star";
  return status === 206 && !isPiece(responseFields) ? "partial" : undefined;
};

const dateMs = (fields: FieldList, name: string, nowWallMs: number): number | undefined => {
  const [text] = fieldValues(fields, name);
  return text === undefined ? undefined : httpDateMs(text, nowWallMs);
};

/** RFC 9111 §4.2.1: s-maxage, then max-age, then Expires minus Date; undefined when nothing is said. */
const explicitMs = (
  { directives, isTargeted }: Control,
  { responseFields, nowWallMs }: Answered,
): number | undefined => {
  const told = secondsAsMs(directives.seconds("s-maxage") ?? directives.seconds("max-age"));
  if (told !== undefined) return told;
  if (isTargeted || fieldValues(responseFields, "expires").length === 0) return undefined;
  // §5.3: an invalid date, "especially the value 0", is in the past; of several lines the first counts.
  const expiresMs = dateMs(responseFields, "expires", nowWallMs);
  if (expiresMs === undefined) return 0;
  return Math.max(0, expiresMs - (dateMs(responseFields, "date", nowWallMs) ?? nowWallMs));
};

const heuristicMs = ({ directives }: Control, answered: Answered): number | undefined => {
  const { responseFields, rules, status, nowWallMs } = answered;
  if (!rules.heuristics || !(isHeuristicallyCacheable(status) || directives.has("public"))) return undefined;
  const modifiedMs = dateMs(responseFields, "last-modified", nowWallMs);
  if (modifiedMs === undefined) return undefined;
  const generatedMs = dateMs(responseFields, "date", nowWallMs) ?? nowWallMs;
  return Math.max(0, Math.floor((generatedMs - modifiedMs) * HEURISTIC_SHARE));
};

const ruledLifetime = ({ negativeTtlMs, ttlMs }: SharedRules, status: number): Lifetime | undefined => {
  if (isNegative(status)) return negativeTtlMs > 0 ? { ms: negativeTtlMs, from: "rule" } : undefined;
  return ttlMs !== null && isHeuristicallyCacheable(status) ? { ms: ttlMs, from: "rule" } : undefined;
};

const lifetimeOf = (control: Control, answered: Answered): Lifetime | undefined => {
  const ruled = ruledLifetime(answered.rules, answered.status);
  if (isOverridden(answered.rules, answered.status)) return ruled;
  const explicit = explicitMs(control, answered);
  if (explicit !== undefined) return { ms: explicit, from: "explicit" };
  if (ruled !== undefined) return ruled;
  const heuristic = heuristicMs(control, answered);
  return heuristic === undefined ? undefined : { ms: heuristic, from: "heuristic" };
};

/**
 * RFC 9111 §4.2.3: corrected_age_value, which "MAY be used as the corrected_initial_age"; the apparent age is left out,
 * so that a wrong clock, the origin's or ours, ages nothing. §5.1: the first member of Age counts, an invalid one is
 * ignored.
 */
const initialAgeOf = ({ responseFields, responseDelayMs }: Answered): number => {
  const [first = ""] = listMembers(fieldValues(responseFields, "age")[0] ?? "");
  return (deltaSeconds(first) ?? 0) * SECOND + Math.max(0, responseDelayMs);
};

/**
 * s-maxage "incorporates the semantics of proxy-revalidate" (RFC 9111 §5.2.2.10), yet an answer that names its own
 * stale time beside it wants that time (RFC 5861).
 */
const forbidsStale = (directives: Directives): boolean => {
  if (directives.has("must-revalidate") || directives.has("proxy-revalidate")) return true;
  return directives.has("s-maxage") && !directives.has("stale-while-revalidate") && !directives.has("stale-if-error");
};

const freshnessOf = (control: Control, answered: Answered, lifetime: Lifetime): Freshness => {
  const { rules, status } = answered;
  const { directives } = control;
  const isRuled = isOverridden(rules, status);
  const mustRevalidate = !isRuled && forbidsStale(directives);
  const noCache = !isRuled && isUnqualified(directives, "no-cache");
  const told = (name: string): number | undefined => (isRuled ? undefined : secondsAsMs(directives.seconds(name)));
  // What a negative answer denies may exist a moment later: only the origin itself may have it served stale.
  const isBounded = status >= 400 || (!isRuled && directives.has("s-maxage"));
  const mayBeStale = !mustRevalidate && !noCache;
  const byRule = isBounded ? 0 : (rules.staleWhileRevalidateMs ?? 0);
  return {
    initialAgeMs: initialAgeOf(answered),
    lifetimeMs: lifetime.ms,
    staleWhileRevalidateMs: mayBeStale ? (told("stale-while-revalidate") ?? byRule) : 0,
    staleIfErrorMs: mayBeStale ? (told("stale-if-error") ?? (isBounded ? 0 : rules.graceMs)) : 0,
    mustRevalidate,
    noCache,
    isHeuristic: lifetime.from === "heuristic",
  };
};

/** True when no request could ever be answered with it: never fresh, never stale, and nothing to validate it by. */
const isUseless = (freshness: Freshness, fields: FieldList): boolean => {
  const { etag, lastModified } = validatorsOf(fields);
  if (etag !== undefined || lastModified !== undefined) return false;
  if (freshness.noCache) return true;
  const { initialAgeMs, lifetimeMs, staleIfErrorMs, staleWhileRevalidateMs } = freshness;
  return initialAgeMs >= lifetimeMs + Math.max(staleIfErrorMs, staleWhileRevalidateMs);
};

/**
 * RFC 9111 §3. An answer without any freshness is stored with a lifetime of 0 when it has a validator and its status is
 * heuristically cacheable; otherwise it is `no-freshness`. So is one that no request could ever be answered with.
 * `freshness.lifetimeMs` may be below `initialAgeMs`: such an answer is stale on arrival.
 */
export const storability = (answered: Answered): Storability => {
  const control = controlOf(answered.responseFields);
  const reason = refusalOf(answered, control.directives);
  if (reason !== undefined) return { store: false, reason };
  const mayStand = isHeuristicallyCacheable(answered.status) || control.directives.has("public");
  const lifetime = lifetimeOf(control, answered);
  if (lifetime === undefined && !mayStand) return { store: false, reason: "no-freshness" };
  const freshness = freshnessOf(control, answered, lifetime ?? { ms: 0, from: "heuristic" });
  const isUnfounded = lifetime === undefined && Object.keys(validatorsOf(answered.responseFields)).length === 0;
  if (isUnfounded || isUseless(freshness, answered.responseFields)) return { store: false, reason: "no-freshness" };
  return { store: true, freshness };
};

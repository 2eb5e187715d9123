/** Builders for the tests of this folder. */
import { type FieldList, lookupOf } from "./fields.ts";
import { type Answered, type Freshness, type SharedRules, storability } from "./storability.ts";

/** Sun, 06 Nov 1994 08:49:37 GMT, the instant of RFC 9110's examples. */
export const NOW_WALL_MS = 784_111_777_000;

/** Nothing is added to what the origin says. */
export const PLAIN: SharedRules = {
  mode: "honour",
  ttlMs: null,
  negativeTtlMs: 0,
  graceMs: 0,
  staleWhileRevalidateMs: null,
  stripSetCookie: false,
  heuristics: true,
};

/** Where a case differs from a GET answered with 200 at once under `PLAIN`. */
export interface Case {
  readonly method?: string;
  readonly status?: number;
  readonly request?: FieldList;
  readonly rules?: Partial<SharedRules>;
  readonly responseDelayMs?: number;
}

const answered = (responseFields: FieldList, { method, request, responseDelayMs, rules, status }: Case): Answered => ({
  method: method ?? "GET",
  status: status ?? 200,
  requestFields: lookupOf(request ?? []),
  responseFields,
  rules: { ...PLAIN, ...rules },
  nowWallMs: NOW_WALL_MS,
  responseDelayMs: responseDelayMs ?? 0,
});

/** `stored`, or the reason against it. */
export const verdict = (responseFields: FieldList, one: Case = {}): string => {
  const found = storability(answered(responseFields, one));
  return found.store ? "stored" : found.reason;
};

/** The freshness of an answer that must be storable. */
export const freshness = (responseFields: FieldList, one: Case = {}): Freshness => {
  const found = storability(answered(responseFields, one));
  if (!found.store) throw new Error(`not stored: ${found.reason}`);
  return found.freshness;
};

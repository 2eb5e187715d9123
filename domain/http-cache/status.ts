/** What this cache knows of status codes. */

/** "Heuristically cacheable" by RFC 9110 §15.1. */
const HEURISTIC: ReadonlySet<number> = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);
/** The heuristically cacheable ones that say that there is nothing: they get the time of the negative answers. */
const NEGATIVE: ReadonlySet<number> = new Set([404, 405, 410, 414, 501]);
/** Codes whose rules for caching this cache follows (`must-understand`, RFC 9111 §5.2.2.3). */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  ...[200, 203, 204, 206, 300, 301, 302, 303, 307, 308],
  ...[400, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 421, 422, 429, 451],
  ...[500, 501, 502, 503, 504, 505],
]);

/** RFC 9110 §15.1: a cache may give it a time of its own. */
export const isHeuristicallyCacheable = (status: number): boolean => HEURISTIC.has(status);
/** An answer that says that there is nothing here. */
export const isNegative = (status: number): boolean => NEGATIVE.has(status);
/** True when this cache knows and follows the rules of the code. */
export const isUnderstood = (status: number): boolean => UNDERSTOOD.has(status);
/** Failures of an origin for which stale-if-error stands in (RFC 5861 §4); a 4xx is an answer. */
export const isOriginError = (status: number): boolean =>
  status === 500 || status === 502 || status === 503 || status === 504;

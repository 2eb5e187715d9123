/**
 * What is counted for each hostname of the edge, as a row of numbers. All are whole, so that sums don't depend on their
 * order, and exact up to 2^53 (9 PB).
 */

/** Upper bounds of times to first byte: ¼, ½, 1 … 16,384 ms; one bucket more is for the rest. */
export const TTFB_BOUNDS_MS: readonly number[] = Array.from({ length: 17 }, (_, index) => 2 ** (index - 2));
export const TTFB_BUCKETS = TTFB_BOUNDS_MS.length + 1;

/** Places in a row. `status1xx` … are answers by the first digit of their status, 499 (the client left) apart. */
export const COLUMN = {
  requests: 0,
  hits: 1,
  sentBytes: 2,
  originRequests: 3,
  originBytes: 4,
  status1xx: 5,
  status2xx: 6,
  status3xx: 7,
  status4xx: 8,
  status5xx: 9,
  clientLeft: 10,
  ttfbMicros: 11,
  ttfb: 12,
} as const;
export const COLUMN_COUNT = COLUMN.ttfb + TTFB_BUCKETS;

/** The bucket of a time to first byte: the first whose bound it does not exceed. */
export const ttfbBucket = (ttfbMs: number): number => {
  const quarters = Math.ceil(ttfbMs * 4);
  if (quarters <= 1) return 0;
  return quarters > 65_536 ? TTFB_BUCKETS - 1 : 32 - Math.clz32(quarters - 1);
};

/** Whose row it is. */
export interface AccountKey {
  /** As configured: `*` for a site that takes every other host, never what a client sent. */
  readonly hostname: string;
  readonly customer: string;
  /** Slug of the platform's tenant; null: a third party. */
  readonly tenant: string | null;
}

/** What hostnames that nobody configured are counted under, and rows over the limit. */
export const OTHER: AccountKey = { hostname: "other", customer: "other", tenant: null };

/** Counts of one row; survives postMessage. */
export interface AccountDelta extends AccountKey {
  /** COLUMN_COUNT numbers. */
  readonly values: Float64Array;
}

/** A row in words: what is delivered and shown. */
export interface AccountFigures extends AccountKey {
  readonly requests: number;
  readonly hits: number;
  /** Handed to viewers' sockets: heads and bodies, before TLS. */
  readonly sentBytes: number;
  readonly originRequests: number;
  readonly originBytes: number;
  /** Answers by the first digit of their status: 1xx … 5xx, without 499. */
  readonly statuses: readonly [number, number, number, number, number];
  /** Viewers that left before an answer was begun. */
  readonly clientLeft: number;
  /** Sum of the times to first byte. */
  readonly ttfbMicros: number;
  /** Requests by time to first byte: TTFB_BOUNDS_MS, and what took longer. */
  readonly ttfb: readonly number[];
}

export const figuresOf = ({ hostname, customer, tenant, values }: AccountDelta): AccountFigures => {
  const at = (column: number): number => values[column] ?? 0;
  const { status1xx, status2xx, status3xx, status4xx, status5xx } = COLUMN;
  return {
    ...{ hostname, customer, tenant },
    requests: at(COLUMN.requests),
    hits: at(COLUMN.hits),
    sentBytes: at(COLUMN.sentBytes),
    originRequests: at(COLUMN.originRequests),
    originBytes: at(COLUMN.originBytes),
    statuses: [at(status1xx), at(status2xx), at(status3xx), at(status4xx), at(status5xx)],
    clientLeft: at(COLUMN.clientLeft),
    ttfbMicros: at(COLUMN.ttfbMicros),
    ttfb: [...values.subarray(COLUMN.ttfb)],
  };
};

/** A trace of requests put to a cache: LRU, Belady's optimum, and the edge's policy as it is shipped. */
import { CachePolicy } from "../domain/cache-policy/cache-policy.ts";
import { NONE, type Trace } from "./edge-traces.fixture.ts";

/** Segments after the one asked for that the policy is told of: what the edge does with a playlist it knows. */
export const EXPECTED_AHEAD = 8;
const WARM_UP = 0.1;
/** Live objects are looked through for expiry so often in a trace: four times a live period. */
const EXPIRIES = 800;

export interface Replay {
  /** In % of the requests after the warm-up. */
  readonly hits: number;
  /** Fetched from the origin, prefetching included, in % of the bytes asked for. */
  readonly originBytes: number;
  /** µs of CPU per request, all calls of the cache together. */
  readonly microseconds: number;
  /** Of the prefetched objects, in %. */
  readonly waste: number;
}

/** Answers whether it was a hit; what it fetches besides the object itself it adds to `ahead.bytes`. */
type Cache = (object: number, at: number, ahead: { bytes: number }) => boolean;

const replay = ({ requests, sizesBytes }: Trace, cache: Cache, waste = () => 0): Replay => {
  const warm = Math.floor(requests.length * WARM_UP);
  const ahead = { bytes: 0 };
  let [hits, missedBytes, askedBytes, aheadAtWarm] = [0, 0, 0, 0];
  const before = process.cpuUsage();
  for (let at = 0; at < requests.length; at += 1) {
    if (at === warm) aheadAtWarm = ahead.bytes;
    const object = requests[at]!;
    const isHit = cache(object, at, ahead);
    if (at < warm) continue;
    askedBytes += sizesBytes[object]!;
    if (isHit) hits += 1;
    else missedBytes += sizesBytes[object]!;
  }
  const { user, system } = process.cpuUsage(before);
  return {
    hits: (100 * hits) / (requests.length - warm),
    originBytes: (100 * (missedBytes + ahead.bytes - aheadAtWarm)) / askedBytes,
    microseconds: (user + system) / requests.length,
    waste: 100 * waste(),
  };
};

/** Least recently used. */
export const replayLru = (trace: Trace, capacityBytes: number): Replay => {
  const held = new Set<number>();
  let heldBytes = 0;
  return replay(trace, (object) => {
    const isHit = held.delete(object);
    held.add(object);
    if (!isHit) heldBytes += trace.sizesBytes[object]!;
    for (const oldest of held) {
      if (heldBytes <= capacityBytes) break;
      held.delete(oldest);
      heldBytes -= trace.sizesBytes[oldest]!;
    }
    return isHit;
  });
};

/** When each request's object is asked for again; infinite: never. */
const nextUses = ({ requests, keys }: Trace): Float64Array => {
  const next = new Float64Array(requests.length);
  const seen = new Float64Array(keys.length).fill(Number.POSITIVE_INFINITY);
  for (let at = requests.length - 1; at >= 0; at -= 1) {
    next[at] = seen[requests[at]!]!;
    seen[requests[at]!] = at;
  }
  return next;
};

/**
 * Gives up what is asked for last of all, and never takes what is not asked for again (Belady): all that a cache
 * without prefetching can reach, with objects of nearly one size.
 */
export const replayBelady = (trace: Trace, capacityBytes: number): Replay => {
  const next = nextUses(trace);
  /** Each held object by its next use: a request has one object, so the latest is found from the end. */
  const objectAt = new Int32Array(trace.requests.length).fill(NONE);
  const heldUntil = new Map<number, number>();
  let heldBytes = 0;
  let latest = 0;
  const drop = (object: number, use: number): void => {
    objectAt[use] = NONE;
    heldUntil.delete(object);
    heldBytes -= trace.sizesBytes[object]!;
  };
  return replay(trace, (object, at) => {
    const isHit = heldUntil.has(object);
    if (isHit) drop(object, at);
    const use = next[at]!;
    if (use === Number.POSITIVE_INFINITY) return isHit;
    objectAt[use] = object;
    heldUntil.set(object, use);
    heldBytes += trace.sizesBytes[object]!;
    latest = Math.max(latest, use);
    while (heldBytes > capacityBytes) {
      while (objectAt[latest] === NONE) latest -= 1;
      drop(objectAt[latest]!, latest);
    }
    return isHit;
  });
};

/** The shipped policy as the edge uses it. */
export const replayPolicy = (trace: Trace, capacityBytes: number, { prefetches }: { prefetches: boolean }): Replay => {
  const { keys, sizesBytes, expiresAt, following } = trace;
  const policy = new CachePolicy({ capacityBytes });
  const expiryEvery = Math.max(1, Math.floor(trace.requests.length / EXPIRIES));
  const cache: Cache = (object, at, ahead) => {
    if (at % expiryEvery === 0) policy.expire(at);
    const isHit = policy.touch(keys[object]!);
    if (!isHit) {
      const expiresAtMs = expiresAt[object]!;
      if (expiresAtMs === NONE) policy.add(keys[object]!, sizesBytes[object]!, "stored");
      else policy.add(keys[object]!, sizesBytes[object]!, "live", { expiresAtMs });
    }
    let next = following[object]!;
    if (prefetches && next !== NONE && !policy.has(keys[next]!) && policy.mayPrefetch()) {
      policy.add(keys[next]!, sizesBytes[next]!, "prefetched");
      ahead.bytes += sizesBytes[next]!;
    }
    for (let n = 0; n < EXPECTED_AHEAD && next !== NONE; n += 1) {
      policy.expect(keys[next]!);
      next = following[next]!;
    }
    return isHit;
  };
  return replay(trace, cache, () => policy.prefetchWaste);
};

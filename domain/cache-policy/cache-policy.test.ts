import assert from "node:assert/strict";
import { test } from "node:test";
import { replayBelady, replayLru, replayPolicy } from "../../bench/edge-replay.fixture.ts";
import { liveTrace, mixedTrace, vodTrace, zipfTrace } from "../../bench/edge-traces.fixture.ts";
import { seeded } from "../../test/support/seeded.ts";
import { type CacheClass, CachePolicy } from "./cache-policy.ts";

const fill = (policy: CachePolicy, prefix: string, count: number, sizeBytes = 10): void => {
  for (let n = 0; n < count; n += 1) policy.add(`${prefix}${n}`, sizeBytes, "stored");
};

test("an object is held until it is removed, and only known ones are hits", () => {
  const policy = new CachePolicy({ capacityBytes: 100 });
  assert.equal(policy.touch("a"), false);
  assert.deepEqual(policy.add("a", 40, "stored"), []);
  assert.deepEqual(policy.add("b", 30, "live"), []);
  assert.deepEqual(policy.add("c", 20, "prefetched"), []);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((key) => policy.kindOf(key)),
    ["stored", "live", "prefetched", undefined],
  );
  assert.deepEqual([policy.count, policy.sizeBytes, policy.bytesOf("live")], [3, 90, 30]);
  assert.ok(policy.has("a") && policy.touch("a") && policy.touch("b"));
  assert.ok(policy.remove("a"));
  assert.ok(!policy.remove("a"));
  assert.deepEqual([policy.has("a"), policy.count, policy.sizeBytes], [false, 2, 50]);
});

test("what is larger than its class may be is not held, and takes nothing else's place", () => {
  const policy = new CachePolicy({ capacityBytes: 100, liveShareMax: 0.5, prefetchShareMax: 0.25 });
  policy.add("a", 40, "stored");
  assert.deepEqual(policy.add("b", 101, "stored"), ["b"]);
  assert.deepEqual(policy.add("c", 51, "live"), ["c"]);
  assert.deepEqual(policy.add("d", 26, "prefetched"), ["d"]);
  assert.deepEqual(policy.add("a", 101, "stored"), ["a"], "one that grew too large is let go");
  assert.equal(policy.count, 0);
});

test("sizes that are no sizes are a defect of the caller", () => {
  const policy = new CachePolicy({ capacityBytes: 100 });
  for (const size of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => policy.add("a", size, "stored"), /bug: sizeBytes/);
    assert.throws(() => new CachePolicy({ capacityBytes: size }), /bug: capacityBytes/);
  }
  assert.equal(policy.count, 0);
});

test("an object that is asked for often stays through a scan of things that are asked for once", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  fill(policy, "popular", 20);
  for (let round = 0; round < 4; round += 1) for (let n = 0; n < 20; n += 1) policy.touch(`popular${n}`);
  fill(policy, "once", 2_000);
  const held = Array.from({ length: 20 }, (_, n) => policy.has(`popular${n}`)).filter(Boolean).length;
  assert.equal(held, 20);
});

test("an object larger than the window displaces nothing when it was asked for no more often than that", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  fill(policy, "small", 100);
  assert.deepEqual(policy.add("large", 200, "stored"), ["large"]);
  assert.equal(policy.count, 100);
});

test("an object that is asked for again and again gets its place, however many small ones it takes", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  fill(policy, "small", 100);
  for (let request = 0; request < 20; request += 1) {
    if (!policy.touch("large")) policy.add("large", 300, "stored");
  }
  assert.deepEqual([policy.has("large"), policy.sizeBytes, policy.count], [true, 1_000, 71]);
});

test("what a viewer is about to ask for outlives what nobody is about to ask for", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  fill(policy, "film", 100);
  for (let n = 0; n < 20; n += 1) policy.expect(`film${n}`); // the oldest, the first to go otherwise
  fill(policy, "other", 60);
  for (let n = 0; n < 60; n += 1) policy.touch(`other${n}`);
  for (let n = 0; n < 60; n += 1) policy.add(`other${n}`, 10, "stored");
  const held = Array.from({ length: 20 }, (_, n) => policy.has(`film${n}`)).filter(Boolean).length;
  assert.equal(held, 20);
  policy.expect("unknown");
  assert.ok(!policy.has("unknown"));
});

test("live objects go when their time comes, whatever was asked for", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  policy.add("late", 10, "live", { expiresAtMs: 300 });
  policy.add("soon", 10, "live", { expiresAtMs: 100 });
  policy.add("never", 10, "live");
  policy.add("next", 10, "live", { expiresAtMs: 200 });
  policy.touch("soon");
  assert.deepEqual(policy.expire(99), []);
  assert.deepEqual(policy.expire(200), ["soon", "next"]);
  policy.add("late", 10, "live", { expiresAtMs: 400 });
  assert.deepEqual(policy.expire(399), []);
  assert.deepEqual(policy.expire(400), ["late"]);
  assert.deepEqual([policy.has("never"), policy.sizeBytes], [true, 10]);
});

test("an object that is no longer live, or was purged, does not expire", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  policy.add("recorded", 10, "live", { expiresAtMs: 100 });
  policy.add("recorded", 10, "stored");
  policy.add("purged", 10, "live", { expiresAtMs: 100 });
  policy.remove("purged");
  policy.add("purged", 10, "stored");
  assert.deepEqual(policy.expire(1_000), []);
  assert.equal(policy.count, 2);
});

test("live objects never take more than their share, nor stored ones theirs", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000, liveShareMax: 0.5 });
  fill(policy, "film", 100);
  for (let n = 0; n < 200; n += 1) policy.add(`live${n}`, 10, "live");
  assert.deepEqual([policy.bytesOf("live"), policy.bytesOf("stored")], [500, 500]);
  assert.ok(policy.has("live199") && !policy.has("live0"));
  fill(policy, "more", 200);
  assert.equal(policy.bytesOf("live"), 500);
});

test("prefetched objects leave in the order in which they came, within their share and the budget", () => {
  const policy = new CachePolicy({ capacityBytes: 100, prefetchShareMax: 0.25 });
  for (const key of ["a", "b"]) assert.deepEqual(policy.add(key, 10, "prefetched"), []);
  assert.deepEqual(policy.add("a", 10, "prefetched"), [], "known: neither moved nor doubled");
  assert.deepEqual(policy.add("c", 10, "prefetched"), ["a"]);
  policy.setPrefetchBudget(10);
  assert.deepEqual(policy.add("d", 10, "prefetched"), ["b", "c"]);
  policy.setPrefetchBudget(0);
  assert.ok(!policy.mayPrefetch());
  assert.deepEqual(policy.add("e", 10, "prefetched"), ["e"]);
});

test("a prefetched object that is asked for becomes a stored one and makes room for the next", () => {
  const policy = new CachePolicy({ capacityBytes: 100, prefetchShareMax: 0.2 });
  policy.add("a", 10, "prefetched");
  policy.add("b", 10, "prefetched");
  assert.ok(policy.touch("a"));
  assert.equal(policy.kindOf("a"), "stored");
  assert.deepEqual(policy.add("c", 10, "prefetched"), []);
  assert.deepEqual(policy.add("d", 10, "prefetched"), ["b"]);
  assert.deepEqual(policy.add("a", 30, "prefetched"), [], "a held object stays what it is");
  assert.deepEqual([policy.kindOf("a"), policy.sizeBytes], ["stored", 50]);
});

test("prefetching stops while much of it goes unused, but for a few, and begins again when it is used", () => {
  const policy = new CachePolicy({ capacityBytes: 1_000 });
  let n = 0;
  const prefetch = (count: number, isUsed: boolean): void => {
    for (const end = n + count; n < end; n += 1) {
      policy.add(`p${n}`, 10, "prefetched");
      if (isUsed) policy.touch(`p${n}`);
    }
  };
  prefetch(1_000, true);
  assert.ok(policy.mayPrefetch());
  prefetch(600, false);
  assert.ok(policy.prefetchWaste > 0.125);
  const passed = Array.from({ length: 160 }, () => policy.mayPrefetch()).filter(Boolean).length;
  assert.equal(passed, 10);
  prefetch(12_000, true);
  assert.ok(policy.mayPrefetch() && policy.mayPrefetch());
});

/** The same operations on the policy and on a plain map. */
const operate = (seed: number): void => {
  const random = seeded(seed);
  const capacityBytes = 1 + random.int(5_000);
  const policy = new CachePolicy({ capacityBytes, seed });
  const held = new Map<string, { sizeBytes: number; kind: CacheClass }>();
  const forget = (keys: readonly string[], own?: string): void => {
    for (const key of keys) assert.ok(held.delete(key) || key === own, `${key} was not held`);
  };
  for (let step = 0; step < 3_000; step += 1) {
    const key = `k${random.int(300)}`;
    const kind = (["stored", "stored", "live", "prefetched"] as const)[random.int(4)]!;
    const action = random.int(20);
    if (action < 8) {
      const sizeBytes = random.int(random.int(10) === 0 ? 6_000 : 200);
      const known = held.get(key);
      held.set(key, { sizeBytes, kind: known && kind === "prefetched" ? known.kind : kind });
      forget(policy.add(key, sizeBytes, kind, random.int(2) === 0 ? {} : { expiresAtMs: step + random.int(500) }), key);
    } else if (action < 14) {
      assert.equal(policy.touch(key), held.has(key));
      if (held.get(key)?.kind === "prefetched") held.get(key)!.kind = "stored";
    } else if (action < 16) policy.expect(key);
    else if (action === 16) assert.equal(policy.remove(key), held.delete(key));
    else if (action === 17) forget(policy.expire(step));
    else policy.setPrefetchBudget(random.int(capacityBytes));
    const sum = [...held.values()].reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    assert.deepEqual([policy.count, policy.sizeBytes, policy.kindOf(key)], [held.size, sum, held.get(key)?.kind]);
    assert.ok(sum <= capacityBytes);
  }
};

test("whatever is done, the bytes stay within the capacity and the answers say what is held", () => {
  for (let seed = 1; seed <= 20; seed += 1) operate(seed);
});

test("objects of no bytes are bounded by nothing but the caller, and do no harm", () => {
  const policy = new CachePolicy({ capacityBytes: 0 });
  assert.deepEqual(policy.add("empty", 0, "stored"), []);
  assert.deepEqual(policy.add("a", 1, "stored"), ["a"]);
  assert.ok(policy.touch("empty"));
});

const REQUESTS = 60_000;
const SHARE = 0.05;

test("on films, live channels and scans the policy is above LRU and below the optimum", () => {
  for (const make of [vodTrace, mixedTrace, liveTrace, zipfTrace]) {
    const trace = make(REQUESTS);
    const capacityBytes = trace.footprintBytes * SHARE;
    const lru = replayLru(trace, capacityBytes);
    const ours = replayPolicy(trace, capacityBytes, { prefetches: false });
    const best = replayBelady(trace, capacityBytes);
    assert.ok(ours.hits > lru.hits + 1, `${trace.name}: ${ours.hits} against ${lru.hits}`);
    assert.ok(ours.hits < best.hits, `${trace.name}: ${ours.hits} against ${best.hits}`);
    assert.ok(ours.originBytes < lru.originBytes, trace.name);
  }
});

test("with room for the next segment of each viewer, prefetching makes most requests hits for no more bytes", () => {
  const trace = vodTrace(REQUESTS);
  const capacityBytes = trace.footprintBytes * 0.4; // of a short trace: 4,000 viewers need 4 GB ahead
  const lru = replayLru(trace, capacityBytes);
  const ours = replayPolicy(trace, capacityBytes, { prefetches: true });
  assert.ok(ours.hits > lru.hits + 30, `${ours.hits} against ${lru.hits}`);
  assert.ok(ours.originBytes < lru.originBytes + 8, `${ours.originBytes} against ${lru.originBytes}`);
});

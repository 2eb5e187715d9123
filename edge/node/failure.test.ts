/** What viewers get while origins fail in every way that they can. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import {
  channelOf,
  type EdgeUnderTest,
  edgeUnderTest,
  FOLDER,
  get,
  HASTY,
  lastNumberIn,
  mediaPlaylist,
  patterned,
} from "../../test/origin/edge.ts";
import { type Behaviour, mediaStandIn, type StandIn } from "../../test/origin/stand-in.ts";
import { until } from "../../test/support/platform.ts";

const MEDIA = `${FOLDER}/v0/media.m3u8`;
const MASTER = `${FOLDER}/master.m3u8`;
const segment = (number: number): string => `${FOLDER}/v0/${number}.m4s`;
const SIZE = 100_000;

/** Makes an origin list and have the segments up to `last`; bytes differ from origin to origin. */
const advance = (origin: StandIn, last: number, seed: number): void => {
  origin.items.set(MASTER, { body: "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv0/media.m3u8\n" });
  origin.items.set(MEDIA, { body: mediaPlaylist(Math.max(1, last - 5), last) });
  for (let number = Math.max(1, last - 5); number <= last; number += 1) {
    origin.items.set(segment(number), {
      body: patterned(SIZE, seed * 1_000 + number),
      headers: { etag: `"${seed}-${number}"` },
    });
  }
};
const bytesOf = (seed: number, number: number): Buffer => patterned(SIZE, seed * 1_000 + number);

/** Numbers below `max` that are the same in every run (mulberry32). */
const seeded = (seed: number) => {
  let state = seed;
  return (max: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % max;
  };
};

interface Scene {
  readonly first: StandIn;
  readonly second: StandIn;
  readonly edge: EdgeUnderTest;
  at(path: string): string;
}
/** Two origins of one channel, both at segment 10. `how` one is going to fail. */
const scene = async (t: TestContext, how?: Behaviour): Promise<Scene> => {
  const [first, second] = [await mediaStandIn(t), await mediaStandIn(t)];
  advance(first, 10, 1);
  advance(second, 10, 2);
  const hangs = how === "hang" || (typeof how === "object" && "next" in how && how.next === "hang");
  const channels = [channelOf([first, second])];
  const edge = await edgeUnderTest(t, { channels, ...(hangs ? { timeouts: HASTY } : {}) });
  return { first, second, edge, at: (path) => `${edge.url}${path}` };
};

const BEFORE_THE_BODY: [name: string, how: Behaviour][] = [
  ["that answers 500", { status: 500 }],
  ["that answers 503", { status: 503 }],
  ["that takes requests and never answers", "hang"],
  ["that resets the connection in the head", { after: 0, next: "reset" }],
  ["that redirects", { status: 302, headers: { location: "http://169.254.169.254/" } }],
  ["that has nothing", { status: 404 }],
  ["that says partial", { status: 206 }],
];

describe("an origin", () => {
  for (const [name, how] of BEFORE_THE_BODY) {
    test(`${name} costs the viewer nothing while another has the object`, async (t) => {
      const { first, at } = await scene(t, how);
      first.rules.push({ path: "/live/", how });
      // A reset in the head reaches viewers of segments only where their own head is out already.
      const playlist = await get(at(MEDIA));
      assert.equal(playlist.status, 200);
      assert.equal(lastNumberIn(playlist.body), 10);
      const media = await until("the segment", async () => {
        const answer = await get(at(segment(10)));
        return answer.broken ? undefined : answer;
      });
      assert.ok(media.body.equals(bytesOf(2, 10)));
    });
  }

  test("that is only starting, with the other one gone, makes viewers come back soon", async (t) => {
    const { first, second, edge } = await scene(t);
    first.rules.push({ path: "/live/", how: { status: 503 } });
    await second.kill();
    const response = await fetch(`${edge.url}${MASTER}`);
    assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
  });

  test("that has no DASH yet is asked for HLS as before", async (t) => {
    const { first, second, edge } = await scene(t);
    for (const origin of [first, second]) origin.rules.push({ path: "manifest.mpd", how: { status: 503 } });
    const response = await fetch(`${edge.url}${MASTER.replace("master.m3u8", "manifest.mpd")}`);
    assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
    const asked = first.seen.length;
    assert.equal((await fetch(`${edge.url}${MASTER}`)).status, 200);
    assert.equal(first.seen.length, asked + 1);
  });

  test("that is killed is not asked again by viewers, and comes back when a probe finds it", async (t) => {
    const { first, second, edge, at } = await scene(t);
    await first.kill();
    assert.ok((await get(at(segment(9)))).body.equals(bytesOf(2, 9)));
    assert.ok((await get(at(segment(10)))).body.equals(bytesOf(2, 10)));
    assert.equal(first.seen.length, 0);
    await first.revive();
    advance(first, 11, 1);
    advance(second, 11, 2);
    edge.pass(1_000);
    await until("the first origin to be probed", async () => {
      await get(at(MEDIA));
      return first.countOf(MASTER) > 0 ? true : undefined;
    });
    await until("the first origin to be asked", async () => {
      edge.pass(700);
      await get(at(MEDIA));
      return first.countOf(MEDIA) > 0 ? true : undefined;
    });
    assert.ok((await get(at(segment(11)))).body.equals(bytesOf(1, 11)));
  });

  test("that hangs is waited for once, not by everybody", async (t) => {
    const { first, second, at } = await scene(t, "hang");
    first.rules.push({ path: "/live/", how: "hang" });
    await Promise.all([get(at(MEDIA)), get(at(MEDIA)), get(at(MEDIA))]);
    const asked = first.seen.length;
    for (const number of [6, 7, 8, 9, 10]) assert.ok((await get(at(segment(number)))).body.equals(bytesOf(2, number)));
    assert.equal(asked, 1);
    assert.equal(first.seen.filter(({ path }) => path !== MASTER).length, asked);
    assert.equal(second.countOf(MEDIA), 1);
  });
});

const MIDWAY: [name: string, how: Behaviour][] = [
  ["hangs", { after: SIZE / 2, next: "hang" }],
  ["is reset", { after: SIZE / 2, next: "reset" }],
  ["ends too early", { after: SIZE / 2, next: "end" }],
];

describe("a body", () => {
  for (const [name, how] of MIDWAY) {
    test(`that ${name} midway breaks the viewer's connection, is not kept, and never goes on with another's bytes`, async (t) => {
      const { first, at } = await scene(t, how);
      first.rules.push({ path: segment(10), how });
      const cut = await get(at(segment(10)));
      assert.equal(cut.broken, true, "a short answer must not look whole");
      assert.ok(cut.body.length <= SIZE / 2);
      assert.ok(cut.body.equals(bytesOf(1, 10).subarray(0, cut.body.length)));
      const next = await get(at(segment(10)));
      assert.equal(next.headers.etag, '"2-10"');
      assert.ok(next.body.equals(bytesOf(2, 10)));
      const kept = await get(at(segment(10)));
      assert.match(String(kept.headers["cache-status"]), /; hit/);
      assert.ok(kept.body.equals(bytesOf(2, 10)));
    });
  }

  test("without an announced size that is cut is not ended cleanly either", async (t) => {
    const { first, at } = await scene(t);
    first.items.set(segment(10), { body: bytesOf(1, 10), chunked: true });
    first.rules.push({ path: segment(10), how: { after: SIZE / 2, next: "reset" } });
    assert.equal((await get(at(segment(10)))).broken, true);
    assert.ok((await get(at(segment(10)))).body.equals(bytesOf(2, 10)));
  });

  for (const next of ["reset", "end", "hang"] as const) {
    test(`of a playlist that breaks off midway (${next}) is replaced by another origin's, unseen`, async (t) => {
      const how: Behaviour = { after: 20, next };
      const { first, second, at } = await scene(t, how);
      first.rules.push({ path: MEDIA, how });
      const { body, broken } = await get(at(MEDIA));
      assert.equal(broken, false);
      assert.equal(lastNumberIn(body), 10);
      assert.equal(second.countOf(MEDIA), 1);
    });
  }

  test("that is longer than announced is cut, and not kept", async (t) => {
    const { first, second, at } = await scene(t);
    first.rules.push({ path: segment(10), how: { extra: 10 } });
    const { body } = await get(at(segment(10)));
    assert.ok(body.length <= SIZE);
    assert.ok(body.equals(bytesOf(1, 10).subarray(0, body.length)));
    const next = await get(at(segment(10)));
    assert.equal(next.headers.etag, '"2-10"');
    assert.equal(second.countOf(segment(10)), 1);
  });

  test("that announces more than 64 MiB is not taken", async (t) => {
    const { first, at } = await scene(t);
    first.items.set(segment(10), { body: "x", chunked: true, headers: { "content-length": String(65 * 2 ** 20) } });
    const { body } = await get(at(segment(10)));
    assert.ok(body.equals(bytesOf(2, 10)));
  });
});

describe("a playlist", () => {
  test("is never older than one that was shown, whoever it comes from", async (t) => {
    const { first, second, edge, at } = await scene(t);
    advance(first, 12, 1);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 12);
    await first.kill();
    edge.pass(700);
    const held = await get(at(MEDIA));
    assert.equal(held.status, 200);
    assert.equal(lastNumberIn(held.body), 12);
    assert.equal(held.headers["cache-status"], "castellan-edge; fwd=stale; detail=older-at-origin");
    edge.pass(700);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 12);
    advance(second, 13, 2);
    edge.pass(700);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 13);
  });

  test("is taken from a third origin when the second is behind", async (t) => {
    const origins = [await mediaStandIn(t), await mediaStandIn(t), await mediaStandIn(t)] as const;
    origins.forEach((origin, index) => {
      advance(origin, 12 - index, index);
    });
    advance(origins[2], 12, 3);
    const edge = await edgeUnderTest(t, { channels: [channelOf(origins)] });
    await get(`${edge.url}${MEDIA}`);
    await origins[0].kill();
    edge.pass(700);
    assert.equal(lastNumberIn((await get(`${edge.url}${MEDIA}`)).body), 12);
    assert.equal(origins[1].countOf(MEDIA), 1);
    assert.equal(origins[2].countOf(MEDIA), 1);
  });

  test("that began anew with lower numbers is believed after six segments without a newer one", async (t) => {
    const { first, second, edge, at } = await scene(t);
    await get(at(MEDIA));
    advance(first, 3, 1);
    advance(second, 3, 2);
    edge.pass(11_000);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 10);
    edge.pass(1_000);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 3);
  });

  test("is believed at once when the channel is another one: other segments or none of its former origins", async (t) => {
    const { first, second, edge, at } = await scene(t);
    await get(at(MEDIA));
    await get(at(segment(10)));
    advance(first, 5, 7);
    edge.setChannels([channelOf([first, second], { segmentMs: 4_000 })]);
    await until("the new numbers", async () => (lastNumberIn((await get(at(MEDIA))).body) === 5 ? true : undefined));
    const now = channelOf([second], { segmentMs: 4_000 });
    edge.setChannels([{ ...now, origins: now.origins.map((origin) => ({ ...origin, originId: 9 })) }]);
    await until("the other origin", async () => (lastNumberIn((await get(at(MEDIA))).body) === 10 ? true : undefined));
    assert.ok((await get(at(segment(10)))).body.equals(bytesOf(2, 10)), "no segment of the former channel");
  });

  test("that no origin gives is shown for one more segment, then there is an error that players repeat", async (t) => {
    const { first, second, edge, at } = await scene(t);
    await get(at(MEDIA));
    await Promise.all([first.kill(), second.kill()]);
    edge.pass(1_000);
    const stale = await get(at(MEDIA));
    assert.equal(stale.status, 200);
    assert.equal(stale.headers["cache-status"], "castellan-edge; fwd=stale; detail=stale-if-error");
    edge.pass(1_200);
    assert.equal((await get(at(MEDIA))).status, 200);
    edge.pass(1_000);
    const gone = await get(at(MEDIA));
    assert.equal(gone.status, 502);
    assert.equal(gone.headers["cache-control"], "no-store");
    assert.equal(JSON.parse(gone.body.toString()).code, "UPSTREAM_FAILED");
  });

  test("that is an error page with status 200 is not taken for one", async (t) => {
    const { first, at } = await scene(t);
    first.items.set(MEDIA, { body: "<html>busy</html>" });
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 10);
  });
});

describe("a segment", () => {
  test("that one origin lists and another has not yet is waited for", async (t) => {
    const { first, second, at } = await scene(t);
    advance(first, 11, 1);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 11);
    await first.kill();
    const waiting = get(at(segment(11)));
    await until("the second origin to be asked twice", () => (second.countOf(segment(11)) > 1 ? true : undefined));
    advance(second, 11, 2);
    assert.ok((await waiting).body.equals(bytesOf(2, 11)));
  });

  test("that is live and does not come is an error that players repeat; one out of the window is a 404", async (t) => {
    const { edge, at } = await scene(t);
    await get(at(MEDIA));
    assert.equal((await get(at(segment(4)))).status, 404);
    assert.equal((await get(at(segment(12)))).status, 404);
    const next = get(at(segment(11)));
    const { status, headers } = await next;
    assert.equal(status, 503);
    assert.equal(headers["retry-after"], "1");
    assert.equal(headers["cache-control"], "no-store");
    edge.pass(0);
  });

  test("of a rendition that does not exist is a 404 at once, however live its number is", async (t) => {
    const { first, second, at } = await scene(t);
    await get(at(MEDIA));
    assert.equal((await get(at(segment(10)))).status, 200);
    const path = `${FOLDER}/v9/11.m4s`;
    assert.equal((await get(at(path))).status, 404);
    assert.deepEqual([first.countOf(path), second.countOf(path)], [1, 1]);
  });

  test("that was missing a moment ago is asked for again once it is listed", async (t) => {
    const { first, second, edge, at } = await scene(t);
    await get(at(MEDIA));
    assert.equal((await get(at(segment(12)))).status, 404);
    advance(first, 12, 1);
    advance(second, 12, 2);
    edge.pass(700);
    assert.equal(lastNumberIn((await get(at(MEDIA))).body), 12);
    assert.equal((await get(at(segment(12)))).status, 200);
  });

  test("is a 404 only when every origin that could have it says so", async (t) => {
    const { first, at } = await scene(t);
    first.rules.push({ path: "v0/99.m4s", how: { status: 500 } });
    assert.equal((await get(at(segment(99)))).status, 502);
    assert.equal((await get(at(segment(98)))).status, 404);
  });
});

test("of 150 bodies that are cut anywhere, in every way, none looks whole to a viewer that is not", async (t) => {
  const { first, second, edge, at } = await scene(t, "hang");
  const random = seeded(20_261_121);
  const endings = ["reset", "end", "hang"] as const;
  const cuts = Array.from({ length: 150 }, (_, index) => ({
    path: segment(1_000 + index),
    // Few hang: each costs the idle time.
    next: endings[random(20) === 0 ? 2 : random(2)] ?? "reset",
    after: random(SIZE),
    chunked: random(2) === 0,
  }));
  for (const [index, { path, next, after, chunked }] of cuts.entries()) {
    for (const [seed, origin] of [first, second].entries()) {
      origin.items.set(path, { body: bytesOf(seed + 1, index), chunked });
    }
    first.rules.unshift({ path, how: { after, next } });
    second.rules.unshift({ path, how: { after: SIZE - after, next } });
  }
  let wholeCount = 0;
  for (const [index, { path }] of cuts.entries()) {
    const { broken, body, status } = await get(at(path));
    if (broken || status !== 200) continue;
    wholeCount += 1;
    assert.ok(body.equals(bytesOf(1, index)) || body.equals(bytesOf(2, index)), `${path} looks whole and is not`);
  }
  assert.equal(wholeCount, 0, "every one of them was cut at its origin");
  first.rules.splice(0);
  second.rules.splice(0);
  edge.pass(10_000);
  for (const { path } of cuts) assert.equal((await get(at(path))).body.length, SIZE);
});

test("a viewer who reads playlist and segments in a row sees no gap when the origin dies at any moment", async (t) => {
  const { first, second, edge, at } = await scene(t);
  let next = 6;
  for (let last = 10; last < 30; last += 1) {
    advance(first, last, 1);
    advance(second, last - 1, 2); // always a little behind
    if (last === 15) await first.kill();
    if (last === 22) {
      await first.revive();
      edge.pass(5_000);
    }
    edge.pass(700);
    const playlist = await get(at(MEDIA));
    assert.equal(playlist.status, 200);
    const listed = lastNumberIn(playlist.body);
    for (; next <= listed; next += 1) {
      const { status, broken, body } = await get(at(segment(next)));
      assert.deepEqual([next, status, broken], [next, 200, false]);
      assert.ok(
        body.equals(bytesOf(1, next)) || body.equals(bytesOf(2, next)),
        `segment ${next} is one origin's whole`,
      );
    }
  }
  assert.equal(next, 30);
});

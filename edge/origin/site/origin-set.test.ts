/** Which origin is asked, what happens when it fails, and what is remembered of that. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { UpstreamError } from "../upstream.ts";
import {
  always,
  answered,
  type Handler,
  hangs,
  requestOf,
  type StandIn,
  seededRandom,
  setOf,
  standIn,
  textOf,
  until,
} from "./origins.fixture.ts";
import type { AskOptions, OriginSetOptions } from "./set-options.ts";

const refused = (status: string): Handler => always("sorry", { status });
const BAD_GATEWAY = "502 Bad Gateway";
const SERVICE_UNAVAILABLE = "503 Service Unavailable";
const SERVER_ERROR = "500 Internal Server Error";

/** Origins `a`, `b` … in this order, and a clock that the test moves. */
const scene = async (t: TestContext, handlers: readonly Handler[], options: Partial<OriginSetOptions> = {}) => {
  const origins = await Promise.all(handlers.map((handle) => standIn(t, handle)));
  const clock = { ms: 0 };
  const set = setOf(t, {
    origins: origins.map(({ url }, order) => ({ id: "abcdef"[order]!, url, order })),
    nowMs: () => clock.ms,
    ...options,
  });
  const get = async (target = "/x", how: AskOptions = {}): Promise<string> => {
    const answer = await set.ask(requestOf(target), how);
    return `${answer.originId} ${answer.status} ${await textOf(answer)}`;
  };
  const upOf = () => Object.fromEntries(set.health().map(({ id, isUp }) => [id, isUp]));
  return { origins, a: origins[0]!, b: origins[1] ?? origins[0]!, set, clock, get, upOf };
};

const countOf = ({ asked }: StandIn, method = "GET"): number => asked.filter((one) => one.method === method).length;

describe("failing over", () => {
  test("an origin that nobody listens at costs nothing but the next one's answer", async (t) => {
    const { a, get, upOf } = await scene(t, [always("one"), always("two")]);
    await a.stop();
    assert.equal(await get(), "b 200 two");
    assert.deepEqual(upOf(), { a: false, b: true });
  });

  for (const status of [BAD_GATEWAY, SERVICE_UNAVAILABLE, "504 Gateway Timeout", SERVER_ERROR]) {
    test(`${status} is bettered by the next origin`, async (t) => {
      const { get } = await scene(t, [refused(status), always("two")]);
      assert.equal(await get(), "b 200 two");
    });
  }

  test("an origin that resets, or answers garbage, is bettered by the next one", async (t) => {
    const { get, a } = await scene(t, [() => "garbage\r\n\r\n", always("two")]);
    assert.equal(await get(), "b 200 two");
    a.handle = ({ socket }) => {
      socket.resetAndDestroy();
      return undefined;
    };
    assert.equal(await get(), "b 200 two");
  });

  test("an origin that hangs is left for the next one by the deadline, and not waited for again", async (t) => {
    const { a, get, upOf } = await scene(t, [hangs, always("two")]);
    assert.equal(await get("/x", { firstByteMs: 50, hedge: false }), "b 200 two");
    assert.deepEqual(upOf(), { a: false, b: true });
    assert.equal(await get("/x", { firstByteMs: 10_000, hedge: false }), "b 200 two");
    assert.equal(countOf(a), 1);
  });

  for (const status of ["404 Not Found", "403 Forbidden", "429 Too Many Requests", "501 Not Implemented"]) {
    test(`${status} is the answer: nobody else is asked`, async (t) => {
      const { b, get } = await scene(t, [refused(status), always("two")]);
      assert.equal(await get(), `a ${status.slice(0, 3)} sorry`);
      assert.equal(b.asked.length, 0);
    });
  }

  test("the last answer is given as it is when no origin has a better one", async (t) => {
    const { get, b } = await scene(t, [refused(BAD_GATEWAY), refused(SERVICE_UNAVAILABLE)]);
    assert.equal(await get(), "b 503 sorry");
    await b.stop();
    assert.equal(await get(), "a 502 sorry");
  });

  test("when nobody answers, the last error is", async (t) => {
    const { a, b, get } = await scene(t, [always("one"), always("two")]);
    await Promise.all([a.stop(), b.stop()]);
    await assert.rejects(get(), (error: unknown) => error instanceof UpstreamError && error.reason === "connect");
  });

  test("a site without origins is an error, not a wait", async (t) => {
    await assert.rejects(setOf(t, {}).ask(requestOf("/x")), (error: unknown) => error instanceof UpstreamError);
  });

  test("what changes something goes to another origin only as long as it was not sent", async (t) => {
    const { a, b, set } = await scene(t, [refused(SERVICE_UNAVAILABLE), always("two")]);
    const post = async () => (await set.ask(requestOf("/x", { method: "POST", body: Buffer.from("1") }))).status;
    assert.equal(await post(), 503);
    a.handle = ({ socket }) => {
      socket.resetAndDestroy();
      return undefined;
    };
    await assert.rejects(post());
    assert.equal(b.asked.length, 0);
    await a.stop();
    assert.equal(await post(), 200);
    assert.equal(b.asked[0]?.body, "1");
  });

  test("a body is resumed at its own origin and no other, however that is; others can be left out", async (t) => {
    const { b, get } = await scene(t, [always("one"), refused(SERVICE_UNAVAILABLE), always("three")]);
    assert.equal(await get("/x", { only: "b" }), "b 503 sorry");
    assert.equal(await get("/x", { only: "c" }), "c 200 three");
    assert.equal(await get("/x", { avoid: new Set(["a"]) }), "c 200 three");
    await b.stop();
    await assert.rejects(get("/x", { only: "b" }));
    await assert.rejects(get("/x", { only: "gone" }));
    await assert.rejects(get("/x", { avoid: new Set(["a", "b", "c"]) }));
  });

  test("a closed set answers nothing, neither heads nor bodies", async (t) => {
    const { a, get, set } = await scene(t, [hangs]);
    const connecting = get();
    const waiting = get("/y");
    await until(() => a.asked.length === 2, "both were sent");
    a.handle = ({ socket }) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    const answer = await set.ask(requestOf("/z"));
    const late = get();
    const ended = [connecting, waiting, late, textOf(answer)].map((work) => assert.rejects(work, UpstreamError));
    await Promise.all([...ended, set.close()]);
    await assert.rejects(get(), UpstreamError);
  });
});

describe("order and weight", () => {
  test("a lower order comes first, an equal one shares by weight", async (t) => {
    const all = await Promise.all(["one", "two", "three"].map((body) => standIn(t, always(body))));
    const [one, two, three] = all.map(({ url }) => url);
    const set = setOf(t, {
      origins: [
        { id: "later", url: three!, order: 1, weight: 100 },
        { id: "light", url: one!, weight: 1 },
        { id: "heavy", url: two!, weight: 3 },
        { id: "spare", url: "http://127.0.0.1:1", weight: 0 },
      ],
      random: seededRandom(7),
    });
    const counts = { light: 0, heavy: 0 };
    for (let n = 0; n < 400; n += 1) {
      const answer = await set.ask(requestOf("/x"));
      answer.drop();
      counts[answer.originId as keyof typeof counts] += 1; // another one would be NaN, and show
    }
    assert.equal(counts.light + counts.heavy, 400);
    assert.ok(counts.heavy > 270 && counts.heavy < 330, `${counts.heavy} of 400 for weight 3 of 4`);
  });
});

describe("health", () => {
  test("an origin that is back is asked again after a probe that no viewer waits for", async (t) => {
    const { a, get, clock, upOf, set } = await scene(t, [always("one"), always("two")]);
    await a.stop();
    assert.equal(await get(), "b 200 two");
    await a.start();
    clock.ms = 999;
    assert.equal(await get(), "b 200 two");
    assert.equal(a.asked.length, 0);
    clock.ms = 1_000;
    const fields = ["Range", "bytes=0-9", "Via", "1.1 edge", "CDN-Loop", "castellan"];
    const answer = await set.ask(requestOf("/film", { fields }));
    assert.equal(answer.originId, "b");
    answer.drop();
    await until(() => upOf().a === true, "the origin is up");
    const [probe] = a.asked;
    assert.deepEqual(
      [probe?.method, probe?.target, [...(probe?.fields.keys() ?? [])]],
      ["HEAD", "/film", ["host", "via", "cdn-loop"]],
    );
    assert.equal(await get(), "a 200 one");
  });

  test("an origin that stays down is probed after 1, 2, 4 and 5 seconds, once each time", async (t) => {
    const { a, get, clock } = await scene(t, [always("one"), always("two")]);
    await a.stop();
    await get();
    await a.start();
    a.handle = refused(SERVICE_UNAVAILABLE);
    for (const [index, wait] of [1_000, 2_000, 4_000, 5_000, 5_000].entries()) {
      clock.ms += wait - 1;
      await get();
      assert.equal(a.asked.length, index);
      clock.ms += 1;
      await Promise.all([get(), get(), get()]);
      await until(() => a.asked.length === index + 1, `probe ${index + 1}`);
      // The probe's answer is read before the next request's: both came on the same loop.
      await get();
    }
  });

  test("a page that fails now and then does not take its origin from the others, three times in a row does", async (t) => {
    const { a, get, upOf } = await scene(t, [always("one"), always("two")]);
    const handler: Handler = ({ target }) =>
      target === "/broken" ? answered("", { status: SERVER_ERROR }) : answered("one");
    a.handle = handler;
    for (let n = 0; n < 10; n += 1) {
      assert.equal(await get("/broken"), "b 200 two");
      assert.equal(await get("/fine"), "a 200 one");
    }
    for (let n = 0; n < 3; n += 1) await get("/broken");
    assert.deepEqual(upOf(), { a: false, b: true });
  });

  test("when all are down each is still tried, the one that rested longest first", async (t) => {
    const { a, b, clock, get, upOf } = await scene(t, [always("one"), always("two")]);
    await Promise.all([a.stop(), b.stop()]);
    await assert.rejects(get());
    assert.deepEqual(upOf(), { a: false, b: false });
    clock.ms = 10;
    await assert.rejects(get("/x", { only: "a" }));
    await a.start();
    await b.start();
    assert.equal(await get(), "b 200 two");
    assert.equal(a.asked.length, 0);
    assert.deepEqual(upOf(), { a: false, b: true });
    await b.stop();
    assert.equal(await get(), "a 200 one");
  });

  test("an only origin is asked however down it is, and is up as soon as it answers", async (t) => {
    const { a, get, upOf } = await scene(t, [always("one")]);
    await a.stop();
    for (let n = 0; n < 5; n += 1) await assert.rejects(get());
    await a.start();
    assert.equal(await get(), "a 200 one");
    assert.deepEqual(upOf(), { a: true });
  });

  test("an active check finds an origin that fails and one that is back, and ends with the set", async (t) => {
    const { a, upOf, set } = await scene(t, [always("well"), always("well")], {
      health: { path: "/health?deep=1", intervalMs: 20 },
    });
    await until(() => a.asked.length > 1, "two checks");
    assert.equal(a.asked[0]?.target, "/health?deep=1");
    a.handle = refused("404 Not Found");
    await until(() => upOf().a === false, "it is found to fail");
    assert.equal(upOf().b, true);
    a.handle = always("well again");
    await until(() => upOf().a === true, "it is found to be back");
    a.handle = hangs;
    await until(() => upOf().a === false, "it is found to hang");
    await set.close();
    const { length } = a.asked;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(a.asked.length, length);
  });
});

describe("the retry budget", () => {
  test("a dead origin does not double the load of the next: a fifth on top, and ten a second", async (t) => {
    const { a, b, get } = await scene(t, [always("one", { status: "200 OK" }), always("two")]);
    // One good answer between the bad ones: the origin stays up, and each bad one wants a retry.
    a.handle = ({ target }) => (target === "/good" ? answered("") : answered("", { status: SERVICE_UNAVAILABLE }));
    for (let n = 0; n < 100; n += 1) {
      await get("/bad");
      await get("/good");
    }
    const retries = countOf(b);
    assert.ok(retries >= 45 && retries <= 51, `${retries} retries of 200 requests: 10 and a fifth of them`);
  });

  test("when it is spent the first answer is given as it is; with time there is more", async (t) => {
    const { a, clock, get } = await scene(t, [always("one"), always("two")]);
    a.handle = ({ target }) => (target === "/good" ? answered("") : answered("", { status: SERVICE_UNAVAILABLE }));
    const answers = new Set<string>();
    for (let n = 0; n < 100; n += 1) {
      answers.add(await get("/bad"));
      await get("/good");
    }
    assert.deepEqual([...answers].sort(), ["a 503 ", "b 200 two"]);
    for (let spent = false; !spent; ) spent = (await get("/bad")) === "a 503 ";
    await get("/good");
    clock.ms += 1_000;
    assert.equal(await get("/bad"), "b 200 two");
  });
});

describe("hedging", () => {
  /** A first origin that answers when it is told to. */
  const slow = () => {
    const gate = Promise.withResolvers<string>();
    return { gate, handle: (() => gate.promise) satisfies Handler };
  };

  test("a second origin is asked when the first is slow; the first head wins and the other is dropped", async (t) => {
    const { gate, handle } = slow();
    const { a, b, get } = await scene(t, [handle, always("two")]);
    assert.equal(await get(), "b 200 two");
    assert.deepEqual([countOf(a), countOf(b)], [1, 1]);
    await until(() => a.sockets.size === 0, "the loser's connection is closed");
    gate.resolve(answered("late"));
  });

  test("the first one wins when it is still the faster one", async (t) => {
    const { gate, handle } = slow();
    const { b, get } = await scene(t, [handle, hangs]);
    const asking = get();
    await until(() => b.asked.length === 1, "the second is asked as well");
    gate.resolve(answered("one"));
    assert.equal(await asking, "a 200 one");
    await until(() => b.sockets.size === 0, "the loser's connection is closed");
  });

  test("one that was asked as well and had no time to answer is as well as it was", async (t) => {
    const { a, b, get, upOf } = await scene(t, [always("one"), hangs]);
    for (let n = 1; n <= 4; n += 1) {
      const { gate, handle } = slow();
      a.handle = handle;
      const asking = get();
      await until(() => b.asked.length === n, "the second is asked as well");
      gate.resolve(answered("one"));
      assert.equal(await asking, "a 200 one");
    }
    assert.deepEqual(upOf(), { a: true, b: true });
  });

  test("a bad head does not win while another is waited for, and is given when that one fails", async (t) => {
    const first = slow();
    const second = slow();
    const { b, get } = await scene(t, [first.handle, second.handle]);
    const asking = get();
    await until(() => b.asked.length === 1, "the second is asked as well");
    first.gate.resolve(answered("sorry", { status: SERVICE_UNAVAILABLE }));
    second.gate.resolve("garbage\r\n\r\n");
    assert.equal(await asking, "a 503 sorry");
  });

  test("nobody is asked as well when that is not wanted, may not be repeated, or is down", async (t) => {
    const { a, b, set, get } = await scene(t, [always("one"), always("two")]);
    await b.stop();
    await get("/x", { avoid: new Set(["a"]) }).catch(() => {});
    await b.start();
    a.handle = async () => {
      await new Promise((resolve) => setTimeout(resolve, 700)); // more than 500, after which it would be
      return answered("slow");
    };
    const post = requestOf("/x", { method: "POST", body: Buffer.from("1") });
    const answers = await Promise.all([
      get("/x", { hedge: false }),
      get("/x"),
      set.ask(post).then(async (answer) => textOf(answer)),
    ]);
    assert.deepEqual(answers, ["a 200 slow", "a 200 slow", "slow"]);
    assert.equal(b.asked.length, 0);
  });

  test("an origin that loses three times in a row is left out", async (t) => {
    const { a, get, upOf } = await scene(t, [hangs, always("two")]);
    for (let n = 0; n < 3; n += 1) assert.equal(await get(), "b 200 two");
    assert.deepEqual(upOf(), { a: false, b: true });
    assert.equal(await get(), "b 200 two");
    assert.equal(countOf(a), 3);
  });

  test("hedges are paid from the retry budget", async (t) => {
    const { a, b, get } = await scene(t, [always("one"), always("two")]);
    a.handle = ({ target }) => (target === "/good" ? answered("") : answered("", { status: SERVICE_UNAVAILABLE }));
    for (let isSpent = false; !isSpent; ) {
      isSpent = (await get("/bad")) === "a 503 ";
      await get("/good");
    }
    const { length } = b.asked;
    const { gate, handle } = slow();
    a.handle = handle;
    const asking = get("/slow");
    await until(() => a.asked.at(-1)?.target === "/slow", "the first is asked");
    await new Promise((resolve) => setTimeout(resolve, 700)); // more than 500, after which the second would be
    gate.resolve(answered("one"));
    assert.equal(await asking, "a 200 one");
    assert.equal(b.asked.length, length);
  });
});

describe("parents", () => {
  const parentScene = async (t: TestContext) => {
    const [one, two, three, origin] = await Promise.all(
      ["one", "two", "three", "origin"].map((body) => standIn(t, always(body))),
    );
    const shields = [one!, two!, three!];
    const set = setOf(t, {
      origins: [{ id: "origin", url: origin!.url }],
      parents: shields.map(({ url }, index) => ({ id: `shield-${index}`, url })),
    });
    const at = async (key: string): Promise<string> => {
      const answer = await set.ask(requestOf("/x", { key }));
      answer.drop();
      return answer.originId;
    };
    return { set, shields, origin: origin!, at };
  };
  const KEYS = Array.from({ length: 60 }, (_, n) => `acme/cdn.example/film-${n}`);

  test("each key has its parent; when that one goes only its keys move, and back with it", async (t) => {
    const { at, shields, set } = await parentScene(t);
    const before = new Map<string, string>();
    for (const key of KEYS) before.set(key, await at(key));
    assert.equal(new Set(before.values()).size, 3);
    for (const key of KEYS) assert.equal(await at(key), before.get(key));
    await shields[1]?.stop();
    for (const key of KEYS) {
      const now = await at(key);
      if (before.get(key) === "parent:shield-1") assert.match(now, /^parent:shield-[02]$/);
      else assert.equal(now, before.get(key));
    }
    assert.equal(set.health().find(({ id }) => id === "parent:shield-1")?.isUp, false);
  });

  test("without a parent that is up the site's origins are asked", async (t) => {
    const { at, shields, origin } = await parentScene(t);
    await Promise.all(shields.map((shield) => shield.stop()));
    assert.equal(await at("a"), "origin");
    assert.equal(await at("b"), "origin");
    assert.equal(origin.asked.length, 2);
  });

  test("a parent is asked for the site by its name", async (t) => {
    const { set, shields } = await parentScene(t);
    (await set.ask(requestOf("/x"))).drop();
    (await set.ask(requestOf("/x", { fields: ["Host", "other.example"] }))).drop();
    const hosts = shields.flatMap(({ asked }) => asked.map(({ fields }) => fields.get("host")));
    assert.deepEqual(hosts, ["cdn.example", "other.example"]);
  });

  test("a parent that is slow is not passed by", async (t) => {
    const gate = Promise.withResolvers<string>();
    const [shield, origin] = await Promise.all([standIn(t, () => gate.promise), standIn(t, always("origin"))]);
    const set = setOf(t, {
      origins: [{ id: "origin", url: origin.url }],
      parents: [{ id: "shield", url: shield.url }],
      hedgeMinMs: 1,
    });
    const asking = set.ask(requestOf("/x"));
    await new Promise((resolve) => setTimeout(resolve, 700));
    gate.resolve(answered("shield"));
    assert.equal(await textOf(await asking), "shield");
    assert.equal(origin.asked.length, 0);
  });
});

test("each title is at one of the packagers that there are at the moment, below its base", async (t) => {
  const packagers = await Promise.all(["one", "two", "three"].map((body) => standIn(t, always(body))));
  let urls = packagers.slice(0, 2).map(({ url }) => `${url}/vod/`);
  const set = setOf(t, { origins: [{ id: "p", plexbd: "packager" }], packagers: () => urls });
  const bodyOf = async (key: string): Promise<string> => textOf(await set.ask(requestOf("/film/1.m4s", { key })));
  const keys = Array.from({ length: 40 }, (_, n) => `film-${n}`);
  const before = new Map<string, string>();
  for (const key of keys) before.set(key, await bodyOf(key));
  assert.deepEqual([...new Set(before.values())].sort(), ["one", "two"]);
  assert.equal(packagers[0]?.asked[0]?.target, "/vod/film/1.m4s");
  urls = packagers.map(({ url }) => `${url}/vod/`);
  const moved = [];
  for (const key of keys) {
    const now = await bodyOf(key);
    if (now !== before.get(key)) moved.push(now);
  }
  assert.ok(moved.length > 3 && moved.every((body) => body === "three"), moved.join());
  urls = [];
  await assert.rejects(bodyOf("film-1"));
});

/** Second requests to origins that are slow, parents, and packagers. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import {
  always,
  answered,
  countOf,
  type Handler,
  hangs,
  requestOf,
  SERVICE_UNAVAILABLE,
  setOf,
  severalOrigins,
  standIn,
  textOf,
  until,
} from "./origins.fixture.ts";

describe("hedging", () => {
  /** A first origin that answers when it is told to. */
  const slow = () => {
    const gate = Promise.withResolvers<string>();
    return { gate, handle: (() => gate.promise) satisfies Handler };
  };

  test("a second origin is asked when the first is slow; the first head wins and the other is dropped", async (t) => {
    const { gate, handle } = slow();
    const { a, b, get } = await severalOrigins(t, [handle, always("two")]);
    assert.equal(await get(), "b 200 two");
    assert.deepEqual([countOf(a), countOf(b)], [1, 1]);
    await until(() => a.sockets.size === 0, "the loser's connection is closed");
    gate.resolve(answered("late"));
  });

  test("the first one wins when it is still the faster one", async (t) => {
    const { gate, handle } = slow();
    const { b, get } = await severalOrigins(t, [handle, hangs]);
    const asking = get();
    await until(() => b.asked.length === 1, "the second is asked as well");
    gate.resolve(answered("one"));
    assert.equal(await asking, "a 200 one");
    await until(() => b.sockets.size === 0, "the loser's connection is closed");
  });

  test("one that was asked as well and had no time to answer is as well as it was", async (t) => {
    const { a, b, get, upOf } = await severalOrigins(t, [always("one"), hangs]);
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
    const { b, get } = await severalOrigins(t, [first.handle, second.handle]);
    const asking = get();
    await until(() => b.asked.length === 1, "the second is asked as well");
    first.gate.resolve(answered("sorry", { status: SERVICE_UNAVAILABLE }));
    second.gate.resolve("garbage\r\n\r\n");
    assert.equal(await asking, "a 503 sorry");
  });

  test("nobody is asked as well when that is not wanted, may not be repeated, or is down", async (t) => {
    const { a, b, set, get } = await severalOrigins(t, [always("one"), always("two")]);
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
    const { a, get, upOf } = await severalOrigins(t, [hangs, always("two")]);
    for (let n = 0; n < 3; n += 1) assert.equal(await get(), "b 200 two");
    assert.deepEqual(upOf(), { a: false, b: true });
    assert.equal(await get(), "b 200 two");
    assert.equal(countOf(a), 3);
  });

  test("hedges are paid from the retry budget", async (t) => {
    const { a, b, get } = await severalOrigins(t, [always("one"), always("two")]);
    a.handle = ({ target }) => (target === "/good" ? answered("") : answered("", { status: SERVICE_UNAVAILABLE }));
    // A fifth for each request: what could be paid for again after a refusal leaves next to nothing.
    let [before, answer] = ["", ""];
    while (!(before.startsWith("a 503") && answer === "b 200 two")) {
      [before, answer] = [answer, await get("/bad")];
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

test("packagers that come and go are not remembered for ever", async (t) => {
  const packager = await standIn(t, always("one"));
  let path = 0;
  const set = setOf(t, {
    origins: [{ id: "p", plexbd: "packager" }],
    packagers: () => [`${packager.url}/${path}/`],
  });
  for (path = 0; path < 200; path += 1) assert.equal(await textOf(await set.ask(requestOf("/a"))), "one");
  assert.equal(packager.asked.at(-1)?.target, "/199/a");
  assert.ok(set.health().length < 50, String(set.health().length));
});

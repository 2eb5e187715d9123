/** What is remembered of origins that fail, and what they cost the others. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  always,
  answered,
  countOf,
  type Handler,
  hangs,
  refused,
  requestOf,
  SERVER_ERROR,
  SERVICE_UNAVAILABLE,
  severalOrigins,
  until,
} from "./origins.fixture.ts";

describe("health", () => {
  test("an origin that is back is asked again after a probe that no viewer waits for", async (t) => {
    const { a, get, clock, upOf, set } = await severalOrigins(t, [always("one"), always("two")]);
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
    const { a, get, clock } = await severalOrigins(t, [always("one"), always("two")]);
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
    const { a, get, upOf } = await severalOrigins(t, [always("one"), always("two")]);
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
    const { a, b, clock, get, upOf } = await severalOrigins(t, [always("one"), always("two")]);
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
    const { a, get, upOf } = await severalOrigins(t, [always("one")]);
    await a.stop();
    for (let n = 0; n < 5; n += 1) await assert.rejects(get());
    await a.start();
    assert.equal(await get(), "a 200 one");
    assert.deepEqual(upOf(), { a: true });
  });

  test("an active check finds an origin that fails and one that is back, and ends with the set", async (t) => {
    const { a, upOf, set } = await severalOrigins(t, [always("well"), always("well")], {
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
    await until(() => a.sockets.size === 0, "what was under way is cut off");
    const { length } = a.asked;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(a.asked.length, length);
  });
});

describe("the retry budget", () => {
  test("a dead origin does not double the load of the next: a fifth on top, and ten a second", async (t) => {
    const { a, b, get } = await severalOrigins(t, [always("one", { status: "200 OK" }), always("two")]);
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
    const { a, clock, get } = await severalOrigins(t, [always("one"), always("two")]);
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

/** Which origin is asked, and what happens when it fails. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UpstreamError } from "../upstream.ts";
import {
  always,
  BAD_GATEWAY,
  countOf,
  hangs,
  refused,
  requestOf,
  SERVER_ERROR,
  SERVICE_UNAVAILABLE,
  seededRandom,
  setOf,
  severalOrigins,
  standIn,
  textOf,
  until,
} from "./origins.fixture.ts";

describe("failing over", () => {
  test("an origin that nobody listens at costs nothing but the next one's answer", async (t) => {
    const { a, get, upOf } = await severalOrigins(t, [always("one"), always("two")]);
    await a.stop();
    assert.equal(await get(), "b 200 two");
    assert.deepEqual(upOf(), { a: false, b: true });
  });

  for (const status of [BAD_GATEWAY, SERVICE_UNAVAILABLE, "504 Gateway Timeout", SERVER_ERROR]) {
    test(`${status} is bettered by the next origin`, async (t) => {
      const { get } = await severalOrigins(t, [refused(status), always("two")]);
      assert.equal(await get(), "b 200 two");
    });
  }

  test("an origin that resets, or answers garbage, is bettered by the next one", async (t) => {
    const { get, a } = await severalOrigins(t, [() => "garbage\r\n\r\n", always("two")]);
    assert.equal(await get(), "b 200 two");
    a.handle = ({ socket }) => {
      socket.resetAndDestroy();
      return undefined;
    };
    assert.equal(await get(), "b 200 two");
  });

  test("an origin that hangs is left for the next one by the deadline, and not waited for again", async (t) => {
    const { a, get, upOf } = await severalOrigins(t, [hangs, always("two")]);
    assert.equal(await get("/x", { firstByteMs: 50, hedge: false }), "b 200 two");
    assert.deepEqual(upOf(), { a: false, b: true });
    assert.equal(await get("/x", { firstByteMs: 10_000, hedge: false }), "b 200 two");
    assert.equal(countOf(a), 1);
  });

  for (const status of ["404 Not Found", "403 Forbidden", "429 Too Many Requests", "501 Not Implemented"]) {
    test(`${status} is the answer: nobody else is asked`, async (t) => {
      const { b, get } = await severalOrigins(t, [refused(status), always("two")]);
      assert.equal(await get(), `a ${status.slice(0, 3)} sorry`);
      assert.equal(b.asked.length, 0);
    });
  }

  test("the last answer is given as it is when no origin has a better one", async (t) => {
    const { get, b } = await severalOrigins(t, [refused(BAD_GATEWAY), refused(SERVICE_UNAVAILABLE)]);
    assert.equal(await get(), "b 503 sorry");
    await b.stop();
    assert.equal(await get(), "a 502 sorry");
  });

  test("when nobody answers, the last error is", async (t) => {
    const { a, b, get } = await severalOrigins(t, [always("one"), always("two")]);
    await Promise.all([a.stop(), b.stop()]);
    await assert.rejects(get(), (error: unknown) => error instanceof UpstreamError && error.reason === "connect");
  });

  test("a site without origins is an error, not a wait", async (t) => {
    await assert.rejects(setOf(t, {}).ask(requestOf("/x")), (error: unknown) => error instanceof UpstreamError);
  });

  test("what changes something goes to another origin only as long as it was not sent", async (t) => {
    const { a, b, set } = await severalOrigins(t, [refused(SERVICE_UNAVAILABLE), always("two")]);
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
    const { b, get } = await severalOrigins(t, [always("one"), refused(SERVICE_UNAVAILABLE), always("three")]);
    assert.equal(await get("/x", { only: "b" }), "b 503 sorry");
    assert.equal(await get("/x", { only: "c" }), "c 200 three");
    assert.equal(await get("/x", { avoid: new Set(["a"]) }), "c 200 three");
    await b.stop();
    await assert.rejects(get("/x", { only: "b" }));
    await assert.rejects(get("/x", { only: "gone" }));
    await assert.rejects(get("/x", { avoid: new Set(["a", "b", "c"]) }));
  });

  test("a closed set answers nothing, neither heads nor bodies", async (t) => {
    const { a, get, set } = await severalOrigins(t, [hangs]);
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

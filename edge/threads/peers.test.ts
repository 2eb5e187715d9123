import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { quietLog } from "../../lib/log/log.ts";
import { until } from "../../test/support/platform.ts";
import { allocateShared, ByteBudget, FillingBody } from "../cache/body.ts";
import { type Stored, storedOf } from "../cache/stored.ts";
import { type Found, Peers, type PeersDeps } from "./peers.ts";
import { ownerOf } from "./protocol.ts";

/** A key that the second of two threads owns. */
const KEY = Array.from({ length: 20 }, (_, n) => `acme/a.example /${n}`).find((key) => ownerOf(key, 2) === 1) ?? "";
const WANTED = { key: KEY, owner: KEY, target: "/a?b=1" };
const BODY = Buffer.from("hello world");

const described = (lines = "") => ({ status: 200, lines, etag: undefined, lastModified: undefined });
const storedWith = (lines = "", freshMs = 60_000): Stored =>
  storedOf(
    { key: `${KEY} stored`, described: described(lines), body: allocateShared(BODY.length).fill(BODY), base: "" },
    { lifetime: { storable: true, freshMs, staleMs: 0 }, ageMs: 1_000, nowMs: 0 },
  );
const requestWith = (fields: Record<string, string> = {}) => ({
  ...{ host: "a.example", path: "/a", fields: Object.entries(fields).flat() },
  header: (name: string) => fields[name],
});

const twoPeers = (t: TestContext, find: PeersDeps["find"]) => {
  const { port1, port2 } = new MessageChannel();
  const asked: Parameters<PeersDeps["find"]>[0][] = [];
  const used: string[] = [];
  const invalidated: string[] = [];
  const cacheable: string[] = [];
  let atMs = 0;
  const common = {
    ...{ nowMs: () => atMs, used: (key: string) => used.push(key) },
    invalidate: (key: string) => void invalidated.push(key),
    cacheable: (key: string) => void cacheable.push(key),
    log: quietLog,
  };
  const here = new Peers({
    ...common,
    index: 0,
    ports: [undefined, port1],
    find: () => assert.fail("it owns nothing"),
  });
  const owner = new Peers({
    ...common,
    index: 1,
    ports: [port2, undefined],
    find: (message) => {
      asked.push(message);
      return find(message);
    },
  });
  t.after(() => {
    here.close();
    owner.close();
  });
  const pass = (ms: number): void => {
    atMs += ms;
  };
  return { here, owner, asked, used, invalidated, cacheable, pass };
};
const bytesOf = (found: Found): string => {
  if (found.kind === "hit") return found.stored.body.toString();
  if (found.kind !== "content") return found.kind;
  const { body } = found.content;
  return Buffer.isBuffer(body) ? body.toString() : body.view().toString();
};

describe("a thread that wants another one's object", () => {
  test("asks once, then answers by itself out of the same memory, for as long as it is fresh", async (t) => {
    const stored = storedWith();
    const { here, asked, pass } = twoPeers(t, () => ({ kind: "hit", stored }));
    const first = await here.find(requestWith({ accept: "*/*" }), WANTED);
    assert.equal(bytesOf(first), "hello world");
    assert.deepEqual([asked[0]?.host, asked[0]?.path, asked[0]?.query], ["a.example", "/a", "b=1"]);
    assert.equal(asked[0]?.header("accept"), "*/*");
    const again = here.find(requestWith(), WANTED);
    assert.ok(!(again instanceof Promise), "no message is needed");
    stored.body.write("J");
    assert.equal(bytesOf(again), "Jello world");
    pass(60_001);
    assert.ok(here.find(requestWith(), WANTED) instanceof Promise);
  });

  test("asks again once the owner has taken it back, or it has changed through this thread", async (t) => {
    const { here, owner, asked, invalidated } = twoPeers(t, () => ({ kind: "hit", stored: storedWith() }));
    await here.find(requestWith(), WANTED);
    owner.gone([`${KEY} stored`]);
    await until("it to be taken back", () => (here.find(requestWith(), WANTED) instanceof Promise ? true : undefined));
    await here.find(requestWith(), WANTED);
    here.invalidate(KEY);
    await here.find(requestWith(), WANTED);
    assert.ok(asked.length >= 3);
    assert.deepEqual(invalidated, [KEY]);
  });

  test("asks again once the owner has forgotten all, whatever it was told before that", async (t) => {
    const { here, owner, asked } = twoPeers(t, () => ({ kind: "hit", stored: storedWith() }));
    const told = here.find(requestWith(), WANTED);
    await until("the owner to be asked", () => asked[0]);
    owner.forget(); // behind its answer on the same way
    await told;
    await until("all to be forgotten", () => (here.find(requestWith(), WANTED) instanceof Promise ? true : undefined));
  });

  test("does not wait with a viewer for what is told to a prefetch", async (t) => {
    const { here } = twoPeers(t, ({ isPrefetch }) =>
      isPrefetch
        ? { kind: "problem", result: "refused", refusal: { code: "NOT_FOUND" } }
        : { kind: "hit", stored: storedWith() },
    );
    const prefetched = here.find({ ...requestWith(), isPrefetch: true }, WANTED);
    const viewed = here.find(requestWith(), WANTED);
    assert.equal((await prefetched).kind, "problem");
    assert.equal(bytesOf(await viewed), "hello world");
  });

  test("is told of a failure when the owner fails, and may tell it what can be kept", async (t) => {
    const { here, cacheable } = twoPeers(t, () => {
      throw new Error("a bug");
    });
    const found = await here.find(requestWith(), WANTED);
    assert.ok(found.kind === "problem" && found.refusal.code === "EDGE_BUSY");
    here.cacheable(KEY);
    await until("the owner to know", () => cacheable[0]);
    assert.deepEqual(cacheable, [KEY]);
  });

  test("does not keep what varies, and asks for each that waited", async (t) => {
    const { here, asked } = twoPeers(t, ({ header }) => ({
      kind: "content",
      result: "miss",
      content: {
        ...{ described: described("Vary: Accept\r\n"), ageMs: 0, status: { hit: false } },
        body: Buffer.from(`for ${header("accept")}`),
      },
    }));
    const both = ["a", "b"].map((accept) => here.find(requestWith({ accept }), WANTED));
    assert.deepEqual((await Promise.all(both)).map(bytesOf), ["for a", "for b"]);
    assert.equal(asked.length, 2);
    assert.ok(here.find(requestWith({ accept: "a" }), WANTED) instanceof Promise);
  });

  test("follows a body that fills, has what is far ahead brought near, and sees it break off", async (t) => {
    const near: number[][] = [];
    const bodies = ["whole", "broken"].map(() => {
      const options = { maxBytes: 1_000, budget: new ByteBudget(10_000), allocate: allocateShared };
      const body = new FillingBody({ sizeBytes: 11, ...options });
      assert.equal(body.open(), undefined);
      body.append(Buffer.from("hello"));
      return body;
    });
    let next = 0;
    const { here } = twoPeers(t, () => ({
      ...{ kind: "content", result: "miss", bringNear: (start, end) => void near.push([start, end]) },
      content: { described: described(), body: bodies[next++]!, ageMs: 0, status: { hit: false } },
    }));
    for (const [index, end] of (["whole", "broken"] as const).entries()) {
      const found = await here.find(requestWith(), WANTED);
      assert.ok(found.kind === "content" && !Buffer.isBuffer(found.content.body));
      const { body } = found.content;
      assert.deepEqual([body.state, body.filledBytes, body.view().toString()], ["filling", 5, "hello"]);
      found.bringNear?.(8, 11);
      if (end === "whole") bodies[index]!.append(Buffer.from(" world"));
      bodies[index]![end]();
      await until(`the body to be ${end}`, () => (body.state === end ? true : undefined));
      assert.equal(body.view().toString(), end === "whole" ? "hello world" : "hello");
    }
    assert.deepEqual(near, [
      [8, 11],
      [8, 11],
    ]);
  });

  test("is told of a body that was broken before it was told of it as of a broken one", async (t) => {
    const body = new FillingBody({ sizeBytes: 11, maxBytes: 100, budget: new ByteBudget(100) });
    body.open();
    body.append(Buffer.from("hello"));
    body.broken();
    const content = { described: described(), body, ageMs: 0, status: { hit: false } };
    const { here } = twoPeers(t, () => ({ kind: "content", result: "miss", content }));
    const found = await here.find(requestWith(), WANTED);
    assert.ok(found.kind === "content" && !Buffer.isBuffer(found.content.body));
    assert.deepEqual([found.content.body.state, found.content.body.sizeBytes], ["broken", 11]);
  });

  test("tells the owner what it has used, and lets nobody wait when it ends", async (t) => {
    const { here, used } = twoPeers(t, ({ path }) =>
      path === "/a" ? { kind: "hit", stored: storedWith() } : new Promise(() => {}),
    );
    await here.find(requestWith(), WANTED);
    here.find(requestWith(), WANTED);
    await until("the owner to know", () => (used.length > 0 ? true : undefined));
    assert.deepEqual(used, [`${KEY} stored`]);
    const waiting = here.find(requestWith(), { ...WANTED, key: `${KEY}?`, target: "/other" });
    here.close();
    const found = await waiting;
    assert.ok(found.kind === "problem" && found.refusal.code === "EDGE_BUSY");
  });
});

test("every key has one owner, and each of several threads has its share", () => {
  for (const count of [1, 2, 3, 8]) {
    const shares = Array.from({ length: count }, () => 0);
    for (let n = 0; n < 8_000; n += 1) {
      const owner = ownerOf(`acme/cdn.example /films/${n}/seg-${n % 100}.m4s`, count);
      shares[owner]! += 1;
    }
    for (const share of shares) assert.ok(share > 6_000 / count, `${shares}`);
  }
});

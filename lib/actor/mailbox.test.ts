import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Fault } from "../../contracts/errors.ts";
import { KeyedMailbox, Mailbox } from "./mailbox.ts";

const gate = (): { opened: Promise<void>; open: () => void } => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
};
const coded = (code: string) => (error: unknown) => (error as Fault).code === code;

describe("a mailbox", () => {
  test("runs its messages one at a time, in the order they came", async () => {
    const mailbox = new Mailbox("k", 10);
    const seen: string[] = [];
    const message = (name: string) => async () => {
      seen.push(`${name} starts`);
      await Promise.resolve();
      seen.push(`${name} ends`);
      return name;
    };
    const results = await Promise.all(["a", "b", "c"].map((name) => mailbox.push(message(name))));
    assert.deepEqual(results, ["a", "b", "c"]);
    assert.deepEqual(seen, ["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]);
  });

  test("refuses with MAILBOX_FULL when as many wait as it may hold, and takes messages again afterwards", async () => {
    const mailbox = new Mailbox("k", 2);
    const hold = gate();
    const held = [mailbox.push(() => hold.opened), mailbox.push(() => 1), mailbox.push(() => 2)];
    await assert.rejects(
      mailbox.push(() => 3),
      (error: Fault) => error.code === "MAILBOX_FULL" && error.data.key === "k",
    );
    assert.equal(mailbox.depth, 2);
    hold.open();
    await Promise.all(held);
    assert.equal(await mailbox.push(() => 4), 4);
  });

  test("never starts a message whose deadline passed while it waited", async () => {
    let nowMs = 0;
    const mailbox = new Mailbox("k", 10, () => nowMs);
    const hold = gate();
    const first = mailbox.push(() => hold.opened);
    let started = false;
    const late = mailbox.push(
      () => {
        started = true;
      },
      { deadlineMs: 100 },
    );
    const patient = mailbox.push(() => "done", { deadlineMs: 1000 });
    nowMs = 101;
    hold.open();
    await first;
    await assert.rejects(late, coded("DEADLINE_PASSED"));
    assert.equal(started, false);
    assert.equal(await patient, "done");
  });

  test("takes a priority message before all that waits, even when it is full", async () => {
    const mailbox = new Mailbox("k", 1);
    const hold = gate();
    const seen: string[] = [];
    const held = [mailbox.push(() => hold.opened), mailbox.push(() => seen.push("waited"))];
    held.push(mailbox.push(() => seen.push("stop"), { priority: true }));
    hold.open();
    await Promise.all(held);
    assert.deepEqual(seen, ["stop", "waited"]);
  });

  test("that is closed rejects what waits and what comes, and ends when the running message has ended", async () => {
    const mailbox = new Mailbox("k", 10);
    const hold = gate();
    const running = mailbox.push(() => hold.opened.then(() => "ran"));
    const waiting = assert.rejects(
      mailbox.push(() => 1),
      coded("ACTOR_MOVED"),
    );
    let closed = false;
    const closing = mailbox.close(new Fault("ACTOR_MOVED", { key: "k" })).then(() => {
      closed = true;
    });
    await waiting;
    await assert.rejects(
      mailbox.push(() => 1, { priority: true }),
      coded("ACTOR_MOVED"),
    );
    assert.equal(closed, false);
    hold.open();
    assert.equal(await running, "ran");
    await closing;
    await mailbox.close(new Fault("ACTOR_MOVED"));
  });

  test("goes on after a message that throws", async () => {
    const mailbox = new Mailbox("k", 10);
    const thrown = assert.rejects(
      mailbox.push(() => {
        throw new Error("boom");
      }),
      /boom/,
    );
    assert.equal(await mailbox.push(() => "next"), "next");
    await thrown;
  });

  test("keeps the order of ten thousand messages", async () => {
    const mailbox = new Mailbox("k", 10_000);
    const seen: number[] = [];
    await Promise.all(Array.from({ length: 10_000 }, (_, index) => mailbox.push(() => seen.push(index))));
    assert.deepEqual(
      seen,
      Array.from({ length: 10_000 }, (_, index) => index),
    );
  });
});

describe("a keyed mailbox", () => {
  test("runs keys side by side and one key in order, and forgets idle keys", async () => {
    const mailboxes = new KeyedMailbox(10);
    const hold = gate();
    const seen: string[] = [];
    const slow = mailboxes.run("a", async () => {
      await hold.opened;
      seen.push("a1");
    });
    const behind = mailboxes.run("a", () => void seen.push("a2"));
    await mailboxes.run("b", () => void seen.push("b1"));
    assert.equal(mailboxes.keyCount, 1);
    hold.open();
    await Promise.all([slow, behind]);
    assert.deepEqual(seen, ["b1", "a1", "a2"]);
    assert.equal(mailboxes.keyCount, 0);
  });

  test("refuses per key, and a refused message leaves no key behind", async () => {
    const mailboxes = new KeyedMailbox(0);
    const hold = gate();
    const running = mailboxes.run("a", () => hold.opened);
    await assert.rejects(
      mailboxes.run("a", () => 1),
      coded("MAILBOX_FULL"),
    );
    assert.equal(await mailboxes.run("b", () => 2), 2);
    hold.open();
    await running;
    assert.equal(mailboxes.keyCount, 0);
  });
});

/** What every carrier of facts has to hold; run on each of them. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import test, { type TestContext } from "node:test";
import { fail } from "../../contracts/errors.ts";
import { testDatabase } from "../../test/support/database.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import { type Database, openDatabase } from "../db/database.ts";
import { type EventBus, type FactEvent, publishFact, type RetryPolicy } from "./port.ts";
import { happened, other } from "./suite-facts.ts";

type Happened = FactEvent<{ n: number }>;

export interface Carrier {
  bus(db: Database, policy: Partial<RetryPolicy>): EventBus;
  /** Arguments for worker.fixture.ts. */
  workerArguments(): string[];
  /** Two keys that do not wait for each other. */
  readonly keys: readonly [string, string];
}

const QUICK: Partial<RetryPolicy> = { attemptsMax: 3, pausesMs: [20, 40], silenceMs: 3_000 };
const DEADLINE_MS = 20_000;

/** Collects what was delivered, and lets a test wait for it. */
export class Recorder {
  readonly events: Happened[] = [];
  #changed: () => void = () => {};

  note(event: Happened): void {
    this.events.push(event);
    this.#changed();
  }

  of(key: string): number[] {
    return this.events.filter((event) => event.key === key).map((event) => event.payload.n);
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    while (!holds()) {
      const change = new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
      const late = once(deadline, "abort").then(() => assert.fail(`in time: ${what}; came ${this.events.length}`));
      await Promise.race([change, late]);
    }
  }
}

/** A fact of `key`, committed. */
export const tell = (db: Database, key: string, n: number): Promise<number> => publishFact(db, happened, key, { n });

const range = (count: number): number[] => [...Array(count).keys()];

type Handler = (event: Happened) => Promise<void>;
interface OpenOptions {
  readonly policy?: Partial<RetryPolicy>;
  readonly consumer?: string;
}
interface Stage {
  readonly carrier: Carrier;
  readonly db: Database;
  readonly keys: readonly [string, string];
  /** A started process of the consumer. */
  open(handler: Handler, options?: OpenOptions): Promise<EventBus>;
}
type Begin = (t: TestContext) => Promise<Stage>;
type It = (name: string, run: (t: TestContext) => Promise<void>) => void;

/** `skip`: why this machine can't run it. */
export function eventBusSuite(
  title: string,
  makeCarrier: (t: TestContext) => Promise<Carrier>,
  skip: string | false = false,
): void {
  const it: It = (name, run) => void test(`${title}: ${name}`, { skip }, run);
  const begin: Begin = async (t) => {
    const carrier = await makeCarrier(t);
    const db = await testDatabase(t);
    const open: Stage["open"] = async (handler, { policy = QUICK, consumer = "reader" } = {}) => {
      const bus = carrier.bus(db, policy);
      t.after(() => bus.stop());
      await bus.subscribe(consumer, [happened], handler);
      await bus.start();
      return bus;
    };
    return { carrier, db, open, keys: carrier.keys };
  };
  publishingTests(it, begin);
  sharingTests(it, begin);
  failureTests(it, begin);
  restartTests(it, begin);
  outageTests(it, begin);
}

function publishingTests(it: It, begin: Begin): void {
  it("a fact that is rolled back is never delivered", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    await open(async (event) => seen.note(event));
    const rolledBack = db.tenantTx(null, async (tx) => {
      await publishFact(tx, happened, "k", { n: 1 });
      throw new Error("changed my mind");
    });
    await assert.rejects(rolledBack, /changed my mind/);
    await db.tenantTx(null, (tx) => publishFact(tx, happened, "k", { n: 2 }));
    await seen.until("the committed fact", () => seen.events.length > 0);
    assert.deepEqual(seen.of("k"), [2]);
  });

  it("a fact that does not fit its contract is not written", async (t) => {
    const { db } = await begin(t);
    await assert.rejects(publishFact(db, happened, "k", { n: "one" as never }));
    assert.deepEqual((await db.query("select from event")).rows, []);
  });

  it("a consumer hears only the facts it asked for", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    await open(async (event) => seen.note(event));
    await publishFact(db, other, "k", { n: 1 });
    await tell(db, "k", 2);
    await seen.until("the second fact", () => seen.events.length > 0);
    assert.deepEqual(
      seen.events.map(({ name, payload }) => [name, payload.n]),
      [["test.happened", 2]],
    );
  });
}

function sharingTests(it: It, begin: Begin): void {
  it("two processes share the facts, each key in order, each fact once", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    for (const _ of ["one", "two"]) await open(async (event) => seen.note(event));
    const keys = range(8).map((index) => `key-${index}`);
    const writers = keys.map(async (key) => {
      for (const n of range(15)) await tell(db, key, n);
    });
    await Promise.all(writers);
    await seen.until("all facts", () => seen.events.length >= keys.length * 15);
    for (const key of keys) assert.deepEqual(seen.of(key), range(15));
  });

  it("facts go to every process of a consumer, not always to the same one", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    const counts = [0, 0];
    for (const index of [0, 1]) {
      await open(async (event) => {
        counts[index]! += 1;
        seen.note(event);
      });
    }
    const until = performance.now() + DEADLINE_MS;
    for (let n = 0; counts.includes(0) && performance.now() < until; n++) {
      await tell(db, `key-${n}`, n);
      await seen.until("the fact", () => seen.events.length > n);
    }
    assert.ok(
      counts.every((count) => count > 0),
      `handled: ${counts}`,
    );
  });

  it("two consumers hear every fact each", async (t) => {
    const { db, open } = await begin(t);
    const seen = { first: new Recorder(), second: new Recorder() };
    await open(async (event) => seen.first.note(event), { consumer: "first" });
    await open(async (event) => seen.second.note(event), { consumer: "second" });
    for (const n of range(3)) await tell(db, "k", n);
    await Promise.all(
      [seen.first, seen.second].map((recorder) => recorder.until("3 facts", () => recorder.events.length >= 3)),
    );
    assert.deepEqual([seen.first.of("k"), seen.second.of("k")], [range(3), range(3)]);
  });
}

function failureTests(it: It, begin: Begin): void {
  it("a key waits for its fact that failed, the other keys do not", async (t) => {
    const { db, open, keys } = await begin(t);
    const [stuck, free] = keys;
    const seen = new Recorder();
    await open(
      async (event) => {
        const freeCame = seen.of(free).length === 3;
        if (event.key === stuck && event.payload.n === 0 && !freeCame) throw new Error("not yet");
        seen.note(event);
      },
      { policy: { ...QUICK, attemptsMax: 10_000 } },
    );
    for (const n of range(3)) await tell(db, stuck, n);
    for (const n of range(3)) await tell(db, free, n);
    await seen.until("all six", () => seen.events.length >= 6);
    assert.deepEqual([seen.of(free), seen.of(stuck)], [range(3), range(3)]);
    assert.deepEqual(
      seen.events.map((event) => event.key),
      [free, free, free, stuck, stuck, stuck],
    );
  });

  it("a slow fact holds up its own key only", async (t) => {
    const { db, open, keys } = await begin(t);
    const [slow, free] = keys;
    const seen = new Recorder();
    const gate = Promise.withResolvers<void>();
    await open(async (event) => {
      if (event.key === slow) await gate.promise;
      seen.note(event);
    });
    for (const n of range(2)) await tell(db, slow, n);
    for (const n of range(3)) {
      await tell(db, free, n);
      await seen.until("the free ones", () => seen.of(free).length > n);
    }
    assert.deepEqual(seen.of(slow), []);
    gate.resolve();
    await seen.until("the slow ones", () => seen.of(slow).length === 2);
    assert.deepEqual(seen.of(slow), range(2));
  });

  it("a fact that always fails is dead after its tries, and its key goes on", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    const attempts: number[] = [];
    const bus = await open(async (event) => {
      if (event.payload.n === 0) {
        attempts.push(event.attempt);
        throw new Error("poison");
      }
      seen.note(event);
    });
    for (const n of range(3)) await tell(db, "k", n);
    await seen.until("the facts behind it", () => seen.events.length >= 2);
    assert.deepEqual(seen.of("k"), [1, 2]);
    assert.deepEqual(attempts, [1, 2, 3]);
    const depth = (await bus.depths()).find(({ consumer }) => consumer === "reader");
    assert.equal(depth?.dead, 1);
  });

  it("a fact that another version wrote otherwise is dead, not delivered", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    const bus = await open(async (event) => seen.note(event));
    await db.query("select publish_event($1, 'k', $2)", [happened.name, JSON.stringify({ n: "one" })]);
    await tell(db, "k", 2);
    await seen.until("the one behind it", () => seen.events.length > 0);
    assert.deepEqual(seen.of("k"), [2]);
    assert.equal((await bus.depths()).find(({ consumer }) => consumer === "reader")?.dead, 1);
  });

  it("an outage is not held against a fact", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    let failures = 0;
    const bus = await open(async (event) => {
      if (failures < 7) {
        failures += 1;
        fail("DATABASE_DOWN");
      }
      seen.note(event);
    });
    await tell(db, "k", 1);
    await seen.until("the fact", () => seen.events.length > 0);
    assert.equal((await bus.depths()).find(({ consumer }) => consumer === "reader")?.dead ?? 0, 0);
  });
}

function restartTests(it: It, begin: Begin): void {
  it("what was published while nobody listened is delivered at the next start", async (t) => {
    const { db, open } = await begin(t);
    const first = await open(async () => {});
    await first.stop();
    for (const n of range(5)) await tell(db, "k", n);
    const seen = new Recorder();
    await open(async (event) => seen.note(event));
    await seen.until("the five", () => seen.events.length >= 5);
    assert.deepEqual(seen.of("k"), range(5));
  });

  it("a stop lets the running handler end and leaves the rest to others", async (t) => {
    const { db, open } = await begin(t);
    const seen = new Recorder();
    const gate = Promise.withResolvers<void>();
    const begun = new Recorder();
    const first = await open(async (event) => {
      begun.note(event);
      await gate.promise;
      seen.note(event);
    });
    for (const n of range(4)) await tell(db, "k", n);
    await begun.until("the first one begins", () => begun.events.length > 0);
    const stopped = first.stop();
    gate.resolve();
    await stopped;
    assert.deepEqual(seen.of("k"), [0]);
    await open(async (event) => seen.note(event));
    await seen.until("the rest", () => seen.events.length >= 4);
    assert.deepEqual(seen.of("k"), range(4));
  });

  it("a process that is killed in a handler loses nothing", async (t) => {
    const { carrier, db, open } = await begin(t);
    const worker = await startWorker(t, [db.url, ...carrier.workerArguments()]);
    for (const n of range(3)) await tell(db, "k", n);
    assert.match(await worker.line(), /took 0/);
    const seen = new Recorder();
    await open(async (event) => seen.note(event));
    worker.child.kill("SIGKILL");
    await seen.until("all three", () => seen.events.length >= 3);
    assert.deepEqual(seen.of("k"), range(3));
    assert.ok(seen.events[0]!.attempt > 1);
  });
}

function outageTests(it: It, begin: Begin): void {
  it("facts go on when the database was away", async (t) => {
    const { carrier, db } = await begin(t);
    const proxy = await proxyTo(t, db.url);
    const cutOff = openDatabase({ url: proxy.url, applicationName: "cut off" });
    const seen = new Recorder();
    const bus = carrier.bus(cutOff, QUICK);
    await bus.subscribe("reader", [happened], async (event) => seen.note(event));
    await bus.start();
    t.after(async () => {
      await bus.stop();
      await cutOff.close();
    });
    await tell(db, "k", 0);
    await seen.until("the first", () => seen.events.length >= 1);
    proxy.cut();
    for (const n of [1, 2, 3]) await tell(db, "k", n);
    await assert.rejects(tell(cutOff, "k", 4), { code: "DATABASE_DOWN" });
    proxy.mend();
    await tell(cutOff, "k", 5);
    await seen.until("the rest", () => seen.events.length >= 5);
    assert.deepEqual([...new Set(seen.of("k"))], [0, 1, 2, 3, 5]);
  });
}

/** A process that takes facts and never gets done with them. */
async function startWorker(t: TestContext, args: string[]): Promise<{ child: ChildProcess; line(): Promise<string> }> {
  const script = new URL("worker.fixture.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value);
  assert.equal(await line(), "ready");
  return { child, line };
}

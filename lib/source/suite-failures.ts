/** What a source does when its server, the way to it, or the caller does not go along. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TcpGate } from "../../test/support/tcp-gate.ts";
import type { ContentSource } from "./port.ts";
import type { Subject } from "./suite-place.ts";
import { bytesOf, type It, readAll, type Stage, tempDir } from "./suite-stage.ts";

const QUICK = { connectTimeoutMs: 1_500, idleTimeoutMs: 1_500 };
const QUICK_ENDS_MS = 8_000; // a busy machine's slack included
const ENDS_MS = 15_000;
const SIZE = 2_000_000;
/** Of a big answer: enough for its head and some of its bytes. */
const SOME_BYTES = 200_000;

const gateOf = ({ place }: Stage): TcpGate => {
  assert.ok(place.gate, "the place has a gate");
  return place.gate;
};

const list = async (source: ContentSource, options = {}): Promise<void> => {
  for await (const _ of source.list("", options));
};

type Ask = readonly [name: string, ask: (signal?: AbortSignal) => Promise<unknown>];

/** Each thing that can be asked of a source, by its name. */
const asks = async ({ subject, t }: Stage, source: ContentSource): Promise<Ask[]> => {
  const dir = await tempDir(t);
  const all = {
    stat: (signal?: AbortSignal) => source.stat("a.bin", signal ? { signal } : {}),
    open: (signal?: AbortSignal) => source.open("a.bin", signal ? { signal } : {}),
    fetchTo: (signal?: AbortSignal) => source.fetchTo("a.bin", join(dir, "f"), signal ? { signal } : {}),
    list: (signal?: AbortSignal) => list(source, signal ? { signal } : {}),
  };
  return Object.entries(all).filter(([name]) => name !== "list" || subject.capabilities.list);
};

const tookMs = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};

export function failureStatements(it: It, subject: Subject): void {
  processStatement(it);
  silenceStatements(it, subject);
  breakStatements(it, subject);
  callerStatements(it, subject);

  it("credentials that the server refuses are denied, and nobody is told them", async (stage) => {
    const { place, logged } = stage;
    assert.ok(place.wrong, "the place has wrong credentials");
    await place.put("a.bin", bytesOf(1, 10));
    const source = await stage.open({}, place.wrong);
    const told: string[] = [];
    for (const [name, ask] of await asks(stage, source)) {
      const failed = ask().then(
        () => assert.fail(`${name} was allowed`),
        (error: Error & { code?: string; data?: unknown }) => {
          told.push(error.message, JSON.stringify(error.data), error.stack ?? "");
          return error.code;
        },
      );
      assert.equal(await failed, "SOURCE_DENIED", name);
    }
    const settings = JSON.stringify(place.wrong);
    assert.match(settings, /s3cret/, "or the next line shows nothing");
    assert.doesNotMatch([...told, ...logged].join("\n"), /s3cret/);
  });
}

function processStatement(it: It): void {
  it("a process that closed its source ends by itself", async ({ place, t }) => {
    await place.put("a.bin", bytesOf(1, SIZE));
    const ask = JSON.stringify({ settings: place.settings, path: "a.bin", file: join(await tempDir(t), "f") });
    const script = join(import.meta.dirname, "close.fixture.ts");
    const child = spawn(process.execPath, [script, ask], { stdio: ["ignore", "pipe", "pipe"] });
    t.after(() => child.kill("SIGKILL"));
    const [[status], out, err] = await Promise.all([
      once(child, "exit", { signal: AbortSignal.timeout(ENDS_MS) }),
      text(child.stdout),
      text(child.stderr),
    ]);
    assert.deepEqual({ status, out, err }, { status: 0, out: "closed\n", err: "" });
  });
}

function silenceStatements(it: It, { capabilities }: Subject): void {
  it("a server that says nothing ends every wait in SOURCE_TIMEOUT", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, SIZE));
    const source = await stage.open(QUICK);
    gate.freeze();
    const check = async ([name, ask]: Ask): Promise<void> => {
      const took = await tookMs(() => assert.rejects(ask(), { code: "SOURCE_TIMEOUT" }, name));
      assert.ok(took < QUICK_ENDS_MS, `${name} took ${took} ms`);
    };
    await Promise.all((await asks(stage, source)).map(check));
    gate.mend();
    assert.equal((await source.stat("a.bin")).sizeBytes, SIZE);
  });

  it("a server that falls silent while all is connected is noticed as well", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, SIZE));
    const source = await stage.open(QUICK);
    await source.stat("a.bin");
    gate.freeze();
    const took = await tookMs(() => assert.rejects(source.stat("a.bin"), { code: "SOURCE_TIMEOUT" }));
    assert.ok(took < QUICK_ENDS_MS, `it took ${took} ms`);
    gate.mend();
    assert.equal((await source.stat("a.bin")).sizeBytes, SIZE);
  });

  it("a fetch that stalls in its middle times out and leaves no file", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, SIZE));
    const dir = await tempDir(stage.t);
    const source = await stage.open(QUICK);
    gate.freezeAfter(SOME_BYTES);
    await assert.rejects(source.fetchTo("a.bin", join(dir, "f")), { code: "SOURCE_TIMEOUT" });
    assert.deepEqual(await readdir(dir), []);
    gate.mend();
    assert.equal((await source.fetchTo("a.bin", join(dir, "f"))).sizeBytes, SIZE);
  });

  if (!capabilities.ranges) return;

  it("a range that stalls in its middle times out, and what comes late is written nowhere", async (stage) => {
    const gate = gateOf(stage);
    const bytes = bytesOf(1, SIZE);
    await stage.place.put("a.bin", bytes);
    const source = await stage.open(QUICK);
    const object = await source.open("a.bin");
    const target = new Uint8Array(SIZE);
    gate.freezeAfter(SOME_BYTES);
    await assert.rejects(object.readRange(0, target), { code: "SOURCE_TIMEOUT" });
    const kept = target.slice();
    gate.mend();
    assert.ok(bytes.equals(await readAll(object)));
    assert.deepEqual(target, kept);
  });
}

function breakStatements(it: It, { capabilities }: Subject): void {
  it("a server that is not there is a source that failed", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, 10));
    gate.close();
    for (const [name, ask] of await asks(stage, stage.source)) {
      await assert.rejects(ask(), { code: "SOURCE_FAILED" }, name);
    }
  });

  it("however often nothing is found, the only connection is free for the next", async (stage) => {
    await stage.place.put("a.bin", bytesOf(1, 10));
    const source = await stage.open({ connectionsMax: 1 });
    const file = join(await tempDir(stage.t), "f");
    for (let round = 0; round < 6; round++) {
      await assert.rejects(source.open("no.bin"), { code: "SOURCE_NOT_FOUND" });
      await assert.rejects(source.fetchTo("no.bin", file), { code: "SOURCE_NOT_FOUND" });
    }
    assert.equal((await source.stat("a.bin")).sizeBytes, 10);
  });

  it("a kept connection that the server has closed costs nobody an error", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, 300_000));
    for (let round = 0; round < 5; round++) {
      assert.equal((await stage.source.stat("a.bin")).sizeBytes, 300_000);
      gate.cut();
    }
  });

  if (!capabilities.ranges) return;

  it("an opened object outlives the connection that it was opened over", async (stage) => {
    const gate = gateOf(stage);
    const bytes = bytesOf(1, 300_000);
    await stage.place.put("a.bin", bytes);
    const object = await stage.source.open("a.bin");
    for (let round = 0; round < 3; round++) {
      assert.ok(bytes.equals(await readAll(object)));
      gate.cut();
    }
    await object.close();
  });

  it("a connection that breaks in the middle of a range fails, and the next one is good", async (stage) => {
    const gate = gateOf(stage);
    const bytes = bytesOf(1, SIZE);
    await stage.place.put("a.bin", bytes);
    const object = await stage.source.open("a.bin");
    gate.freezeAfter(SOME_BYTES);
    const held = gate.held();
    const reading = assert.rejects(readAll(object), (error: { code?: string }) =>
      ["SOURCE_FAILED", "SOURCE_TRUNCATED"].includes(error.code ?? ""),
    );
    await held;
    gate.cut();
    await reading;
    gate.mend();
    assert.ok(bytes.equals(await readAll(object)));
    await object.close();
  });
}

function callerStatements(it: It, { capabilities }: Subject): void {
  const left = () => Object.assign(new Error("the viewer has left"), { name: "AbortError" });

  it("a caller who has left already is told so, and nothing is asked", async (stage) => {
    const reason = left();
    for (const [name, ask] of await asks(stage, stage.source)) {
      await assert.rejects(ask(AbortSignal.abort(reason)), reason, name);
    }
    assert.equal(stage.place.gate?.count.all ?? 0, 0);
  });

  it("a caller who leaves is let go at once, and the only connection is free for the next", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, SIZE));
    const source = await stage.open({ connectionsMax: 1 });
    for (const [name, ask] of await asks(stage, source)) {
      const reason = left();
      const leaving = new AbortController();
      gate.freeze();
      const held = gate.held();
      const asked = ask(leaving.signal);
      await Promise.race([held, asked]);
      const took = await tookMs(() => {
        leaving.abort(reason);
        return assert.rejects(asked, reason, name);
      });
      assert.ok(took < 1_000, `${name} took ${took} ms`);
      gate.mend();
      assert.equal((await source.stat("a.bin")).sizeBytes, SIZE);
    }
  });

  it("one of two who wait for the same connection leaves without taking the other along", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, SIZE));
    const source = await stage.open({ connectionsMax: 1 });
    const leaving = new AbortController();
    gate.freeze();
    const held = gate.held();
    const asked = [source.stat("a.bin", { signal: leaving.signal }), source.stat("a.bin")] as const;
    await Promise.race([held, ...asked]);
    leaving.abort(left());
    await assert.rejects(asked[0], { message: "the viewer has left" });
    gate.mend();
    assert.equal((await asked[1]).sizeBytes, SIZE);
  });

  it("a close ends what is under way", async (stage) => {
    const gate = gateOf(stage);
    await stage.place.put("a.bin", bytesOf(1, SIZE));
    const source = await stage.open({});
    gate.freeze();
    const held = gate.held();
    const asked = assert.rejects(source.stat("a.bin"), { code: "SOURCE_FAILED" });
    await held;
    const took = await tookMs(() => Promise.all([source.close(), asked]));
    assert.ok(took < 2_000, `it took ${took} ms`);
  });

  if (!capabilities.ranges) return;

  it("a caller who leaves in the middle of a range gets no more bytes written", async (stage) => {
    const gate = gateOf(stage);
    const bytes = bytesOf(1, SIZE);
    await stage.place.put("a.bin", bytes);
    const object = await stage.source.open("a.bin");
    const leaving = new AbortController();
    const target = new Uint8Array(SIZE);
    gate.freezeAfter(SOME_BYTES);
    const held = gate.held();
    const reading = object.readRange(0, target, { signal: leaving.signal });
    await Promise.race([held, reading]);
    const reason = left();
    leaving.abort(reason);
    await assert.rejects(reading, reason);
    const kept = target.slice();
    gate.mend();
    assert.ok(bytes.equals(await readAll(object)));
    assert.deepEqual(target, kept);
    await object.close();
  });
}

/** The contract of ObjectStore, as statements that each kind of store has to prove. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import test from "node:test";
import { bytesOf } from "../source/suite-stage.ts";
import type { ObjectStat } from "./port.ts";
import { keyStatements } from "./suite-keys.ts";
import {
  at,
  brokenStream,
  type It,
  keysOf,
  LIMIT,
  read,
  type Stage,
  type StoreSubject,
  streamOf,
  text,
} from "./suite-stage.ts";

const reads = (it: It): void => {
  it("what is put is read again, and its stat is the same everywhere", async ({ store, subject }) => {
    const bytes = bytesOf(1, 100_000);
    const stat = await store.put(at("a/b.mp4"), bytes, { contentType: "video/mp4" });
    const contentType = subject.keepsContentType ? "video/mp4" : null;
    const { modifiedMs, etag } = stat;
    assert.deepEqual(stat, { key: "a/b.mp4", sizeBytes: 100_000, etag, modifiedMs, contentType });
    assert.match(etag, /^"[^"]+"$/);
    assert.ok(Math.abs(modifiedMs - Date.now()) < 60_000, String(modifiedMs));
    assert.deepEqual(await store.head(at("a/b.mp4")), stat);
    const { stat: got, bytes: all } = await store.getBytes(at("a/b.mp4"), LIMIT);
    assert.deepEqual(got, stat);
    assert.ok(all.equals(bytes));
    for await (const listed of store.list("segments")) {
      assert.deepEqual({ ...listed, contentType }, { ...stat, modifiedMs: listed.modifiedMs });
    }
  });
  it("a stream of any length is put whole", async ({ store, subject }) => {
    for (const length of [0, 1, 70_000, subject.largeBytes]) {
      const bytes = bytesOf(length + 1, length);
      const stat = await store.put(at("stream"), streamOf(bytes));
      assert.equal(stat.sizeBytes, length);
      assert.deepEqual(await store.head(at("stream")), stat);
      assert.ok((await read(store, "stream")).equals(bytes), `${length} bytes`);
    }
  });
  it("a range is the part of it that the object has", async ({ store }) => {
    const bytes = bytesOf(2, 1000);
    await store.put(at("r"), bytes);
    for (const [offset, lengthBytes] of [
      [0, 1000],
      [0, 1],
      [999, 1],
      [10, 500],
      [990, 500],
      [1000, 5],
      [5000, 5],
      [3, 0],
    ] as const) {
      const { stat, body } = await store.get(at("r"), { range: { offset, lengthBytes } });
      assert.equal(stat.sizeBytes, 1000);
      assert.deepEqual(Buffer.concat(await body.toArray()), bytes.subarray(offset, offset + lengthBytes));
    }
  });
  it("what is not there is null to head, and OBJECT_NOT_FOUND to who wants it", async ({ store, folder }) => {
    await store.put(at("folder/file"), text("x"));
    for (const key of ["none", "folder", "folder/none", "none/none"]) {
      assert.equal(await store.head(at(key)), null);
      const code = { code: "OBJECT_NOT_FOUND" };
      await assert.rejects(store.get(at(key)), code);
      await assert.rejects(store.get(at(key), { range: { offset: 0, lengthBytes: 0 } }), code);
      await assert.rejects(store.getBytes(at(key), LIMIT), code);
      await assert.rejects(store.fetchTo(at(key), join(folder, "none")), code);
      const parts = [{ key, sizeBytes: 1, etag: '"x"' }];
      await assert.rejects(store.compose({ bucket: "segments", parts }, at("composed")), code);
      await assert.rejects(store.input(at(key)), code);
    }
    assert.deepEqual(await readdir(folder), []);
    assert.equal(await store.head(at("composed")), null);
  });
  it("what would lie below an object is not there", async ({ store }) => {
    await store.put(at("file"), text("x"));
    assert.equal(await store.head(at("file/below")), null);
    await assert.rejects(store.get(at("file/below")), { code: "OBJECT_NOT_FOUND" });
    await store.delete("segments", ["file/below"]);
    assert.notEqual(await store.head(at("file")), null);
  });
  it("an object of more bytes than are wanted at once is refused", async ({ store }) => {
    await store.put(at("small"), text("12345"));
    await assert.rejects(store.getBytes(at("small"), { bytesMax: 4 }), { code: "PATH_REFUSED" });
    assert.equal((await store.getBytes(at("small"), { bytesMax: 5 })).bytes.toString(), "12345");
  });
  it("a reader who leaves gets the reason that was given", async ({ store, subject }) => {
    await store.put(at("long"), bytesOf(3, subject.largeBytes));
    const stop = new AbortController();
    const { body } = await store.get(at("long"), { signal: stop.signal });
    const reason = new Error("seen enough");
    const reading = (async () => {
      for await (const _ of body) stop.abort(reason);
    })();
    await assert.rejects(reading, reason);
    await assert.rejects(store.get(at("long"), { signal: stop.signal }), reason);
    await assert.rejects(store.head(at("long"), { signal: stop.signal }), reason);
  });
};

const writes = (it: It): void => {
  it("other bytes have another ETag, also those that are put at once and are as many", async ({ store }) => {
    const seen = new Set<string>();
    for (let round = 0; round < 30; round += 1) seen.add((await store.put(at("same"), bytesOf(round, 10))).etag);
    assert.equal(seen.size, 30);
  });
  it("a version that was replaced is not read any more", async ({ store }) => {
    const { etag: old } = await store.put(at("v"), text("one"));
    const { etag } = await store.put(at("v"), text("two"));
    await assert.rejects(store.get(at("v"), { ifMatch: old }), { code: "OBJECT_CHANGED" });
    const { body } = await store.get(at("v"), { ifMatch: etag });
    assert.equal(Buffer.concat(await body.toArray()).toString(), "two");
  });
  it("a body that is read while it is replaced is of one version, or OBJECT_CHANGED", async ({ store, subject }) => {
    const bytes = bytesOf(4, subject.largeBytes);
    await store.put(at("v"), bytes);
    const { body } = await store.get(at("v"));
    await store.put(at("v"), bytesOf(5, subject.largeBytes));
    try {
      assert.ok(Buffer.concat(await body.toArray()).equals(bytes));
    } catch (error) {
      assert.equal((error as { code?: string }).code, "OBJECT_CHANGED");
    }
  });
  it("a put that wants none to be there leaves the one that is", async ({ store, subject }) => {
    await store.put(at("one"), text("first"), { ifAbsent: true });
    const large = bytesOf(6, subject.largeBytes);
    for (const body of [text("second"), streamOf(large)]) {
      await assert.rejects(store.put(at("one"), body, { ifAbsent: true }), { code: "OBJECT_CHANGED" });
    }
    assert.equal((await read(store, "one")).toString(), "first");
    await store.put(at("large"), streamOf(large), { ifAbsent: true });
    assert.ok((await read(store, "large")).equals(large));
  });
  it("a put that wants a version to be there leaves any other", async ({ store }) => {
    const { etag } = await store.put(at("one"), text("first"));
    await assert.rejects(store.put(at("none"), text("x"), { ifMatch: etag }), { code: "OBJECT_CHANGED" });
    const { etag: second } = await store.put(at("one"), text("second"), { ifMatch: etag });
    await assert.rejects(store.put(at("one"), text("third"), { ifMatch: etag }), { code: "OBJECT_CHANGED" });
    assert.equal((await store.head(at("one")))?.etag, second);
    assert.equal(await store.head(at("none")), null);
  });
  it("a body that breaks leaves nothing, and its own error is the put's", async ({ store, subject }) => {
    for (const bytes of [text("half"), bytesOf(7, subject.largeBytes)]) {
      const error = new Error("the line broke");
      await assert.rejects(store.put(at("none"), brokenStream(bytes, error)), error);
    }
    assert.deepEqual(await keysOf(store.list("segments")), []);
  });
  it("a body that breaks in its beginning leaves what was there", async ({ store }) => {
    await store.put(at("kept"), text("old"));
    const error = new Error("the line broke");
    await assert.rejects(store.put(at("kept"), brokenStream(text("half"), error)), error);
    assert.equal((await read(store, "kept")).toString(), "old");
  });
  it("a body that breaks far behind its beginning leaves what was there", async ({ store, subject }) => {
    await store.put(at("kept"), text("old"));
    const error = new Error("the line broke");
    await assert.rejects(store.put(at("kept"), brokenStream(bytesOf(7, subject.largeBytes), error)), error);
    assert.equal((await read(store, "kept")).toString(), "old");
  });
  it("a put that is called off lets go of its body and leaves nothing", async ({ store, subject }) => {
    const stop = new AbortController();
    const reason = new Error("called off");
    const waiting = Promise.withResolvers<void>();
    let isGiven = false;
    const body = new Readable({
      read() {
        if (isGiven) return waiting.resolve(); // nothing more comes
        isGiven = true;
        this.push(bytesOf(8, subject.largeBytes));
      },
    });
    body.on("error", () => {});
    const put = store.put(at("none"), body, { signal: stop.signal });
    await waiting.promise;
    stop.abort(reason);
    await assert.rejects(put, reason);
    assert.ok(body.destroyed);
    assert.equal(await store.head(at("none")), null);
    const early = Readable.from(["x"]);
    await assert.rejects(store.put(at("none"), early, { signal: stop.signal }), reason);
    assert.ok(early.destroyed);
  });
  it("of several who put at once, one has put all of it", async ({ store, subject }) => {
    const bodies = [1, 2, 3].map((seed) => bytesOf(seed, subject.largeBytes / 2 + seed));
    await Promise.all(bodies.map((bytes) => store.put(at("race"), streamOf(bytes))));
    const left = await read(store, "race");
    assert.ok(bodies.some((bytes) => bytes.equals(left)));
  });
};

const files = (it: It): void => {
  it("a local file is put whole, and its own absence is an error of its own", async ({ store, folder, subject }) => {
    for (const length of [0, 10, subject.largeBytes]) {
      const file = join(folder, "source");
      await writeFile(file, bytesOf(9, length));
      const stat = await store.putFile(at("file"), file);
      assert.deepEqual(await store.head(at("file")), stat);
      assert.ok((await read(store, "file")).equals(bytesOf(9, length)));
      await assert.rejects(store.putFile(at("file"), file, { ifAbsent: true }), { code: "OBJECT_CHANGED" });
    }
    await assert.rejects(store.putFile(at("other"), join(folder, "none")), { code: "ENOENT" });
    assert.deepEqual(await keysOf(store.list("segments")), ["file"]);
  });
  it("a local file that is written to afterwards is not the object", async ({ store, folder }) => {
    const file = join(folder, "source");
    await writeFile(file, "before");
    await store.putFile(at("file"), file);
    await writeFile(file, "behind");
    assert.equal((await read(store, "file")).toString(), "before");
  });
  it("an object becomes a local file, whole, and never in the place of another", async ({ store, folder, subject }) => {
    const bytes = bytesOf(10, subject.largeBytes);
    const stat = await store.put(at("f"), bytes);
    const file = join(folder, "copy");
    assert.deepEqual(await store.fetchTo(at("f"), file), stat);
    assert.ok((await readFile(file)).equals(bytes));
    await writeFile(file, "mine");
    await assert.rejects(store.fetchTo(at("f"), file), { code: "EEXIST" });
    assert.equal(await readFile(file, "utf8"), "mine");
  });
  it("an object is composed of others, of whatever lengths, in their order", async ({ store, subject }) => {
    const to = { bucket: "trailers", key: "to/é +%.mp4" } as const;
    const large = subject.largeBytes;
    for (const lengths of [
      [],
      [0],
      [large],
      [5, 7],
      [large, large, 1],
      [3, large, 0, 9, large],
      [large, 10, 10, large],
    ]) {
      const bodies = lengths.map((length, index) => bytesOf(index, length));
      const parts: ObjectStat[] = [];
      for (const [index, body] of bodies.entries()) parts.push(await store.put(at(`from/é ${index}`), body));
      const stat = await store.compose({ bucket: "segments", parts }, to);
      assert.deepEqual(await store.head(to), stat);
      assert.ok((await store.getBytes(to, LIMIT)).bytes.equals(Buffer.concat(bodies)), String(lengths));
      for (const { key } of parts) await store.put(at(key), text("another"));
      assert.ok(
        (await store.getBytes(to, LIMIT)).bytes.equals(Buffer.concat(bodies)),
        "it shares bytes with its parts",
      );
    }
  });
  const changedParts = async ({ store }: Stage, length: number): Promise<void> => {
    await store.put(at("kept"), text("old"));
    const one = await store.put(at("one"), bytesOf(1, length));
    const other = await store.put(at("other"), bytesOf(2, length));
    const composed = (...parts: ObjectStat[]) => store.compose({ bucket: "segments", parts }, at("kept"));
    await store.put(at("other"), bytesOf(3, length));
    await assert.rejects(composed(one, other), { code: "OBJECT_CHANGED" });
    await assert.rejects(composed(other), { code: "OBJECT_CHANGED" });
    await store.delete("segments", ["other"]);
    await assert.rejects(composed(one, other), { code: "OBJECT_NOT_FOUND" });
    await assert.rejects(composed(other), { code: "OBJECT_NOT_FOUND" });
    assert.equal((await read(store, "kept")).toString(), "old");
  };
  it("what can't be composed, since a short part is another one or gone, leaves what was there", (stage) =>
    changedParts(stage, 10));
  it("what can't be composed, since a long part is another one or gone, leaves what was there", (stage) =>
    changedParts(stage, stage.subject.largeBytes));
  it("a program that reads files by itself reaches the object", async ({ store, folder }) => {
    await store.put(at("in/a b'c.mp4"), text("a film"));
    const { url, protocols } = await store.input(at("in/a b'c.mp4"));
    if (url.startsWith("/")) {
      assert.deepEqual(protocols, ["file"]);
      assert.equal(await readFile(url, "utf8"), "a film");
      return;
    }
    assert.deepEqual(protocols, ["http", "tcp"]);
    const answer = await fetch(url, { headers: { range: "bytes=2-5" } });
    assert.deepEqual([answer.status, await answer.text()], [206, "film"]);
    assert.deepEqual(await readdir(folder), []);
  });
  it("a bucket is a source of ranges", async ({ store }) => {
    const source = store.source("segments");
    await store.put(at("t/film.mp4"), bytesOf(12, 200_000));
    const object = await source.open("t/film.mp4");
    const target = Buffer.alloc(1000);
    await object.readRange(150_000, target);
    await object.close();
    assert.ok(target.equals(bytesOf(12, 200_000).subarray(150_000, 151_000)));
    assert.equal((await source.stat("t/film.mp4")).sizeBytes, 200_000);
    await assert.rejects(source.open("t/none.mp4"), { code: "SOURCE_NOT_FOUND" });
    const names: string[] = [];
    for await (const { path, kind } of source.list("")) names.push(`${kind} ${path}`);
    assert.deepEqual(names, ["folder t"]);
    await source.close();
    assert.equal((await store.source("segments").stat("t/film.mp4")).sizeBytes, 200_000);
  });
};

const failures = (it: It): void => {
  it("a store that is there answers a ping", async ({ store }) => {
    await store.ping();
    await store.ping();
  });
  it("a store that is not there is OBJECT_STORE_DOWN to everybody", async ({ t, subject, folder }) => {
    const store = await subject.openDown(t);
    const code = { code: "OBJECT_STORE_DOWN" };
    await assert.rejects(store.ping(), code);
    await assert.rejects(store.put(at("a"), text("x")), code);
    await assert.rejects(store.head(at("a")), code);
    await assert.rejects(store.get(at("a")), code);
    await assert.rejects(store.getBytes(at("a"), LIMIT), code);
    await assert.rejects(store.fetchTo(at("a"), join(folder, "a")), code);
    const parts = [{ key: "a", sizeBytes: 1, etag: '"x"' }];
    await assert.rejects(store.compose({ bucket: "segments", parts }, at("b")), code);
    await assert.rejects(store.delete("segments", ["a"]), code);
    await assert.rejects(store.input(at("a")), code);
    await assert.rejects(keysOf(store.list("segments")), code);
    assert.deepEqual(await readdir(folder), []);
  });
};

/** Runs all statements on one kind of store. */
export const objectStoreSuite = (title: string, subject: StoreSubject): void => {
  const sentences = new Set<string>();
  const lacks = subject.lacks ?? {};
  const it: It = (sentence, run) => {
    sentences.add(sentence);
    const lack = lacks[sentence];
    const skip = subject.skip || (lack === undefined ? false : `this store can't show it: ${lack}`);
    test(`${title}: ${sentence}`, { skip }, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "castellan-objects-"));
      t.after(() => rm(folder, { recursive: true }));
      await run({ t, subject, folder, store: await subject.open(t) });
    });
  };
  for (const part of [reads, writes, files, keyStatements, failures]) part(it);
  test(`${title}: what the store is said to lack are statements of the suite`, () => {
    assert.deepEqual(
      Object.keys(lacks).filter((sentence) => !sentences.has(sentence)),
      [],
    );
  });
};

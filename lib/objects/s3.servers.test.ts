/** The contract on two real servers, each of which lacks what the other has, and what is of S3 alone. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import pino from "pino";
import { type RequestGate, requestGate } from "../../test/support/request-gate.ts";
import { noS3, S3_KEYS, startS3 } from "../../test/support/servers-s3.ts";
import { bytesOf } from "../source/suite-stage.ts";
import { type ObjectTools, openObjects } from "./open.ts";
import type { ObjectStat, ObjectStore } from "./port.ts";
import { objectStoreSuite } from "./suite.ts";

const kinds = ["s3proxy", "s3mock"] as const;
const servers = noS3 ? [] : await Promise.all(kinds.map((kind) => startS3({ after }, kind)));

const openAt = async (t: TestContext, port: number, tools: Partial<ObjectTools> = {}): Promise<ObjectStore> => {
  const log = pino({ level: "warn" }, { write: (line: string) => t.diagnostic(line.trim()) });
  const bucketPrefix = `t${randomBytes(6).toString("hex")}`;
  const endpoint = `http://127.0.0.1:${port}`;
  const account = { region: "us-east-1", credentials: S3_KEYS, pathStyle: true };
  const store = await openObjects({ kind: "s3", endpoint, ...account, bucketPrefix }, { log, ...tools });
  t.after(() => store.close());
  return store;
};

const BY_UTF16 = "it sorts keys as Java's strings, by UTF-16; S3 itself by UTF-8";
const ENDED_PARTS = "an upload in parts that is ended takes the object with it that was there";
const LACKS: Readonly<Record<(typeof kinds)[number], Readonly<Record<string, string>>>> = {
  s3proxy: {
    "what would lie below an object is not there": "its folders are folders of a disk; it answers 500",
    "a part of a key may have 255 bytes": "its files have longer names than its keys, and Linux ends them there",
    "a listing is in that order also where UTF-16 has another one": BY_UTF16,
  },
  s3mock: {
    "a body that breaks far behind its beginning leaves what was there": ENDED_PARTS,
    "what can't be composed, since a long part is another one or gone, leaves what was there": ENDED_PARTS,
    "a listing is in that order also where UTF-16 has another one": BY_UTF16,
  },
};

const md5Of = async (file: string): Promise<string> => {
  const digest = createHash("md5");
  for await (const chunk of createReadStream(file)) digest.update(chunk);
  return digest.digest("hex");
};

for (const [index, kind] of kinds.entries()) {
  objectStoreSuite(kind, {
    open: async (t) => {
      const store = await openAt(t, servers[index]!.port); // or it is skipped
      await store.ping();
      return store;
    },
    openDown: (t) => openAt(t, 9), // the port of "discard": nobody is there
    largeBytes: 20_000_000,
    keepsContentType: true,
    lacks: LACKS[kind],
    skip: noS3,
  });
}

const MiB = 2 ** 20;
const FILM = { bucket: "sources", key: "tenant/film.mp4" } as const;
const PARTS = 8;
const FILM_BYTES = PARTS * 8 * MiB - 1_000_000;

const partsIn = ({ requests }: RequestGate): string[] =>
  requests.flatMap((line) => /^PUT .*[?&]partNumber=(\d+)/.exec(line)?.[1] ?? []);

/** Calls `stop` once the server has taken two parts. */
const stopAfterParts = (gate: RequestGate, stop: () => void): void => {
  let before: number | undefined;
  gate.onAnswer(() => {
    if (partsIn(gate).length === 0) return;
    before ??= gate.answers.length;
    if (gate.answers.length - before >= 2) stop();
  });
};

for (const [index, kind] of kinds.entries()) {
  test(`${kind}: a file whose upload broke off goes on with the parts that are there`, { skip: noS3 }, async (t) => {
    const gate = await requestGate(servers[index]!.port);
    t.after(() => gate.close());
    const store = await openAt(t, gate.port);
    await store.ping();
    const folder = await mkdtemp(join(tmpdir(), "castellan-s3-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "film.mp4");
    const bytes = bytesOf(1, FILM_BYTES);
    await writeFile(file, bytes);
    const stop = new AbortController();
    stopAfterParts(gate, () => stop.abort(new Error("the node was shut down")));
    await assert.rejects(store.putFile(FILM, file, { signal: stop.signal }), /the node was shut down/);
    gate.onAnswer(() => {});
    assert.equal(await store.head(FILM), null);
    gate.requests.length = 0;
    const stat = await store.putFile(FILM, file);
    assert.equal(stat.sizeBytes, FILM_BYTES);
    const again = partsIn(gate);
    assert.ok(again.length < PARTS && again.includes(String(PARTS)), `parts ${again} of ${PARTS} were sent again`);
    const copy = join(folder, "copy.mp4");
    await store.fetchTo(FILM, copy);
    assert.equal(await md5Of(copy), createHash("md5").update(bytes).digest("hex"));
  });

  test(`${kind}: parts of another file under the same key are not taken for its own`, { skip: noS3 }, async (t) => {
    const gate = await requestGate(servers[index]!.port);
    t.after(() => gate.close());
    const store = await openAt(t, gate.port);
    await store.ping();
    const folder = await mkdtemp(join(tmpdir(), "castellan-s3-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "film.mp4");
    await writeFile(file, bytesOf(2, FILM_BYTES));
    const stop = new AbortController();
    stopAfterParts(gate, () => stop.abort());
    await assert.rejects(store.putFile(FILM, file, { signal: stop.signal }), { name: "AbortError" });
    gate.onAnswer(() => {});
    await writeFile(file, bytesOf(3, FILM_BYTES));
    await store.putFile(FILM, file);
    const copy = join(folder, "copy.mp4");
    await store.fetchTo(FILM, copy);
    assert.equal(await md5Of(copy), await md5Of(file));
  });

  test(`${kind}: bytes of what is composed stay on the server, but for what is too short`, {
    skip: noS3,
  }, async (t) => {
    const gate = await requestGate(servers[index]!.port);
    t.after(() => gate.close());
    const store = await openAt(t, gate.port, { copyBytesMax: 12 * MiB });
    await store.ping();
    const bodies = [20 * MiB, 1000, 16 * MiB, 3000].map((length, seed) => bytesOf(seed, length));
    const parts: ObjectStat[] = [];
    for (const [at, body] of bodies.entries()) {
      parts.push(await store.put({ bucket: "sources", key: `parts/${at}` }, body));
    }
    gate.requests.length = 0;
    gate.sent.bytes = 0;
    const to = { bucket: "segments", key: "to/é film.mp4" } as const;
    const { sizeBytes } = await store.compose({ bucket: "sources", parts }, to);
    // Two copies of 10 MiB, what is short with the beginning of the next, two copies of the rest of that, the end.
    assert.deepEqual(partsIn(gate).toSorted(), ["1", "2", "3", "4", "5"]);
    assert.equal(sizeBytes, 36 * MiB + 4000);
    assert.ok(gate.sent.bytes < 5.5 * MiB, `${gate.sent.bytes} bytes were sent`);
    assert.ok((await store.getBytes(to, { bytesMax: 2 ** 26 })).bytes.equals(Buffer.concat(bodies)));
  });
}

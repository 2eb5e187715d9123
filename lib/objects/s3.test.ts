/** What S3 servers do on bad days, played by a stand-in that can be told to. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import test, { type TestContext } from "node:test";
import pino from "pino";
import { bytesOf } from "../source/suite-stage.ts";
import { openObjects } from "./open.ts";
import type { ObjectStore } from "./port.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

interface Stage {
  readonly store: ObjectStore;
  readonly requests: string[];
  readonly logged: string[];
}

const SECRET = "wJalrXUtnFEMI-secret";
const NAME = { bucket: "segments", key: "a/film.mp4" } as const;

const begin = async (t: TestContext, answer: Answer, idleTimeoutMs = 5_000): Promise<Stage> => {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray().catch(() => []));
    requests.push(`${request.method} ${request.url}`);
    answer(request, response, body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const logged: string[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => void logged.push(line) });
  const settings = {
    kind: "s3",
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: "us-east-1",
    credentials: { accessKeyId: "key", secretAccessKey: SECRET },
    pathStyle: true,
    bucketPrefix: "test",
  } as const;
  const store = await openObjects(settings, { log, connectTimeoutMs: 200, idleTimeoutMs });
  t.after(() => store.close());
  return { store, requests, logged };
};

const refuse = (response: ServerResponse, status: number, code: string): void => {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
};

const BYTES = bytesOf(1, 1_000_000);

/** A range of BYTES, cut off after `sent` bytes as if the line broke. */
const give = (
  request: IncomingMessage,
  response: ServerResponse,
  { etag = '"v1"', sent = Number.POSITIVE_INFINITY } = {},
) => {
  const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const [first, last] = [Number(from), to === "" ? BYTES.length - 1 : Number(to)];
  const part = BYTES.subarray(first, last + 1);
  response.writeHead(request.headers.range ? 206 : 200, {
    etag,
    "content-length": part.length,
    "last-modified": new Date(1_700_000_000_000).toUTCString(),
    ...(request.headers.range ? { "content-range": `bytes ${first}-${last}/${BYTES.length}` } : {}),
  });
  if (sent >= part.length) response.end(part);
  else response.write(part.subarray(0, sent), () => setImmediate(() => response.destroy()));
};

test("a body that breaks goes on where it broke, with the same version asked for", async (t) => {
  const asked: (string | undefined)[] = [];
  const { store } = await begin(t, (request, response) => {
    asked.push(`${request.headers.range} ${request.headers["if-match"]}`);
    give(request, response, asked.length < 4 ? { sent: 100_000 } : {});
  });
  const { bytes } = await store.getBytes(NAME, { bytesMax: 2 ** 21 });
  assert.ok(bytes.equals(BYTES));
  assert.equal(asked[0], "undefined undefined");
  assert.equal(asked.length, 4);
  for (const line of asked.slice(1)) assert.match(line ?? "", /^bytes=\d+-999999 "v1"$/);
});

test("a body that breaks while the object is replaced is OBJECT_CHANGED", async (t) => {
  let count = 0;
  const { store } = await begin(t, (request, response) => {
    count += 1;
    if (count === 1) give(request, response, { sent: 1000 });
    else refuse(response, 412, "PreconditionFailed");
  });
  const { body } = await store.get(NAME);
  await assert.rejects(body.toArray(), { code: "OBJECT_CHANGED" });
});

test("a body that breaks again and again is OBJECT_STORE_DOWN, and its local copy is gone", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-s3-"));
  t.after(() => rm(folder, { recursive: true }));
  const { store, requests } = await begin(t, (request, response) => give(request, response, { sent: 0 }));
  await assert.rejects(store.fetchTo(NAME, join(folder, "copy")), { code: "OBJECT_STORE_DOWN" });
  assert.ok(requests.length > 1 && requests.length < 20, String(requests.length));
  assert.deepEqual(await readdir(folder), []);
});

test("a full store, by whatever name, is OBJECT_STORE_FULL", async (t) => {
  for (const [status, code] of [
    [507, "XMinioStorageFull"],
    [507, "InsufficientStorage"],
    [403, "QuotaExceeded"],
  ] as const) {
    const { store, logged } = await begin(t, (_, response) => refuse(response, status, code));
    await assert.rejects(store.put(NAME, Buffer.from("x")), { code: "OBJECT_STORE_FULL" }, code);
    assert.ok(!logged.join().includes(SECRET));
  }
});

test("a store that becomes full in the middle of parts ends them", async (t) => {
  const { store, requests } = await begin(t, (request, response) => {
    if (request.method === "POST") {
      response.end("<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>");
    } else if (request.method === "DELETE") response.writeHead(204).end();
    else refuse(response, 507, "XMinioStorageFull");
  });
  const body = Readable.from([bytesOf(2, 20_000_000)]);
  await assert.rejects(store.put(NAME, body), { code: "OBJECT_STORE_FULL" });
  assert.match(requests.at(-1) ?? "", /^DELETE \/test-segments\/a\/film\.mp4\?uploadId=u1/);
  assert.ok(body.destroyed);
});

test("what a server refuses or can't do for now is OBJECT_STORE_DOWN, tried again where that may help", async (t) => {
  for (const [status, code, attempts] of [
    [403, "AccessDenied", 1],
    [404, "NoSuchBucket", 1],
    [503, "SlowDown", 3],
    [500, "InternalError", 3],
  ] as const) {
    const { store, requests, logged } = await begin(t, (_, response) => refuse(response, status, code));
    await assert.rejects(store.put(NAME, Buffer.from("x")), { code: "OBJECT_STORE_DOWN" }, code);
    assert.equal(requests.length, attempts, code);
    assert.ok(logged.length > 0 && !logged.join().includes(SECRET));
  }
});

test("a server that takes a request and says nothing is given up, in time", async (t) => {
  const { store } = await begin(t, () => {}, 100);
  const code = { code: "OBJECT_STORE_DOWN" };
  await assert.rejects(store.head(NAME), code);
  await assert.rejects(store.put(NAME, Buffer.from("x")), code);
  await assert.rejects(store.get(NAME), code);
  await assert.rejects(store.ping(), code);
});

test("a close ends what is under way", async (t) => {
  const asked = Promise.withResolvers<void>();
  const { store } = await begin(t, () => asked.resolve(), 60_000);
  const waiting = assert.rejects(store.head(NAME), { code: "OBJECT_STORE_DOWN" });
  await asked.promise;
  await store.close();
  await waiting;
});

test("an object that vanishes between a look and a conditional put is another one", async (t) => {
  const { store } = await begin(t, (request, response) => {
    if (request.method === "HEAD") {
      response.writeHead(200, { etag: '"v1"', "content-length": 3 }).end();
    } else refuse(response, 404, "NoSuchKey");
  });
  await assert.rejects(store.put(NAME, Buffer.from("x"), { ifMatch: '"v1"' }), { code: "OBJECT_CHANGED" });
});

test("parts are put together under the condition of the put", async (t) => {
  const conditions: (string | undefined)[] = [];
  const { store } = await begin(t, (request, response) => {
    if (request.method === "HEAD") return void response.writeHead(404).end();
    if (request.method === "DELETE") return void response.writeHead(204).end();
    if (request.method === "PUT") return void response.writeHead(200, { etag: '"part"' }).end();
    if (request.url?.includes("uploads")) {
      return void response.end(
        "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
      );
    }
    conditions.push(request.headers["if-none-match"]);
    refuse(response, 412, "PreconditionFailed");
  });
  const body = Readable.from([bytesOf(3, 20_000_000)]);
  await assert.rejects(store.put(NAME, body, { ifAbsent: true }), { code: "OBJECT_CHANGED" });
  assert.deepEqual(conditions, ["*"]);
});

test("a stream of 256 MiB takes little more memory than the parts that are under way", async (t) => {
  const { store } = await begin(t, (request, response) => {
    if (request.method === "HEAD") return void response.writeHead(200, { etag: '"all"', "content-length": 1 }).end();
    if (request.method === "PUT") return void response.writeHead(200, { etag: '"part"' }).end();
    const isBegin = request.url?.includes("uploads");
    response.end(
      isBegin
        ? "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
        : '<CompleteMultipartUploadResult><ETag>"all"</ETag></CompleteMultipartUploadResult>',
    );
  });
  const MiB = 2 ** 20;
  let given = 0;
  let most = 0;
  const body = new Readable({
    read() {
      most = Math.max(most, process.memoryUsage().arrayBuffers);
      given += 1;
      this.push(given > 256 ? null : Buffer.alloc(MiB));
    },
  });
  const before = process.memoryUsage().arrayBuffers;
  await store.put(NAME, body);
  t.diagnostic(`${Math.round((most - before) / MiB)} MiB at most, the stand-in's included`);
  assert.ok(most - before < 200 * MiB, `${Math.round((most - before) / MiB)} MiB of 256`);
});

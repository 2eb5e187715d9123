import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import path from "node:path";
import test from "node:test";
import { uploadTicket } from "../../contracts/upload.ts";
import { send } from "../../lib/actor/contract.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { createUpload, makeScene, PATCH_TYPE, tus } from "./upload.fixture.ts";
import { keyOf } from "./upload-node.ts";

const REQUESTS = 1_000;
const SEED = 20_261_122;

const pick = <T>(random: Random, from: readonly T[]): T => from[random.int(from.length)]!; // an index within it

const NUMBERS = [
  "0",
  "1",
  "-1",
  "1e9",
  "0x10",
  "99999999999999999999",
  "NaN",
  "",
  " 5",
  "5 ",
  "1.5",
  "9007199254740993",
];
const TEXTS = ["", ",", "a", "a b c", "filename", "filename ====", "a YQ==,a YQ==", "titleId Ly4uLy4u", "\u00e4 YQ=="];
const b64 = (text: string): string => Buffer.from(text, "latin1").toString("base64");

const metadataOf = (random: Random): string => {
  const names = ["filename", "titleId", "name", "kind", "__proto__", "constructor", "x".repeat(300)];
  const values = ["../../etc/passwd", "\0", "a\r\nb", "/", "\\", "..", "x".repeat(5_000), "\xff\xfe", "movie", ""];
  return random.int(3) === 0 ? pick(random, TEXTS) : `${pick(random, names)} ${b64(pick(random, values))}`;
};

const headersOf = (random: Random): Record<string, string> => {
  const all: Record<string, () => string> = {
    "tus-resumable": () => pick(random, ["1.0.0", "0.2.2", "1.0.0, 2.0.0", ""]),
    "upload-length": () => pick(random, NUMBERS),
    "upload-offset": () => pick(random, NUMBERS),
    "upload-metadata": () => metadataOf(random),
    "upload-defer-length": () => pick(random, ["1", "2"]),
    "upload-concat": () => pick(random, ["partial", "final;/api/v1/uploads/x", "final"]),
    "upload-checksum": () => pick(random, ["sha1 AAAA", "sha512 AAAA", "sha1", "crc32 !!!!"]),
    "content-type": () => pick(random, ["application/offset+octet-stream", "application/json", "a"]),
    "x-http-method-override": () => pick(random, ["DELETE", "PATCH", "TRACE"]),
    "x-forwarded-host": () => pick(random, ["evil.test", "evil.test/../x", "\u00e9"]),
    "x-castellan-ticket": () => pick(random, ["", "e30.AAAA", "x".repeat(2_000)]),
    "transfer-encoding": () => "chunked",
  };
  const chosen = Object.entries(all).filter(() => random.int(3) === 0);
  const usual = random.int(4) === 0 ? {} : { "tus-resumable": "1.0.0" };
  return { ...usual, ...Object.fromEntries(chosen.map(([name, make]) => [name, make()])) };
};

const pathOf = (random: Random, known: string): string =>
  pick(random, [
    ...["/api/v1/uploads", known, `${known}/`, `${known}?x=1`, `${known}%00`, `${known}/../${known}`],
    ...["/api/v1/uploads/..%2f..%2fetc%2fpasswd", "/api/v1/uploads/%2e%2e/x", "/api/v1/uploads//", "/api/v1/uploads/%"],
    "/api/v1/uploads/00000000-0000-0000-0000-000000000000",
    ...["/api/v1/uploads/imports", `/api/v1/uploads/${"a".repeat(3_000)}`],
  ]);

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** The status; 0 where the connection was closed instead. */
const statusOf = (url: string, { method, path: target, headers, body }: Sent): Promise<number> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const request = httpRequest({ hostname, port, method, path: target, headers }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", () => resolve(0));
    request.end(body);
  });

test("hostile requests are answered by 4xx, never 5xx, and no file is written outside of its root", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ env: { UPLOAD_BYTES_MAX: "100000" } });
  const known = await createUpload(node.url, scene.tenant, 1_000);
  const random = seeded(SEED);
  const before = (await readdir(scene.dataDir)).toSorted();
  const bad: unknown[] = [];
  for (let count = 0; count < REQUESTS; count += 1) {
    const method = pick(random, ["POST", "PATCH", "HEAD", "DELETE", "OPTIONS", "PUT", "GET", "PROPFIND"]);
    const authorization = random.int(8) === 0 ? "Bearer nobody" : `Bearer ${keyOf(scene.tenant)}`;
    // Node's client refuses what is no header; the gateway's parser does so as well.
    const headers = Object.entries(headersOf(random)).filter(([, value]) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value));
    const body = Buffer.alloc(method === "PATCH" || method === "POST" ? random.int(3_000) : 0, 0x41);
    const path_ = pathOf(random, known);
    const sent = { method, path: path_, headers: { ...Object.fromEntries(headers), authorization }, body };
    const status = await statusOf(node.url, sent);
    // 501: no address takes that method; it is of HTTP itself.
    if (status >= 500 && status !== 501) bad.push({ status, ...sent, body: body.length });
  }
  assert.deepEqual(bad, [], `seed ${SEED}`);
  assert.deepEqual((await readdir(scene.dataDir)).toSorted(), before);
  const staged = await readdir(path.join(scene.dataDir, "objects/.uploads"));
  for (const name of staged) assert.match(name, /^[0-9a-f-]{36}\.[0-9a-f-]{36}$/);
  const alive = await tus(node.url, { method: "POST", tenant: scene.tenant, headers: { "upload-length": "10" } });
  assert.equal(alive.status, 201);
});

test("the listener takes tickets of its own nodes alone: none that is forged, changed or late", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const { tenant } = scene;
  const { url, ticket } = await send(node.broker, uploadTicket, {}, tenant);
  const create = (given: string | null) =>
    fetch(`${url}/api/v1/uploads`, {
      method: "POST",
      headers: {
        "tus-resumable": "1.0.0",
        "upload-length": "10",
        ...(given === null ? {} : { "x-castellan-ticket": given }),
      },
    }).then(({ status }) => status);
  assert.equal(await create(ticket), 201);
  const [text = "", mac = ""] = ticket.split(".");
  const holder = JSON.parse(Buffer.from(text, "base64url").toString()) as Record<string, unknown>;
  const told = (more: object) => Buffer.from(JSON.stringify({ ...holder, ...more })).toString("base64url");
  const forged = createHmac("sha256", randomBytes(32)).update(text).digest("base64url");
  for (const wrong of [null, "", ".", text, `${text}.${forged}`, `${told(scene.other)}.${mac}`, `${ticket}.x`]) {
    assert.equal(await create(wrong), 401, String(wrong));
  }
  const late = told({ untilMs: Date.now() - 1 });
  const { rows } = await scene.db.asOwner<{ secret: Buffer }>("select secret from upload_key");
  const key = rows[0]?.secret ?? "";
  assert.equal(await create(`${late}.${createHmac("sha256", key).update(late).digest("base64url")}`), 401);
  assert.equal(await create(`${text}.${createHmac("sha256", key).update(text).digest("base64url")}`), 201);
});

test("a body that is longer than the upload is refused, and the offset stays within its length", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const url = await createUpload(node.url, scene.tenant, 1_000);
  const headers = { ...PATCH_TYPE, "upload-offset": "0", "tus-resumable": "1.0.0" };
  const authorization = `Bearer ${keyOf(scene.tenant)}`;
  const chunked = { ...headers, authorization, "transfer-encoding": "chunked" };
  const long = { method: "PATCH", path: url, headers: chunked, body: Buffer.alloc(5_000, 0x9d) };
  assert.equal(await statusOf(node.url, long), 413);
  const head = await tus(node.url, { method: "HEAD", path: url, tenant: scene.tenant });
  assert.ok(Number(head.headers.get("upload-offset")) <= 1_000);
});

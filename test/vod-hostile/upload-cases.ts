/** Hostile uploads: tus at the gateway, sources by address and bucket, and the upload listener itself. */
import { randomUUID } from "node:crypto";
import type { Random } from "../support/seeded.ts";
import type { Case, Ground } from "./cases.ts";
import { chance, NAMES, one, piece, wayUp } from "./words.ts";

type Field = readonly [string, string];
const UPLOADS = "/api/v1/uploads";
const OFFSET_TYPE: Field = ["Content-Type", "application/offset+octet-stream"];

const tus = (of: string, ground: Ground, more: Partial<Case>): Case => ({
  ...{ of, to: ground.scene.gateway, method: "POST", target: UPLOADS, body: null, isCutShort: false, isRefused: false },
  fields: [],
  ...more,
});

const ours = ({ mallory }: Ground): Field[] => [
  ["Authorization", `Bearer ${mallory.key}`],
  ["Tus-Resumable", "1.0.0"],
];

const base64 = (text: string): string => Buffer.from(text).toString("base64");

const metadata = (random: Random, ground: Ground): string => {
  const name = one(random, NAMES);
  const key = one(random, ["filename", "filename", "name", "titleId", "kind", "__proto__", "tenantId", "path", "a\tb"]);
  return one(random, [
    () => `${key} ${base64(name)}`,
    () => `filename ${base64(wayUp(random))}`,
    () => `filename ${base64("film.mp4")},titleId ${base64(ground.alice.titleId)}`,
    () => `filename ${base64("a.mp4")},filename ${base64(name)}`,
    () => `${key} ${name.replace(/[^\x21-\x7e]/g, "?")}`,
    () => `filename ${Buffer.from(`\xff\xfe${piece(random)}`, "latin1").toString("base64")}`,
    () => `filename ${base64("a".repeat(4_000))}`,
    () => Array.from({ length: 200 }, (_, at) => `k${at} ${base64("v")}`).join(","),
    () => ",,,",
    () => "filename",
    () => " ",
    () => "filename !!!!",
    () => `filename ${"=".repeat(20)}`,
    () => `kind ${base64("constructor")}`,
  ])().slice(0, 12_000);
};

const LENGTHS = ["1000", "0", "-1", "1e3", "0x10", "99999999999999999999", "NaN", "", " 5", "5, 5", "1.5", "\xff"];

export const creations = (random: Random, ground: Ground): Case => {
  const fields = ours(ground);
  if (!chance(random, 8)) fields.push(["Upload-Length", chance(random, 2) ? "1000" : one(random, LENGTHS)]);
  if (chance(random, 8)) fields.push(["Upload-Defer-Length", one(random, ["1", "2", "x"])]);
  if (chance(random, 8))
    fields.push(["Upload-Concat", one(random, ["partial", `final;${UPLOADS}/${randomUUID()}`, "final;../.."])]);
  if (!chance(random, 6)) fields.push(["Upload-Metadata", metadata(random, ground)]);
  const hasBody = chance(random, 3);
  if (hasBody) fields.push(chance(random, 4) ? ["Content-Type", "text/html"] : OFFSET_TYPE);
  return tus("new uploads", ground, { fields, body: hasBody ? Buffer.alloc(random.int(2_000), 0x41) : null });
};

const OFFSETS = ["0", "1", "-1", "100", "9007199254740993", "1e9", "x", "", "0, 0", "\xff", "00"];
const CHECKSUMS = [
  "sha1 AAAA",
  "sha1",
  "md5 x",
  "crc32 AAAAAA==",
  "sha512 AAAA",
  "__proto__ x",
  "",
  "sha1 \xff",
  `sha1 ${"A".repeat(5_000)}`,
];

export const changes = (random: Random, ground: Ground): Case => {
  const fields: Field[] = ours(ground).map(([name, text]) =>
    name === "Tus-Resumable" && chance(random, 8)
      ? [name, one(random, ["0.2.2", "", "x", "1.0.0, 1.0.0", "\xff"])]
      : [name, text],
  );
  fields.push(chance(random, 8) ? ["Content-Type", "text/plain"] : OFFSET_TYPE);
  if (!chance(random, 8)) fields.push(["Upload-Offset", one(random, OFFSETS)]);
  if (chance(random, 4)) fields.push(["Upload-Checksum", one(random, CHECKSUMS)]);
  if (chance(random, 8)) fields.push(["Upload-Length", one(random, LENGTHS)]);
  if (chance(random, 8)) fields.push(["X-HTTP-Method-Override", one(random, ["DELETE", "HEAD", "x"])]);
  const id = one(random, [...ground.mallory.uploads, randomUUID(), "x", wayUp(random)]);
  const target = id.startsWith("/") ? id : `${UPLOADS}/${id}`;
  const method = one(random, ["PATCH", "PATCH", "PATCH", "HEAD", "PUT", "GET", "MOVE"]);
  return tus("changes of uploads", ground, { method, target, fields, body: Buffer.alloc(random.int(300), 0x42) });
};

/** An upload that says more than it sends, and goes. */
export const cutUploads = (random: Random, ground: Ground): Case => {
  const fields: Field[] = [...ours(ground), OFFSET_TYPE, ["Upload-Offset", "0"]];
  fields.push(["Content-Length", one(random, ["500", "900", "-5", "x", "99999999999"])]);
  const target = one(random, ground.mallory.uploads);
  return tus("cut uploads", ground, { method: "PATCH", target, fields, body: Buffer.alloc(100), isCutShort: true });
};

/** Another tenant's upload, at any method. */
export const foreign = (random: Random, ground: Ground): Case => {
  const method = one(random, ["HEAD", "PATCH", "DELETE", "GET"]);
  const fields: Field[] = [...ours(ground), OFFSET_TYPE, ["Upload-Offset", one(random, OFFSETS)]];
  if (chance(random, 3)) fields.push(["X-Castellan-Tenant", ground.alice.id]);
  const body = method === "PATCH" ? Buffer.from("x") : null;
  return tus("others' uploads", ground, { method, target: ground.alice.upload, fields, body, isRefused: true });
};

const forged = (random: Random, { alice }: Ground): string => {
  const holder = { tenantId: alice.id, tenant: alice.slug, untilMs: Date.now() + 60_000 };
  const text = Buffer.from(JSON.stringify(holder)).toString("base64url");
  return one(random, [
    text,
    `${text}.`,
    `${text}.AAAA`,
    `${text}.${"A".repeat(43)}`,
    `.${text}`,
    "",
    "\xff",
    "a".repeat(900),
    "e30.e30.e30",
  ]);
};

/** The upload listener is for gateways: without a ticket nobody gets in. */
export const ticketless = (random: Random, ground: Ground): Case => {
  const { scene, alice, mallory } = ground;
  const fields: Field[] = [...ours(ground), OFFSET_TYPE, ["Upload-Offset", "0"], ["Upload-Length", "10"]];
  if (!chance(random, 4)) fields.push(["X-Castellan-Ticket", forged(random, ground)]);
  const target = one(random, [
    UPLOADS,
    alice.upload,
    one(random, mallory.uploads),
    `/${wayUp(random)}`,
    "/api/v1/titles",
  ]);
  const method = one(random, ["POST", "PATCH", "HEAD", "DELETE", "GET", "OPTIONS", "PUT"]);
  const of = "the upload listener";
  return tus(of, ground, { to: scene.uploads, method, target, fields, body: Buffer.from("x"), isRefused: true });
};

const URLS = [
  "http://127.0.0.1:1/film.mp4",
  "http://169.254.169.254/latest/meta-data/",
  "http://[::1]/",
  "http://[::ffff:7f00:1]/",
  "http://0/",
  "http://0177.0.0.1/",
  "http://2130706433/",
  "http://localhost/film.mp4",
  "http://10.0.0.1/",
  "http://user:pass@127.0.0.1/",
  "http://127.0.0.1\\@example.com/",
  "file:///etc/passwd",
  "ftp://127.0.0.1/x",
  "data:video/mp4;base64,AAAA",
  "http://",
  "//127.0.0.1/",
  "concat:/etc/passwd",
  "http://127.0.0.1:99999/",
  "\u0000",
  `http://127.0.0.1/${"a".repeat(5_000)}`,
];

/** Sources by address and by bucket: none of these is anybody's film. */
export const pulls = (random: Random, ground: Ground): Case => {
  const fields: Field[] = [
    ["Content-Type", "application/json"],
    ["Authorization", `Bearer ${ground.mallory.key}`],
  ];
  const titleId = one(random, [ground.mallory.titleId, ground.mallory.titleId, ground.alice.titleId, randomUUID()]);
  const bucket = one(random, ["films", "..", "plexbd-sources", "a/b", "", "127.0.0.1", "a".repeat(63)]);
  const url = one(random, URLS);
  const [target, body] = one(random, [
    [`/api/v1/titles/${titleId}/source`, { url, filename: one(random, NAMES) }],
    [`/api/v1/titles/${titleId}/source`, { url }],
    [`/api/v1/titles/${titleId}/artwork`, { url, kind: "poster" }],
    [
      "/api/v1/uploads/imports",
      { bucket, prefix: one(random, [...NAMES, "../", "/", "a/../../b"]), dryRun: chance(random, 2) },
    ],
  ] as const);
  return tus("sources", ground, { target, fields, body: Buffer.from(JSON.stringify(body)), isRefused: true });
};

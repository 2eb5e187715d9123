/** Hostile requests for media: at an edge, at the gateway's own paths of media, and at a packager. */
import { randomUUID } from "node:crypto";
import type { Random } from "../support/seeded.ts";
import type { Case, Ground } from "./cases.ts";
import { chance, LEAVES, one, piece, RANGES, wayUp } from "./words.ts";

const get = (of: string, to: string, target: string, more: Partial<Case> = {}): Case => ({
  ...{ of, to, method: "GET", target, fields: [], body: null, isCutShort: false, isRefused: true },
  ...more,
});

const fronts = (random: Random, { scene }: Ground): string => one(random, [scene.edge, scene.gateway]);
const FORMS = ["hls", "dash", "public/hls", "public/dash", "images", "previews", "i", "live", "trailers"];

/** Title ids in spellings that another reader may take for the same. */
const spelled = (random: Random, id: string): string =>
  one(random, [
    id,
    id,
    id,
    id.toUpperCase(),
    `%${id.charCodeAt(0).toString(16)}${id.slice(1)}`,
    `${id}%00`,
    `${id}.`,
    `./${id}`,
    `${randomUUID()}/../${id}`,
    `${id};v=1`,
    id.replaceAll("-", ""),
    `{${id}}`,
    `x/..%2f${id}`,
  ]);

export const AROUND = "paths around sessions";

/** A packager's own paths, as a viewer would have to write them to get at them. */
const innerPath = (random: Random, { alice }: Ground): string => {
  const form = one(random, FORMS);
  const odd = chance(random, 3) ? `${piece(random)}/` : "";
  return `/${odd}${form}/${spelled(random, alice.titleId)}/${one(random, LEAVES)}`;
};

const FORWARDED = (target: string, host: string): (readonly [string, string])[][] => [
  [["Host", host]],
  [["Host", "packager"]],
  [["Host", "localhost"]],
  [["Host", "127.0.0.1"]],
  [["Host", `${host}@evil`]],
  [["Host", "a\x00b"]],
  [
    ["Host", host],
    ["Host", "other"],
  ],
  [["X-Forwarded-Host", host]],
  [["X-Forwarded-For", "127.0.0.1"]],
  [["X-Forwarded-Proto", "file"]],
  [["X-Original-URL", target]],
  [["X-Rewrite-URL", target]],
  [["X-Forwarded-Prefix", "/../.."]],
  [["Forwarded", `for=127.0.0.1;host=${host}`]],
  [["X-Castellan-Internal", "1"]],
  [["X-Castellan-Tenant", "platform"]],
  [["X-Castellan-Ticket", "e30.AAAA"]],
  [["Castellan-Viewer", `127.0.0.1 ${Date.now()} ${"A".repeat(43)}`]],
  [["CDN-Loop", "castellan;castellan;castellan"]],
  [["Via", "1.1 castellan"]],
  [["Authorization", "Bearer x"]],
  [["Cookie", "token=~"]],
  [["X-HTTP-Method-Override", "PURGE"]],
  [["Upgrade", "h2c"]],
  [["Expect", "100-continue"]],
];

/** What titles are made of is behind sessions: no plain path, spelling, host or header leads around that. */
export const inner = (random: Random, ground: Ground): Case => {
  const { scene } = ground;
  const path = innerPath(random, ground);
  const host = new URL(scene.packager).host;
  const target = one(random, [path, path, `${scene.packager}${path}`, `http://${host}${path}`, `/api/media${path}`]);
  const fields = chance(random, 2) ? one(random, FORWARDED(path, host)) : [];
  const method = chance(random, 8)
    ? one(random, ["HEAD", "POST", "PURGE", "TRACE", "OPTIONS", "DELETE", "CONNECT"])
    : "GET";
  // Behind a mark of a query anything may stand.
  const isRefused = method === "GET" && !target.includes("?");
  return get(AROUND, fronts(random, ground), target, { method, fields, isRefused });
};

/** Ways out of a folder, at every listener that serves files; the packager itself answers what is a title's. */
export const traversal = (random: Random, ground: Ground): Case => {
  const { scene, alice } = ground;
  const to = one(random, [scene.edge, scene.gateway, scene.packager]);
  const root = one(random, ["", "/i", `/hls/${alice.titleId}`, `/images/${alice.titleId}/r1`, "/i/film.mp4", "/watch"]);
  const media = `/api/media/~${alice.token}/hls/${alice.titleId}`;
  const target = `${chance(random, 3) ? media : root}/${wayUp(random)}/${one(random, LEAVES)}`;
  return get("ways out of a folder", to, target, { isRefused: false });
};

const mutated = (random: Random, token: string): string => {
  const at = random.int(token.length);
  const parts = token.split(".");
  const part = random.int(parts.length);
  return one(random, [
    () => token.slice(0, at),
    () => token.slice(0, at) + piece(random) + token.slice(at),
    () => token.slice(0, at) + String.fromCharCode(33 + random.int(90)) + token.slice(at + 1),
    () => parts.filter((_, index) => index !== part).join("."),
    () =>
      parts.map((text, index) => (index === part ? one(random, ["0", "9999999999", "-", "*", ""]) : text)).join("."),
    () => token.toUpperCase(),
    () => `${token}.${token}`,
    () => `${token}~${token}`,
    () => `1.${token}`,
    () => `v1.${parts.slice(0, 3).join(".")}`,
    () => `k1.9999999999.-.*./hls/.${parts.at(-1)}`,
    () => `${token}%00`,
    () => token.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
    () => "",
    () => "a".repeat(7_000),
  ])();
};

const PLAYS = ["master.m3u8", "source.m3u8", "key.1.bin", "manifest.mpd", "clearkey", "../../heartbeat"];

/** Tokens that are none: changed, of other titles, ended, in other places, twice. */
export const tokens = (random: Random, ground: Ground): Case => {
  const { alice, mallory, ended } = ground;
  const form = one(random, ["hls", "dash"]);
  const leaf = one(random, PLAYS);
  const own = `${form}/${alice.titleId}/${leaf}`;
  let token = mutated(random, alice.token);
  if (token === alice.token) token = `${token}x`;
  const target = one(random, [
    `/api/media/~${encodeURI(token).replaceAll("%25", "%")}/${own}`,
    `/api/media/~${encodeURI(token).replaceAll("%25", "%")}/${own}`,
    `/api/media/~${mallory.token}/${own}`,
    `/api/media/~${ended}/${own}`,
    `/api/media/~${mallory.token}/~${alice.token}/${own}`,
    `/api/media/${own}?token=${mallory.token}`,
    `/api/media/~${mallory.token}/${own}?token=${alice.token}`,
    `/api/media/~/${own}`,
    `/api/media//${own}`,
    `/api/media/${own}`,
    `/~${mallory.token}/api/media/${own}`,
    `/api/~${alice.token}/media/~${mallory.token}/${own}`,
  ]);
  return get("tokens", fronts(random, ground), target, { fields: [["X-Forwarded-For", "10.0.0.1"]] });
};

const NUMBERS = [
  "0",
  "01",
  "-1",
  "1.0",
  "1e0",
  "9999999999",
  "1%00",
  "%31%30",
  "2",
  "999",
  "１",
  "0x1",
  "",
  "*",
  "../1",
];

export const keys = (random: Random, ground: Ground): Case => {
  const { alice } = ground;
  const number = Buffer.from(one(random, NUMBERS)).toString("latin1");
  const leaf = one(random, [`key.${number}.bin`, `key.1.bin${piece(random)}`, `KEY.1.BIN`, `key..bin`, `r1/key.1.bin`]);
  const hasToken = chance(random, 2);
  const root = hasToken ? `/api/media/~${alice.token}` : "/api/media";
  const plain = chance(random, 3) ? "" : root;
  const method = one(random, ["GET", "GET", "GET", "HEAD", "POST", "PUT"]);
  // A mark of a query or a fragment behind the name leaves the true address.
  const isRefused = !(hasToken && /key\.1\.bin[?#]/.test(leaf));
  return get("keys", fronts(random, ground), `${plain}/hls/${alice.titleId}/${leaf}`, { method, isRefused });
};

const KIDS: readonly unknown[] = [
  {},
  [],
  null,
  { kids: [] },
  { kids: ["x"] },
  { kids: [1] },
  { kids: "AAAAAAAAAAAAAAAAAAAAAA" },
  { kids: ["AAAAAAAAAAAAAAAAAAAAAA"], type: "persistent-license" },
  { kids: Array.from({ length: 17 }, () => "AAAAAAAAAAAAAAAAAAAAAA") },
  { kids: [["AAAAAAAAAAAAAAAAAAAAAA"]] },
  { kids: ["A".repeat(20_000)] },
];

export const licences = (random: Random, ground: Ground): Case => {
  const { alice, mallory } = ground;
  const token = one(random, [alice.token, mallory.token, "x"]);
  const body = chance(random, 4)
    ? Buffer.from('{"kids":[\xff', "latin1")
    : Buffer.from(JSON.stringify(one(random, KIDS)));
  const target = `/api/media/~${token}/dash/${alice.titleId}/clearkey`;
  const fields = [["Content-Type", one(random, ["application/json", "text/plain", "x"])]] as const;
  return get("licences", fronts(random, ground), target, { method: "POST", fields, body });
};

/** Of what may be had: parts that there are not, and headers that say nonsense. */
export const ranges = (random: Random, ground: Ground): Case => {
  const { alice, files } = ground;
  const target = `/api/media/~${alice.token}/hls/${alice.titleId}/${one(random, files)}`;
  const fields: (readonly [string, string])[] = [["Range", one(random, RANGES)]];
  if (chance(random, 3)) fields.push(["If-Range", one(random, ['"x"', "x", "\xff", "Thu, 99 Foo 0000"])]);
  if (chance(random, 3)) fields.push(["If-None-Match", one(random, ["*", '"', 'W/"x"', "a".repeat(5_000)])]);
  if (chance(random, 3)) fields.push(["If-Modified-Since", one(random, ["x", "Thu, 99 Foo 0000", "-1"])]);
  if (chance(random, 5)) fields.push(["Range", one(random, RANGES)]);
  const method = one(random, ["GET", "GET", "HEAD"]);
  return get("ranges", fronts(random, ground), target, { method, fields, isRefused: false });
};

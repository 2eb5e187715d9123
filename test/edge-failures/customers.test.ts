/** Whatever a request looks like, its answer is an object of the hostname that it asks for, and of no other. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { EdgeConfig } from "../../contracts/edge-config.ts";
import { signerOf, signToken } from "../../edge/guard/sign.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { type Asked, FaultyOrigin, headOf } from "./faulty-origin.ts";
import { edgeScene } from "./scene.ts";
import { Viewer } from "./viewer.ts";

const SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";
const LANGUAGES = ["de", "fr", "ko"];
/** As asked for, and as the origin gets it. */
const PATHS: readonly (readonly [string, string])[] = [
  ["/a", "/a"],
  ["/%61", "/a"],
  ["/a/b.m3u8", "/a/b.m3u8"],
  ["/a/%62.m3u8", "/a/b.m3u8"],
  ["/a%3fb", "/a%3Fb"],
  ["/a?b", "/a?b"],
  ["/a?host=one.example", "/a?host=one.example"],
  ["/~x/a", "/~x/a"],
  ["/%7ex/a", "/~x/a"],
  ["//one.example/a", "//one.example/a"],
  ["/one.example/a", "/one.example/a"],
  ["/a%20", "/a%20"],
  ["/a;v=1", "/a;v=1"],
];

interface Host {
  readonly name: string;
  /** What its origin calls itself. */
  readonly id: string;
  readonly isSigned?: boolean;
}
const HOSTS: readonly Host[] = [
  { name: "one.example", id: "one" },
  { name: "www.one.example", id: "one" },
  { name: "two.example", id: "two" },
  { name: "one.example.two.example", id: "shared:first" },
  { name: "one.examples", id: "shared:second" },
  { name: "signed.example", id: "signed", isSigned: true },
  { name: "signed2.example", id: "signed2", isSigned: true },
  { name: "made.up.example", id: "any" },
  { name: "192.0.2.1", id: "any" },
];

/** Says who it is, what it was asked for, and in which language. */
const answering = (id: string) => (asked: Asked) => {
  const own = id === "shared" ? `shared:${asked.field("host")}` : id;
  const isPrivate = asked.field("cookie") !== undefined;
  const language = asked.field("accept-language") ?? "none";
  const body = `${own} ${asked.target} ${language} ${asked.field("cookie") ?? ""}`;
  const kept = isPrivate ? "Cache-Control: private" : "Cache-Control: max-age=60";
  asked.socket.write(headOf("200 OK", `Content-Length: ${body.length}`, kept, "Vary: Accept-Language") + body);
};

const configOf = async (t: TestContext): Promise<EdgeConfig> => {
  const urls = new Map<string, string>();
  for (const id of ["one", "two", "shared", "signed", "signed2", "any"]) {
    urls.set(id, (await FaultyOrigin.open(t, answering(id))).url);
  }
  const from = (id: string, hostHeader?: string) => [
    { id: "a", url: urls.get(id)!, ...(hostHeader ? { hostHeader } : {}) },
  ];
  const signing = { keys: [{ id: "k", algorithm: "HS256" as const, secret: SECRET }] };
  return {
    customers: [
      {
        id: "acme",
        sites: [
          { hostnames: ["one.example", "www.one.example"], origins: from("one") },
          { hostnames: ["two.example"], origins: from("two") },
          { hostnames: ["signed.example"], origins: from("signed"), signing },
        ],
      },
      {
        id: "other",
        sites: [
          { hostnames: ["one.example.two.example"], origins: from("shared", "first") },
          { hostnames: ["one.examples"], origins: from("shared", "second") },
          { hostnames: ["signed2.example"], origins: from("signed2"), signing },
          { hostnames: ["*"], origins: from("any") },
        ],
      },
    ],
  };
};

const oneOf = <T>(random: Random, all: readonly T[]): T => all[random.int(all.length)]!;

/** A hostname in one of the ways in which clients may write it. */
const spelled = (random: Random, name: string): string => {
  let text = name;
  if (random.int(3) === 0) text = text.toUpperCase();
  if (random.int(4) === 0 && !/^\d/.test(name)) text += ".";
  if (random.int(3) === 0) text += oneOf(random, [":80", ":443", ":8081"]);
  return text;
};

interface Case {
  readonly text: string;
  readonly expected: string;
}
const caseOf = (random: Random): Case => {
  const host = oneOf(random, HOSTS);
  // Where tokens are, a first segment with a tilde is one.
  const [written, canonical] = oneOf(random, host.isSigned ? PATHS.filter(([, at]) => !at.startsWith("/~")) : PATHS);
  const language = oneOf(random, LANGUAGES);
  const cookie = random.int(6) === 0 ? `viewer=${random.int(1e6)}` : "";
  let path = written;
  if (host.isSigned) {
    const wish = { host: host.name, prefix: "/", expiresSeconds: Math.floor(Date.now() / 1_000) + 3_600 };
    const token = signToken(signerOf("k", SECRET), wish);
    if (random.int(2) === 0 || written.startsWith("//")) path += `${written.includes("?") ? "&" : "?"}token=${token}`;
    else path = `/~${token}${written}`;
  }
  const named = spelled(random, host.name);
  const isAbsolute = random.int(4) === 0;
  const target = isAbsolute ? `http://${named}${path}` : path;
  // RFC 9112 §3.2.2: with an absolute form the Host field does not count.
  const field = isAbsolute ? spelled(random, oneOf(random, HOSTS).name) : named;
  const fields = [`Host: ${field}`, `Accept-Language: ${language}`, ...(cookie ? [`Cookie: ${cookie}`] : [])];
  return {
    text: `GET ${target} HTTP/1.1\r\n${fields.join("\r\n")}\r\n\r\n`,
    expected: `${host.id} ${canonical} ${language} `,
  };
};

for (const threads of [1, 2]) {
  test(`no request of one hostname gets another's object, with ${threads} thread(s)`, async (t) => {
    const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
    t.diagnostic(`TEST_SEED=${seed}`);
    const random = seeded(seed);
    const edge = await edgeScene(t, await configOf(t), { threads });
    const viewers = await Promise.all(Array.from({ length: 8 }, () => Viewer.to(edge.port)));
    t.after(() => {
      for (const viewer of viewers) viewer.leave();
    });
    let hits = 0;
    for (let round = 0; round < 300; round += 1) {
      await Promise.all(
        viewers.map(async (viewer) => {
          const { text, expected } = caseOf(random);
          const got = await viewer.say(text);
          assert.equal(got.status, 200, `${text}${got.body}`);
          const body = got.body.toString();
          assert.equal(body.slice(0, expected.length), expected, text);
          const cookie = /\r\nCookie: (.*)\r\n/.exec(text)?.[1] ?? "";
          const isOwn = body.slice(expected.length) === cookie || body.slice(expected.length) === "";
          assert.ok(isOwn, `${text} got somebody else's: ${body}`);
          if (/; hit/.test(got.field("cache-status") ?? "")) hits += 1;
        }),
      );
    }
    t.diagnostic(`${hits} hits of 2400`);
    assert.ok(hits > 1_000);
  });
}

test("a token for one hostname opens none of another's objects, cached or not", async (t) => {
  const edge = await edgeScene(t, await configOf(t));
  const tokenFor = (host: string, prefix: string): string =>
    signToken(signerOf("k", SECRET), { host, prefix, expiresSeconds: Math.floor(Date.now() / 1_000) + 60 });
  const viewer = await Viewer.to(edge.port);
  t.after(() => viewer.leave());
  const get = async (host: string, path: string, token: string): Promise<number> =>
    (await viewer.get(`${path}?token=${token}`, { host })).status;
  const own = tokenFor("signed.example", "/a/");
  assert.equal(await get("signed.example", "/a/b.m3u8", own), 200);
  assert.equal(await get("signed.example", "/a/b.m3u8", tokenFor("signed2.example", "/a/")), 403);
  assert.equal(await get("signed2.example", "/a/b.m3u8", own), 403);
  assert.equal(await get("signed.example", "/a", own), 403);
  assert.equal(await get("signed.example", "/%61/b.m3u8", tokenFor("signed.example", "/b/")), 403);
  assert.equal((await viewer.get("/a/b.m3u8", { host: "signed.example" })).status, 401);
});

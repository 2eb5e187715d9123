import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { maskedToken, takeToken } from "./place.ts";
import { addressTag } from "./policy.ts";
import { isUnder, normalPath, normalPrefix, parseToken, signedText, type TokenClaims, tokenBody } from "./token.ts";

const HMAC = `${"Ab-_9".repeat(8)}xyA`;

test("a token and what is signed of it are these texts, letter for letter", () => {
  const claims: TokenClaims = {
    keyId: "k-1_A",
    expiresSeconds: 1_800_000_000,
    fromSeconds: 0,
    address: addressTag("192.0.2.7"),
    prefix: "/vod/film-7/",
  };
  const body = "k-1_A.1800000000.0.c0000207.L3ZvZC9maWxtLTcv";
  assert.equal(tokenBody(claims), body);
  assert.equal(signedText("cdn.acme.example", body), `castellan-url-1\ncdn.acme.example\n${body}`);
  assert.deepEqual(parseToken(`${body}.${HMAC}`), { ...claims, body, signature: HMAC });
});

test("addresses are told by all of IPv4 and by a /64 of IPv6", () => {
  const tags: [address: string, tag: string | null][] = [
    ["0.0.0.1", "00000001"],
    ["255.255.255.255", "ffffffff"],
    ["::ffff:192.0.2.7", "c0000207"],
    ["2001:db8:0:7:1:2:3:4", "20010db800000007"],
    ["::1", "0000000000000000"],
    ["fe80::1%eth0", "fe80000000000000"],
    ["192.0.2.07", null],
    ["example", null],
  ];
  for (const [address, tag] of tags) assert.equal(addressTag(address), tag, address);
});

test("what is no token is none", () => {
  const body = "k1.1800000000.0.-.Lw";
  const bad = [
    "",
    body,
    `${body}.`,
    `${body}.${HMAC}=`,
    `.1800000000.0.-.Lw.${HMAC}`,
    `k1.01.0.-.Lw.${HMAC}`,
    `k1.-1.0.-.Lw.${HMAC}`,
    `k1.1e9.0.-.Lw.${HMAC}`,
    `k1.0.0.-.Lw.${HMAC}`,
    `k1.1.00.-.Lw.${HMAC}`,
    `k1.123456789012.0.-.Lw.${HMAC}`,
    `k1.1.0..Lw.${HMAC}`,
    `k1.1.0.C0000207.Lw.${HMAC}`,
    `k1.1.0.c00002.Lw.${HMAC}`,
    `k1.1.0.-.dm9k.${HMAC}`, // "vod": no slash
    `k1.1.0.-.Ly4u.${HMAC}`, // "/.."
    `k1.1.0.-.L2E_.${HMAC}`, // "/a?"
    `k1.1.0.-..${HMAC}`,
    `k1.1.0.-.Lw.${HMAC}.${HMAC}`,
    `${"k".repeat(33)}.1.0.-.Lw.${HMAC}`,
    `k1.1.0.-.${"L".repeat(1_700)}.${HMAC}`,
  ];
  for (const text of bad) assert.equal(parseToken(text), null, text.slice(0, 80));
  assert.ok(parseToken(`${body}.${HMAC}`));
});

test("a path has one form, and what can be read in two ways has none", () => {
  const forms: [path: string, normal: string | null][] = [
    ["/", "/"],
    ["/a/b;v=1/c,d", "/a/b;v=1/c,d"],
    ["/%61%2D%2e%5F%7e", "/a-._~"],
    ["/%c3%A9%20", "/%C3%A9%20"],
    ["/\xe9<", "/%E9<"],
    ["/a//b", "/a//b"],
    ["/...", "/..."],
    ["/.a/..b", "/.a/..b"],
    ["", null],
    ["a", null],
    ["/a/..", null],
    ["/./a", null],
    ["/%2E%2e/a", null],
    ["/a%2fb", null],
    ["/a%5Cb", null],
    ["/a\\b", null],
    ["/a%00", null],
    ["/a%7f", null],
    ["/a\n", null],
    ["/a%", null],
    ["/a%4", null],
    ["/a%4g", null],
    ["/\u20ac", null],
  ];
  for (const [path, normal] of forms) assert.equal(normalPath(path), normal, path);
  assert.equal(normalPrefix("/vidéo €/"), "/vid%C3%A9o%20%E2%82%AC/");
  assert.equal(normalPrefix("/\ud800"), "/%EF%BF%BD");
});

test("the form of a form is itself", () => {
  const { int } = seeded(3);
  const pieces = ["/", "a", ".", "..", "~", "%41", "%2e", "%20", "%c3%a9", "é", "<", ";", "%25", "41", "%"];
  let formCount = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const path = `/${Array.from({ length: int(8) }, () => pieces[int(pieces.length)]).join("")}`;
    const normal = normalPath(path);
    if (normal === null) continue;
    formCount += 1;
    assert.equal(normalPath(normal), normal, path);
  }
  assert.ok(formCount > 2_000);
});

test("prefixes end where segments end", () => {
  const cases: [path: string, prefix: string, isOpen: boolean][] = [
    ["/a", "/a", true],
    ["/a/", "/a", true],
    ["/a/b", "/a", true],
    ["/ab", "/a", false],
    ["/a.ts", "/a", false],
    ["/a", "/a/", false],
    ["/", "/", true],
    ["/x", "/", true],
  ];
  for (const [path, prefix, isOpen] of cases) assert.equal(isUnder(path, prefix), isOpen, `${path} ${prefix}`);
});

test("only the first part of a path, and the one behind /api/media/, is a token's place", () => {
  const token = `k1.1800000000.0.-.Lw.${HMAC}`;
  const taken = (path: string, query = ""): unknown => takeToken(path, query, () => true);
  assert.deepEqual(taken(`/~${token}/a`), { token, path: "/a", query: "" });
  assert.deepEqual(taken(`/api/media/~${token}/a`), { token, path: "/api/media/a", query: "" });
  assert.deepEqual(taken("/live/t/s/~castis-7/x.m3u8"), { token: null, path: "/live/t/s/~castis-7/x.m3u8", query: "" });
  assert.deepEqual(taken("/a", `token=${token}`), { token, path: "/a", query: "" });
  assert.equal(taken("/~user/a"), "malformed");
  assert.equal(taken(`/~${token}/~user/a`), "malformed");
});

test("a token is not shown, wherever it stands and however it is written", () => {
  const token = `k1.1800000000.0.-.Lw.${HMAC}`;
  assert.equal(maskedToken(`/~${token}/a/~b`), "/~*/a/~b");
  assert.equal(maskedToken(`/%7E${token}/a`), "/~*/a");
  assert.equal(maskedToken(`/api/media/~${token.slice(0, -3)}/a`), "/api/media/~*/a");
  assert.equal(maskedToken(`https://a.example:8443/~${token}/a`), "https://a.example:8443/~*/a");
  for (const path of ["/a/b", "/~user/a", "/live/t/s/~castis-7/a"]) assert.equal(maskedToken(path), path);
});

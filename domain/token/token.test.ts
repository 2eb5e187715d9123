import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuMs } from "../../test/support/cpu.ts";
import { seeded } from "../../test/support/seeded.ts";
import {
  aclAllows,
  escapedEarly,
  globMatches,
  parseToken,
  TOKEN_CHARS_MAX,
  type TokenFields,
  tokenBody,
} from "./token.ts";

const HMAC = "0123456789abcdef".repeat(4);

test("patterns fit what a regular expression of the same meaning fits", () => {
  const { int } = seeded(7);
  const word = (letters: string, lengthMax: number): string =>
    Array.from({ length: int(lengthMax + 1) }, () => letters[int(letters.length)]).join("");
  let fitting = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const pattern = word("ab/*?", 8);
    const text = word("ab/", 10);
    const expected = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(text);
    assert.equal(globMatches(pattern, text), expected, `${pattern} ${text}`);
    if (expected) fitting += 1;
  }
  assert.ok(fitting > 500, String(fitting));
});

test("a pattern that is made to be slow is not", () => {
  const slow = () => assert.equal(globMatches(`${"*a".repeat(500)}b`, "a".repeat(8000)), false);
  assert.ok(cpuMs(slow) < 1_000);
});

test("characters of a pattern that mean something elsewhere mean nothing", () => {
  const cases: [pattern: string, path: string, fits: boolean][] = [
    ["/i/a.mp4", "/i/aXmp4", false],
    ["/i/(a|b)[c]+$", "/i/(a|b)[c]+$", true],
    ["/i/*", "/i/", true],
    ["/i/*", "/i", false],
    ["/i/*.mp4/*", "/i/x/y.mp4/master.m3u8", true],
    ["", "", true],
    ["?", "", false],
  ];
  for (const [pattern, path, fits] of cases) assert.equal(aclAllows([pattern], path), fits, `${pattern} ${path}`);
});

test("what is written into a token is read out of it, whatever is in it", () => {
  const { int } = seeded(11);
  const letters = "abzAZ019 /._-~!'()*?&=+,;:@#$%\"<>\\^`{|}";
  const word = (extra: string): string => {
    const all = [...(letters + extra)];
    return Array.from({ length: 1 + int(20) }, () => all[int(all.length)]).join("");
  };
  for (let round = 0; round < 2000; round += 1) {
    const fields: TokenFields = {
      ip: int(2) === 0 ? null : "2001:db8::7",
      startSeconds: int(2) === 0 ? null : int(2 ** 31),
      endSeconds: int(2 ** 31),
      acl: Array.from({ length: int(4) }, () => `/i/${word("üç漢🎬")}`),
      id: int(2) === 0 ? null : word(""),
      data: int(2) === 0 ? null : word(""),
    };
    const body = tokenBody(fields);
    assert.match(body, /^[A-Za-z0-9=~%!*?/.,:;@()_|-]*$/, "safe in a query and in XML");
    const { signed, hmac, ...read } = parseToken(`${body}~hmac=${HMAC}`) ?? assert.fail(body);
    assert.deepEqual(read, fields);
    assert.equal(signed, body);
    assert.equal(hmac, HMAC);
  }
});

test("what is no token is none", () => {
  const bad = [
    "",
    "exp=1",
    `hmac=${HMAC}`,
    `~hmac=${HMAC}`,
    `exp=~hmac=${HMAC}`,
    `exp=-1~hmac=${HMAC}`,
    `exp=1e3~hmac=${HMAC}`,
    `exp=1~~hmac=${HMAC}`,
    `exp=1~=x~hmac=${HMAC}`,
    `exp=1~acl~hmac=${HMAC}`,
    `exp=1~acl=~hmac=${HMAC}`,
    `exp=1~acl=/a!!/b~hmac=${HMAC}`,
    `exp=1~exp=1~hmac=${HMAC}`,
    `exp=1~id=~hmac=${HMAC}`,
    `exp=1~id=%00~hmac=${HMAC}`,
    `exp=1~hmac=${HMAC}~acl=/x`,
    `exp=1~hmac=${HMAC.slice(1)}`,
    `exp=1~hmac=${HMAC}0`,
    `exp=1~${Array.from({ length: 20 }, (_, index) => `f${index}=1`).join("~")}~hmac=${HMAC}`,
    `exp=1~x=${"x".repeat(TOKEN_CHARS_MAX)}~hmac=${HMAC}`,
  ];
  for (const text of bad) assert.equal(parseToken(text), null, text.slice(0, 100));
  assert.ok(parseToken(`exp=1~future=field~hmac=${HMAC.toUpperCase()}`), "unknown fields are signed like all others");
});

test("early escapes are those of Akamai's generators", () => {
  assert.equal(escapedEarly("/i/a b/~'*é.mp4"), "%2fi%2fa%20b%2f%7e%27%2a%c3%a9.mp4");
});

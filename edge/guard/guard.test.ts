import assert from "node:assert/strict";
import { createSecretKey, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { parseToken, signedText, tokenBody } from "../../domain/signed-url/token.ts";
import { Guard, type GuardOptions, type GuardVerdict, guardRefusal } from "./guard.ts";
import type { SigningKey } from "./keys.ts";
import { Remembered } from "./remembered.ts";
import { type Signer, signedUrl, signerOf, signToken, type TokenWish } from "./sign.ts";

const NOW_SECONDS = 1_800_000_000;
const HOST = "cdn.acme.example";
const SECRET = Buffer.alloc(32, 7).toString("base64url");
const pair = generateKeyPairSync("ed25519");
const PUBLIC = pair.publicKey.export({ format: "jwk" }).x ?? assert.fail();
const KEYS: readonly SigningKey[] = [
  { id: "k1", algorithm: "HS256", secret: SECRET },
  { id: "k2", algorithm: "EdDSA", publicKey: PUBLIC },
];
const SIGNERS: readonly Signer[] = [signerOf("k1", SECRET), { keyId: "k2", key: pair.privateKey }];
const [HS256 = assert.fail()] = SIGNERS;

const tokenOf = (wish: Partial<TokenWish> = {}, signer: Signer = HS256): string =>
  signToken(signer, { host: HOST, prefix: "/vod/", expiresSeconds: NOW_SECONDS + 3_600, ...wish });

interface Ask {
  readonly path?: string;
  readonly query?: string;
  readonly host?: string;
  readonly address?: string;
  readonly seconds?: number;
}
const checked = (guard: Guard, { seconds = NOW_SECONDS, ...ask }: Ask): GuardVerdict =>
  guard.check({ path: "/vod/a.ts", query: "", host: HOST, address: "192.0.2.7", nowMs: seconds * 1_000, ...ask });
const verdict = (ask: Ask, options: GuardOptions = {}): string => {
  const answer = checked(new Guard(KEYS, options), ask);
  return answer.ok ? `${answer.path}?${answer.query}` : answer.reason;
};

for (const signer of SIGNERS) {
  const { keyId } = signer;

  test(`${keyId}: a token opens its path, as a part of the path and in the query, and is gone afterwards`, () => {
    const token = tokenOf({}, signer);
    assert.equal(verdict({ path: `/~${token}/vod/a/b.m3u8`, query: "v=1" }), "/vod/a/b.m3u8?v=1");
    assert.equal(verdict({ path: "/vod/a/b.m3u8", query: `x=%41&token=${token}&y` }), "/vod/a/b.m3u8?x=%41&y");
    assert.equal(verdict({ path: `/%7e${token}/v%6fd/a` }), "/vod/a?", "as some generators escape it");
    const media = tokenOf({ prefix: "/api/media/hls/7/" }, signer);
    assert.equal(verdict({ path: `/api/media/~${media}/hls/7/x.m3u8` }), "/api/media/hls/7/x.m3u8?");
  });

  test(`${keyId}: what a token does not say is refused by name`, () => {
    const token = tokenOf({}, signer);
    const [body, signature] = [token.slice(0, token.lastIndexOf(".")), token.slice(token.lastIndexOf(".") + 1)];
    const asks: [ask: Ask, reason: string][] = [
      [{}, "missing"],
      [{ query: "token=" }, "malformed"],
      [{ query: "token" }, "missing"],
      [{ query: "tokens=1" }, "missing"],
      [{ path: `/~${token}` }, "malformed"],
      [{ path: `/~${token}/~${token}/vod/a` }, "malformed"],
      [{ path: `/~${token}/api/media/~${token}/vod/a` }, "malformed"],
      [{ path: `/~${token}/vod/a`, query: `token=${token}` }, "malformed"],
      [{ query: `token=${token}&token=${token}` }, "malformed"],
      [{ path: `/~${token}/vod/../private` }, "malformed"],
      [{ path: `/~${token}/vod/%2e%2E/private` }, "malformed"],
      [{ path: `/~${token}/vod/.%2e` }, "malformed"],
      [{ path: `/~${token}/vod/..%2fprivate` }, "malformed"],
      [{ path: `/~${token}/vod/..%5cprivate` }, "malformed"],
      [{ path: `/~${token}/vod/a%00` }, "malformed"],
      [{ path: `/~${token}/vod/%zz` }, "malformed"],
      [{ path: `/~${token}/vod` }, "wrong-path"],
      [{ path: `/~${token}/vodka/a` }, "wrong-path"],
      [{ path: `/~${token}/VOD/a` }, "wrong-path"],
      [{ path: `/~${token}//vod/a` }, "wrong-path"],
      [{ query: `token=${body}.${signature.slice(0, -1)}` }, "malformed"],
      [{ query: `token=${body}.${signature}A` }, "malformed"],
      [{ query: `token=${body}.` }, "malformed"],
      [{ query: `token=${body}` }, "malformed"],
      [{ query: `token=${body}.${"A".repeat(signature.length)}` }, "bad-signature"],
      [{ query: `token=${token.replace(keyId, "k9")}` }, "unknown-key"],
      [{ query: `token=${token}`, host: "other.example" }, "bad-signature"],
      [{ query: `token=${token}`, host: `${HOST}\n` }, "bad-signature"],
      [{ query: `token=${token}`, host: "" }, "bad-signature"],
    ];
    for (const [ask, reason] of asks) assert.equal(verdict(ask), reason, JSON.stringify(ask));
    assert.equal(verdict({ query: `token=${token}`, host: "CDN.acme.example.:8081" }), "/vod/a.ts?");
  });

  test(`${keyId}: a token is valid from its beginning to its end, give or take thirty seconds`, () => {
    const query = `token=${tokenOf({ fromSeconds: NOW_SECONDS, expiresSeconds: NOW_SECONDS + 100 }, signer)}`;
    const at = (seconds: number): string => verdict({ query, seconds: NOW_SECONDS + seconds });
    assert.deepEqual([-30.001, -30, 0, 100, 129.999, 130].map(at), [
      "not-yet",
      "/vod/a.ts?",
      "/vod/a.ts?",
      "/vod/a.ts?",
      "/vod/a.ts?",
      "expired",
    ]);
  });

  test(`${keyId}: a token for an address is for that one, or for its /64`, () => {
    const from = (bound: string, address: string): string =>
      verdict({ query: `token=${tokenOf({ address: bound }, signer)}`, address });
    assert.equal(from("192.0.2.7", "192.0.2.7"), "/vod/a.ts?");
    assert.equal(from("192.0.2.7", "::ffff:192.0.2.7"), "/vod/a.ts?");
    assert.equal(from("192.0.2.7", "::ffff:c000:207"), "/vod/a.ts?");
    assert.equal(from("::ffff:192.0.2.7", "192.0.2.7"), "/vod/a.ts?");
    assert.equal(from("192.0.2.7", "192.0.2.8"), "wrong-address");
    assert.equal(from("192.0.2.7", "2001:db8::c000:207"), "wrong-address");
    assert.equal(from("192.0.2.7", ""), "wrong-address");
    assert.equal(from("2001:db8:0:1::1", "2001:DB8::1:ffff:0:0:2"), "/vod/a.ts?");
    assert.equal(from("2001:db8:0:1::1", "2001:db8:0:2::1"), "wrong-address");
  });

  test(`${keyId}: what was right once is looked at again with every request`, () => {
    const guard = new Guard(KEYS);
    const query = `token=${tokenOf({ address: "192.0.2.7" }, signer)}`;
    const reasonOf = (ask: Ask): string => {
      const answer = checked(guard, { query, ...ask });
      return answer.ok ? "ok" : answer.reason;
    };
    const at = query.lastIndexOf(".") + 1;
    const forged = query.slice(0, at) + (query[at] === "A" ? "B" : "A") + query.slice(at + 1);
    for (let round = 0; round < 2; round += 1) {
      assert.equal(reasonOf({}), "ok");
      assert.equal(reasonOf({ seconds: NOW_SECONDS + 4_000 }), "expired");
      assert.equal(reasonOf({ path: "/live/a" }), "wrong-path");
      assert.equal(reasonOf({ address: "192.0.2.8" }), "wrong-address");
      assert.equal(reasonOf({ host: "b.example" }), "bad-signature");
      assert.equal(reasonOf({ query: forged }), "bad-signature");
    }
  });
}

test("only what is below the protected prefix needs a token, however an origin reads its path", () => {
  const options = { prefix: "/vod" };
  const open = ["/", "/index.html", "/vo", "/live/vod/x", "/v/od"];
  for (const path of open) assert.equal(verdict({ path }, options), `${path}?`);
  const closed = [
    "/vod",
    "/vodka",
    "/vod/",
    "/vod/a",
    "//vod/a",
    "/%76od/a",
    "///vod//a",
    "/vod;v=1/a",
    "/vod;/a",
    "/;x/vod/a",
  ];
  for (const path of closed) assert.equal(verdict({ path }, options), "missing", path);
  assert.equal(verdict({ path: "/v\xefd\xe9o/a" }, { prefix: "/v%EFd%e9o/" }), "missing", "bytes and their escapes");
  const token = tokenOf();
  assert.equal(verdict({ path: `/~${token}/open/a`, query: "q" }, options), "/open/a?q", "not needed, and left out");
  assert.equal(verdict({ path: "/open/a", query: `token=${token}` }, options), "/open/a?");
  assert.equal(verdict({ path: "/open/a", query: "token=theirs" }, options), "/open/a?token=theirs");
  assert.equal(verdict({ path: "/~half.a.token/vod/a" }, options), "malformed");
});

test("the key decides the algorithm: a public key is no secret, and no signature counts for another kind", () => {
  const claims = { expiresSeconds: NOW_SECONDS + 9, fromSeconds: 0, address: null, prefix: "/vod/" };
  const asHmac = tokenOf({}, { keyId: "k2", key: createSecretKey(Buffer.from(PUBLIC, "base64url")) });
  assert.equal(verdict({ query: `token=${asHmac}` }), "bad-signature");
  const body = tokenBody({ keyId: "k1", ...claims });
  const asEd25519 = sign(null, Buffer.from(signedText(HOST, body)), pair.privateKey).toString("base64url");
  assert.equal(verdict({ query: `token=${body}.${asEd25519}` }), "bad-signature");
  const other = generateKeyPairSync("ed25519").privateKey;
  assert.equal(verdict({ query: `token=${tokenOf({}, { keyId: "k2", key: other })}` }), "bad-signature");
});

test("a signature with spare bits set is not a second text of the same token", () => {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (const signer of SIGNERS) {
    const token = tokenOf({}, signer);
    const next = letters[letters.indexOf(token.at(-1) ?? "") + 1] ?? assert.fail();
    assert.deepEqual(
      Buffer.from(`${token.slice(-43, -1)}${next}`, "base64url"),
      Buffer.from(token.slice(-43), "base64url"),
    );
    assert.equal(verdict({ query: `token=${token.slice(0, -1)}${next}` }), "malformed");
  }
});

test("a token lives through a session of twelve hours, and through new keys meanwhile", () => {
  const query = `token=${tokenOf({ expiresSeconds: NOW_SECONDS + 13 * 3_600 })}`;
  const next: SigningKey = { id: "k3", algorithm: "HS256", secret: Buffer.alloc(48, 9).toString("base64url") };
  let guard = new Guard(KEYS);
  for (let second = 0; second <= 12 * 3_600; second += 6) {
    if (second === 3 * 3_600) guard = new Guard([...KEYS, next]);
    assert.ok(checked(guard, { query, seconds: NOW_SECONDS + second }).ok);
  }
  const renewed = `token=${tokenOf({}, signerOf("k3", next.secret))}`;
  assert.deepEqual(checked(guard, { query: renewed }), { ok: true, path: "/vod/a.ts", query: "" });
  assert.deepEqual(checked(new Guard([next]), { query }), { ok: false, reason: "unknown-key" }, "the old key is gone");
});

test("no more Ed25519 tokens are remembered than said, and those in use stay", () => {
  const remembered = new Remembered(4);
  const token = parseToken(tokenOf()) ?? assert.fail();
  for (let index = 0; index < 40; index += 1) {
    remembered.set(`t${index}`, token);
    assert.ok(remembered.get("t0") === token && remembered.get(`t${index}`) === token, String(index));
    assert.ok(remembered.count <= 8, String(remembered.count));
  }
  assert.equal(remembered.get("t1"), undefined);
});

test("keys that can't be used are refused, and the message names them", () => {
  const hs = (id: string, secret: string): SigningKey => ({ id, algorithm: "HS256", secret });
  const one = hs("a", SECRET);
  const cases: [keys: SigningKey[], message: RegExp][] = [
    [[], /1 to 16 keys/],
    [Array.from({ length: 17 }, (_, index) => hs(`k${index}`, SECRET)), /1 to 16 keys/],
    [[one, one], /key a is given twice/],
    [[hs("a.b", SECRET)], /key a\.b: an id/],
    [[hs("a", "c2hvcnQ")], /key a: an HS256 secret/],
    [[hs("a", `${SECRET}!`)], /key a: an HS256 secret/],
    [[{ id: "b", algorithm: "EdDSA", publicKey: SECRET.slice(4) }], /key b: an EdDSA public key/],
  ];
  for (const [keys, message] of cases) assert.throws(() => new Guard(keys), message);
  assert.throws(() => new Guard([one], { prefix: "vod" }), /no prefix like vod/);
  assert.throws(() => new Guard([one], { prefix: "/a/../b" }), /no prefix/);
});

test("wishes that no token can say are refused", () => {
  const wishes: [wish: Partial<TokenWish>, message: RegExp][] = [
    [{ host: "a b" }, /no host/],
    [{ prefix: "vod" }, /no path/],
    [{ prefix: "/vod?x" }, /no path/],
    [{ prefix: `/${"x".repeat(1_024)}` }, /no path/],
    [{ address: "192.0.2" }, /no address/],
    [{ expiresSeconds: 0 }, /whole seconds/],
    [{ expiresSeconds: 1.5 }, /whole seconds/],
    [{ fromSeconds: -1 }, /whole seconds/],
  ];
  for (const [wish, message] of wishes) assert.throws(() => tokenOf(wish), message);
  const rsa = generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  assert.throws(() => signerOf("r", rsa.privateKey), /no Ed25519 key/);
});

test("a refusal says why: 401 without a token, 403 with one", () => {
  assert.deepEqual(guardRefusal("missing"), { code: "TOKEN_MISSING" });
  assert.deepEqual(guardRefusal("expired"), { code: "TOKEN_REFUSED", data: { reason: "it has expired" } });
});

test("what a playlist names is opened by the token in the playlist's address, with any letters in the prefix", () => {
  const url = new URL(`https://${HOST}:8443/vidéo/film 7/master.m3u8?v=2`);
  const token = tokenOf({ prefix: "/vidéo/film%207/" });
  const { pathname } = new URL("../film%207/s/1.ts", signedUrl(url, token));
  assert.equal(verdict({ path: pathname }), "/vid%C3%A9o/film%207/s/1.ts?");
  const { pathname: path, search } = signedUrl(url, token, "query");
  assert.equal(verdict({ path, query: search.slice(1) }), "/vid%C3%A9o/film%207/master.m3u8?v=2");
  const media = signedUrl(new URL(`https://${HOST}/api/media/hls/7/a.m3u8`), token);
  assert.equal(media.pathname, `/api/media/~${token}/hls/7/a.m3u8`);
});

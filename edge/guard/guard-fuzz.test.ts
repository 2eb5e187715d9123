import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { Guard } from "./guard.ts";
import type { SigningKey } from "./keys.ts";
import { type Signer, signerOf, signToken } from "./sign.ts";

const NOW_SECONDS = 1_800_000_000;
const HOSTS = ["a.example", "b.example"] as const;
const PREFIXES = ["/", "/a", "/a/", "/a/b/", "/a~b/c", "/%C3%A9/"] as const;
const PATHS = ["/a", "/a/", "/ab", "/a/b", "/a/b/c.ts", "/a~b/c", "/a~b/c/d", "/a~b/cd", "/%C3%A9/x", "/x"] as const;
const ADDRESSES = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] as const;

const pair = generateKeyPairSync("ed25519");
const secret = (fill: number): string => Buffer.alloc(32, fill).toString("base64url");
const KEYS: readonly SigningKey[] = [
  { id: "h", algorithm: "HS256", secret: secret(1) },
  { id: "e", algorithm: "EdDSA", publicKey: pair.publicKey.export({ format: "jwk" }).x ?? assert.fail() },
];
const SIGNERS: readonly Signer[] = [
  signerOf("h", secret(1)),
  { keyId: "e", key: pair.privateKey },
  signerOf("h", secret(2)),
  signerOf("gone", secret(1)),
];

/** What a prefix means, said in another way than the code says it. */
const opens = (prefix: string, path: string): boolean =>
  prefix.endsWith("/") ? path.startsWith(prefix) : `${path}/`.startsWith(`${prefix}/`);

for (const seed of [101, 102]) {
  test(`a token opens what it says and nothing else, whatever is asked for (seed ${seed})`, () => {
    const { int } = seeded(seed);
    const one = <T>(all: readonly T[]): T => all[int(all.length)] ?? assert.fail();
    const guard = new Guard(KEYS, { rememberedMax: 50 });
    const counts = { ok: 0, refused: 0 };
    for (let round = 0; round < 3_000; round += 1) {
      const signer = int(4) === 0 ? one(SIGNERS) : one(SIGNERS.slice(0, 2));
      const isKnown = SIGNERS.indexOf(signer) < 2;
      const [host, asked] = [one(HOSTS), int(4) === 0 ? one(HOSTS) : undefined];
      const [prefix, path, address] = [one(PREFIXES), one(PATHS), one(ADDRESSES)];
      const bound = int(2) === 0 ? undefined : one(ADDRESSES);
      const [from, expires] = [NOW_SECONDS - 100 + int(200), NOW_SECONDS - 50 + int(500)];
      const wish = { host, prefix, expiresSeconds: expires, fromSeconds: from };
      const token = signToken(signer, bound === undefined ? wish : { ...wish, address: bound });
      const inPath = int(2) === 0;
      const verdict = guard.check({
        path: inPath ? `/~${token}${path}` : path,
        query: inPath ? "" : `token=${token}`,
        host: asked ?? host,
        address,
        nowMs: NOW_SECONDS * 1_000,
      });
      const isTimely = expires + 30 > NOW_SECONDS && from - 30 <= NOW_SECONDS;
      const isRightHost = asked === undefined || asked === host;
      const isRightViewer = bound === undefined || bound === address;
      const expected = isKnown && isTimely && isRightHost && isRightViewer && opens(prefix, path);
      assert.equal(verdict.ok, expected, `${token} ${path} ${JSON.stringify(verdict)}`);
      if (verdict.ok) assert.deepEqual(verdict, { ok: true, path, query: "" });
      counts[verdict.ok ? "ok" : "refused"] += 1;
    }
    assert.ok(counts.ok > 300 && counts.refused > 300, JSON.stringify(counts));
  });

  test(`no change of a token opens anything (seed ${seed})`, () => {
    const { int } = seeded(seed);
    const guard = new Guard(KEYS);
    const letters = "ABCXYZabcxyz0189-_.~%/";
    for (let round = 0; round < 4_000; round += 1) {
      const signer = SIGNERS[round % 2] ?? assert.fail();
      const token = signToken(signer, { host: "a.example", prefix: "/a/", expiresSeconds: NOW_SECONDS + 99 });
      const at = int(token.length);
      const letter = letters[int(letters.length)] ?? "";
      const changes = [
        token.slice(0, at) + letter + token.slice(at + 1),
        token.slice(0, at) + letter + token.slice(at),
        token.slice(0, at) + token.slice(at + 1),
        token.slice(0, at),
        token.slice(at) + token.slice(0, at),
      ];
      const changed = changes[int(changes.length)] ?? "";
      if (changed === token) continue;
      const ask = { host: "a.example", address: "192.0.2.1", nowMs: NOW_SECONDS * 1_000 };
      for (const request of [
        { path: `/~${changed}/a/b`, query: "" },
        { path: "/a/b", query: `token=${changed}` },
      ]) {
        const verdict = guard.check({ ...ask, ...request });
        assert.equal(verdict.ok, false, JSON.stringify(request));
      }
    }
  });

  test(`any text as a path or query is answered by name, never thrown at (seed ${seed})`, () => {
    const { int } = seeded(seed);
    const guard = new Guard(KEYS, { prefix: "/a" });
    const pieces = [
      "~",
      "/",
      "%7e",
      "%2f",
      "..",
      ".",
      "a",
      "token=",
      "&",
      "%",
      "%c3",
      "\xff",
      "\u20ac",
      ";",
      "//",
      "=",
      "h.1.0.-.Lw.",
    ];
    for (let round = 0; round < 20_000; round += 1) {
      const word = (): string => Array.from({ length: int(12) }, () => pieces[int(pieces.length)]).join("");
      const request = { path: `/${word()}`, query: word(), host: word(), address: word(), nowMs: NOW_SECONDS * 1_000 };
      const verdict = guard.check(request);
      if (!verdict.ok) continue;
      assert.ok(!/^\/a(?:\/|$)/.test(verdict.path), JSON.stringify(request));
      assert.ok(!/\/\.\.?(?:\/|$)|%2e|%2f|\\/i.test(verdict.path), JSON.stringify(request));
    }
  });
}

import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { test } from "node:test";
import type { MediaAdmission } from "../../contracts/playback.ts";
import {
  parseSessionToken,
  type SessionClaims,
  sessionSignedText,
  sessionTokenBody,
  uuidCode,
  uuidOf,
} from "../../domain/signed-url/session-token.ts";
import { isTokenShaped, parseToken } from "../../domain/signed-url/token.ts";
import { seeded } from "../../test/support/seeded.ts";
import { MediaGate } from "./media-gate.ts";
import { revocationBytes } from "./revocations.ts";
import { signViewer, viewerIn } from "./viewer-address.ts";

const NOW_SECONDS = 1_800_000_000;
const [known, unknown] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
const publicKey = known.publicKey.export({ format: "jwk" }).x ?? "";
const [tenantId, contentId, otherId] = [randomUUID(), randomUUID(), randomUUID()];
const admission: MediaAdmission = { tokenKeys: [{ keyId: "k", publicKey }] };

const claimsOf = (more: Partial<SessionClaims> = {}): SessionClaims => ({
  ...{ keyId: "k", expiresSeconds: NOW_SECONDS + 100, fromSeconds: NOW_SECONDS - 100, address: null },
  ...{ tenantId, contentId, sessionId: randomUUID(), maxHeight: null },
  ...more,
});
const tokenOf = (claims: SessionClaims, { privateKey } = known): string => {
  const body = sessionTokenBody(claims);
  return `${body}.${sign(null, Buffer.from(sessionSignedText(body)), privateKey).toString("base64url")}`;
};
const gateOf = () => {
  const gate = new MediaGate();
  gate.admit(admission);
  return gate;
};
const check = (gate: MediaGate, path: string, more: { query?: string; address?: string } = {}) =>
  gate.check({ path, query: "", address: "192.0.2.7", nowMs: NOW_SECONDS * 1_000, ...more });
const codeAt = (gate: MediaGate, path: string, more?: { query?: string; address?: string }): string => {
  const verdict = check(gate, path, more);
  return verdict.ok ? verdict.route.kind : verdict.refusal.code;
};

test("a session's token and what is signed of it are these texts, letter for letter", () => {
  const claims: SessionClaims = {
    ...{ keyId: "k-1_A", expiresSeconds: 1_800_000_000, fromSeconds: 1_700_000_000, address: "c0000207" },
    tenantId: "019a0000-0000-7000-8000-000000000001",
    contentId: "019a0000-0000-7000-8000-000000000002",
    sessionId: "ffffffff-ffff-ffff-ffff-ffffffffffff",
    maxHeight: null,
  };
  const ids = "AZoAAAAAcACAAAAAAAAAAQ.AZoAAAAAcACAAAAAAAAAAg._____________________w";
  const body = `k-1_A.1800000000.1700000000.c0000207.${ids}`;
  assert.equal(sessionTokenBody(claims), body);
  assert.equal(sessionSignedText(body), `castellan-url-2\n*\n${body}`);
  const signature = "A".repeat(86);
  assert.deepEqual(parseSessionToken(`${body}.${signature}`), { ...claims, body, signature });
  const bound = { ...claims, maxHeight: 720 };
  assert.equal(sessionTokenBody(bound), `${body}.h720`);
  assert.deepEqual(parseSessionToken(`${body}.h720.${signature}`), { ...bound, body: `${body}.h720`, signature });
  for (const height of ["h0", "h072", "h7", "h1234567", "720", "h"]) {
    assert.equal(parseSessionToken(`${body}.${height}.${signature}`), null, height);
  }
  assert.ok(isTokenShaped(`${body}.${signature}`));
  assert.ok(isTokenShaped(`${body}.h720.${signature}`));
  assert.equal(parseToken(`${body}.${signature}`), null, "a customer's site takes none of the platform's");
});

test("ids come back from their 22 characters", () => {
  for (let round = 0; round < 200; round += 1) {
    const id = randomUUID();
    assert.equal(uuidCode(id).length, 22);
    assert.equal(uuidOf(uuidCode(id)), id);
  }
});

test("one token opens HLS, DASH, keys, licences and pictures of its title, and a heartbeat", () => {
  const gate = gateOf();
  const token = tokenOf(claimsOf());
  const routes: [path: string, expected: unknown][] = [
    [`hls/${contentId}/a/b.m3u8`, { kind: "object", contentId, target: `/hls/${contentId}/a/b.m3u8`, isOpen: false }],
    [`dash/${contentId}/x.mpd`, { kind: "object", contentId, target: `/dash/${contentId}/x.mpd`, isOpen: false }],
    [`hls/${contentId}/key.12.bin`, { kind: "key", contentId, generation: 12 }],
    [`dash/${contentId}/clearkey`, { kind: "licence", contentId }],
    [`images/${contentId}/p.jpg`, { kind: "object", contentId, target: `/images/${contentId}/p.jpg`, isOpen: true }],
    ["heartbeat", { kind: "heartbeat" }],
  ];
  for (const [path, expected] of routes) {
    const verdict = check(gate, `/api/media/~${token}/${path}`);
    assert.ok(verdict.ok, path);
    assert.deepEqual(verdict.route, expected);
    assert.equal(verdict.path, `/api/media/${path}`);
  }
  const open = check(gate, `/api/media/hls/${contentId}/x.m3u8`);
  assert.ok(open.ok && open.route.kind === "object");
  assert.equal(open.route.target, `/public/hls/${contentId}/x.m3u8`);
  for (const path of ["heartbeat", `hls/${contentId}`, `hls/${contentId}/`, `HLS/${contentId}/x`, "hls/x/y", ""]) {
    assert.equal(codeAt(gate, `/api/media/${path}`), "NOT_FOUND", path);
  }
});

for (const seed of [11, 12]) {
  test(`a session's token opens what it says and nothing else (seed ${seed})`, () => {
    const { int } = seeded(seed);
    const ended = NOW_SECONDS - 50;
    const revoked = randomUUID();
    const gate = gateOf();
    const untilSeconds = NOW_SECONDS + 1_000;
    const entries = revocationBytes([
      { kind: "session", id: revoked, beforeSeconds: 0, untilSeconds },
      { kind: "title", id: otherId, beforeSeconds: ended, untilSeconds },
    ]);
    gate.revoke(entries, NOW_SECONDS * 1_000);
    let openCount = 0;
    for (let round = 0; round < 1_500; round += 1) {
      const [fromSeconds, expiresSeconds] = [NOW_SECONDS - 100 + int(140), NOW_SECONDS - 30 + int(200)];
      const title = int(3) === 0 ? otherId : contentId;
      const bound = [null, "c0000207", "c0000208"][int(3)] ?? null;
      const sessionId = int(5) === 0 ? revoked : randomUUID();
      const [isSigned, isKnown] = [int(6) > 0, int(6) > 0];
      const claims = claimsOf({ fromSeconds, expiresSeconds, contentId: title, address: bound, sessionId });
      const token = tokenOf({ ...claims, keyId: isKnown ? "k" : "gone" }, isSigned ? known : unknown);
      const asked = int(4) === 0 ? otherId : title;
      const verdict = check(gate, `/api/media/~${token}/hls/${asked}/x.m3u8`);
      const isTimely = expiresSeconds + 10 > NOW_SECONDS && fromSeconds - 10 <= NOW_SECONDS;
      const isAlive = sessionId !== revoked && (title !== otherId || fromSeconds >= ended);
      const expected = isSigned && isKnown && isTimely && isAlive && asked === title && bound !== "c0000208";
      assert.equal(verdict.ok, expected, `${token} ${JSON.stringify(verdict)}`);
      if (!verdict.ok) assert.equal(verdict.refusal.code, "TOKEN_REFUSED");
      else openCount += 1;
    }
    assert.ok(openCount > 200, String(openCount));
  });
}

test("a token with one letter changed, left out or put in opens nothing", () => {
  const gate = gateOf();
  const token = tokenOf(claimsOf());
  assert.equal(codeAt(gate, `/api/media/~${token}/heartbeat`), "heartbeat");
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === "A" ? "B" : "A";
    for (const changed of [other, "", `${token[at]}${token[at]}`]) {
      const text = token.slice(0, at) + changed + token.slice(at + 1);
      if (text === token) continue;
      assert.equal(codeAt(gate, `/api/media/~${text}/heartbeat`), "TOKEN_REFUSED", text);
    }
  }
});

test("no keys, no tokens: until it was told of them nobody's is believed, and public media goes on", () => {
  const gate = new MediaGate();
  assert.equal(codeAt(gate, `/api/media/~${tokenOf(claimsOf())}/heartbeat`), "STARTING");
  assert.equal(codeAt(gate, `/api/media/hls/${contentId}/x.m3u8`), "object");
});

test("a viewer's address is believed from who has the secret, and for a minute", () => {
  const secret = Buffer.alloc(32, 3).toString("base64url");
  const field = signViewer(secret, "2001:db8::7", 1_800_000_000_000);
  assert.equal(viewerIn(field, ["AAAA", secret], 1_800_000_030_000), "2001:db8::7");
  assert.equal(viewerIn(field, [secret], 1_800_000_061_000), undefined);
  assert.equal(viewerIn(field, ["AAAA"], 1_800_000_000_000), undefined);
  assert.equal(viewerIn(field.replace("::7", "::8"), [secret], 1_800_000_000_000), undefined);
  for (const bad of [undefined, "", "x", `${field}, ${field}`]) assert.equal(viewerIn(bad, [secret], 0), undefined);
});

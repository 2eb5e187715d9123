import assert from "node:assert/strict";
import test from "node:test";
import { algorithmsOf, hostKeysOf, isTrusted } from "./known-hosts.ts";

const [ONE, TWO] = [Buffer.from("one key"), Buffer.from("another key")];
const [one, two] = [ONE.toString("base64"), TWO.toString("base64")];

const trusts = (file: string, host = "media.example", port = 22): boolean =>
  isTrusted(hostKeysOf(file, host, port), ONE);

test("a key is trusted by the line that names its host, in whatever case, alone or among others", () => {
  assert.ok(trusts(`media.example ssh-ed25519 ${one}`));
  assert.ok(trusts(`# mine\n\nother,MEDIA.example,10.0.0.1\tssh-ed25519 ${one} a comment\r\n`));
  assert.ok(trusts(`media.example ssh-ed25519 ${two}\nmedia.example ssh-ed25519 ${one}\n`), "the second of two lines");
  assert.ok(!trusts(`media.example ssh-ed25519 ${two}`));
  assert.ok(!trusts(`#media.example ssh-ed25519 ${one}`));
  assert.ok(!trusts(`media.example.org ssh-ed25519 ${one}`));
  assert.ok(!trusts(`media.example ssh-ed25519`));
  assert.ok(!trusts(""));
});

test("another port than 22 is part of the name; where no line has it, those of the host count", () => {
  assert.ok(trusts(`[media.example]:2222 ssh-ed25519 ${one}`, "media.example", 2222));
  assert.ok(!trusts(`[media.example]:2222 ssh-ed25519 ${one}`));
  const host = `media.example ssh-ed25519 ${one}`;
  assert.ok(trusts(host, "media.example", 2222));
  assert.ok(!trusts(`${host}\n[media.example]:2222 ssh-ed25519 ${two}`, "media.example", 2222));
});

test("patterns match as they do for ssh, and an excluded name is not named", () => {
  assert.ok(trusts(`*.example ssh-ed25519 ${one}`));
  assert.ok(trusts(`medi?.example ssh-ed25519 ${one}`));
  assert.ok(!trusts(`*.example,!media.* ssh-ed25519 ${one}`));
  assert.ok(!trusts(`mediaxexample ssh-ed25519 ${one}`), "a dot is a dot");
});

test("a hashed name is found by its hash", () => {
  // Made by ssh-keygen -H of OpenSSH 9.2 from "[127.0.0.1]:2222".
  const line = `|1|1hBX+9rROEQNI+QZhvXHmDSz6/4=|BU7WAlqrVRKVrtkvQwPs31CkRKo= ssh-ed25519 ${one}`;
  assert.ok(trusts(line, "127.0.0.1", 2222));
  assert.ok(!trusts(line, "127.0.0.1", 2223));
});

test("a revoked key is refused though another line trusts it, and an authority's line trusts none", () => {
  assert.ok(!trusts(`media.example ssh-ed25519 ${one}\n@revoked * ssh-ed25519 ${one}`));
  assert.ok(!trusts(`@cert-authority *.example ssh-ed25519 ${one}`));
});

test("a server is asked for a key of the types that are known, RSA in its three ways", () => {
  const file = `m ssh-rsa ${one}\nm ssh-ed25519 ${two}\nm ssh-rsa ${two}\nother ecdsa-sha2-nistp256 ${one}`;
  assert.deepEqual(algorithmsOf(hostKeysOf(file, "m", 22)), ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa", "ssh-ed25519"]);
});

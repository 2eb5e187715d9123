import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Guard } from "./guard.ts";

const has = (program: string, version: string): boolean => spawnSync(program, [version]).status === 0;
const noPython = has("python3", "--version") ? false : "skipped: needs python3";
const noOpenssl = has("openssl", "version") ? false : "skipped: needs openssl";
const SCRIPT = join(import.meta.dirname, "..", "..", "tools", "edge", "token.py");

test("a token made by ten lines of Python opens what it says", { skip: noPython }, () => {
  const secret = Buffer.from(Array.from({ length: 33 }, (_, index) => 200 + index)).toString("base64url");
  const guard = new Guard([{ id: "py_1-x", algorithm: "HS256", secret }]);
  const made = (...more: string[]): string => {
    const args = [SCRIPT, secret, "py_1-x", "cdn.acme.example", "/vidéo/film-7/", "600", ...more];
    const { status, stdout, stderr } = spawnSync("python3", args, { timeout: 20_000, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout.trim();
  };
  const check = (token: string, address: string) =>
    guard.check({
      path: `/~${token}/vid%C3%A9o/film-7/a.ts`,
      query: "",
      host: "cdn.acme.example:8081",
      address,
      nowMs: Date.now(),
    });
  const opened = { ok: true, path: "/vid%C3%A9o/film-7/a.ts", query: "" };
  assert.deepEqual(check(made(), "192.0.2.7"), opened);
  assert.deepEqual(check(made("192.0.2.7"), "192.0.2.7"), opened);
  assert.deepEqual(check(made("192.0.2.7"), "192.0.2.8"), { ok: false, reason: "wrong-address" });
  assert.deepEqual(check(made("2001:db8:0:1::1"), "2001:db8:0:1:2::3"), opened);
});

test("a token signed by openssl with Ed25519 opens what it says", { skip: noOpenssl }, (t) => {
  const dir = mkdtempSync(join(tmpdir(), "guard-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { cwd: dir, timeout: 20_000, encoding: "utf8" });
    assert.equal(status, 0, stderr);
  };
  openssl("genpkey", "-algorithm", "ed25519", "-out", "key.pem");
  openssl("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem");
  const body = `o1.${Math.floor(Date.now() / 1_000) + 600}.0.-.${Buffer.from("/").toString("base64url")}`;
  writeFileSync(join(dir, "signed"), `castellan-url-1\ncdn.acme.example\n${body}`);
  openssl("pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "signed", "-out", "signature");
  const token = `${body}.${readFileSync(join(dir, "signature")).toString("base64url")}`;
  const publicKey = createPublicKey(readFileSync(join(dir, "public.pem"))).export({ format: "jwk" }).x ?? assert.fail();
  const guard = new Guard([{ id: "o1", algorithm: "EdDSA", publicKey }]);
  const request = {
    path: "/a.ts",
    query: `token=${token}`,
    host: "cdn.acme.example",
    address: "::1",
    nowMs: Date.now(),
  };
  assert.deepEqual(guard.check(request), { ok: true, path: "/a.ts", query: "" });
  assert.deepEqual(guard.check({ ...request, host: "b.example" }), { ok: false, reason: "bad-signature" });
});

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { encryptSegment } from "./segment-cipher.ts";

const skip = spawnSync("openssl", ["version"]).status === 0 ? false : "needs openssl";

test("openssl decrypts a segment, padding and all", { skip }, () => {
  const [key, iv] = [Buffer.alloc(16, 0x4b), Buffer.from("000102030405060708090a0b0c0d0e0f", "hex")];
  for (const packets of [1, 4, 1_000]) {
    const clear = Buffer.from(Uint8Array.from({ length: packets * 188 }, (_, index) => index % 251));
    const buffer = Buffer.concat([clear, Buffer.alloc(16)]);
    const input = buffer.subarray(0, encryptSegment({ key, iv }, buffer, { end: clear.length }));
    const args = ["enc", "-d", "-aes-128-cbc", "-K", key.toString("hex"), "-iv", iv.toString("hex")];
    const { status, stdout } = spawnSync("openssl", args, { input, maxBuffer: 2 ** 24, timeout: 10_000 });
    assert.equal(status, 0);
    assert.ok(stdout.equals(clear));
  }
});

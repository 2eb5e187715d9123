/** Statements about keys and listings. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ODD_NAMES } from "../source/suite-stage.ts";
import { at, type It, keysOf, LIMIT, read, text } from "./suite-stage.ts";

/** Keys whose order by UTF-8 bytes is none by words or by folders. */
const IN_ORDER = ["B", "a!", "a-b", "a/b!", "a/b/c", "a0", "ab", "é", "漢"];

export const keyStatements = (it: It): void => {
  it("keys may have any characters that names have", async ({ store }) => {
    const keys = [...ODD_NAMES.filter((name) => !name.includes("\\")), `${"deep/".repeat(50)}file`];
    for (const key of keys) {
      await store.put(at(key), text(key));
      await store.put(at(`b/${key}/${key}`), text(key));
    }
    for (const key of keys) {
      assert.equal((await read(store, key)).toString(), key);
      assert.equal((await read(store, `b/${key}/${key}`)).toString(), key);
    }
    const listed = await keysOf(store.list("segments"));
    assert.deepEqual(listed.sort(), [...keys, ...keys.map((key) => `b/${key}/${key}`)].sort());
    await store.delete("segments", listed);
    assert.deepEqual(await keysOf(store.list("segments")), []);
  });
  it("a part of a key may have 255 bytes", async ({ store }) => {
    for (const key of ["x".repeat(255), `a/${"é".repeat(127)}/b`]) {
      await store.put(at(key), text("long"));
      assert.equal((await read(store, key)).toString(), "long");
    }
  });
  it("what is no key is refused by everything", async ({ store, folder }) => {
    const refused = ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\0b", "a\nb", "\ud800"];
    refused.push("x".repeat(256), "y/".repeat(600));
    const code = { code: "PATH_REFUSED" };
    for (const key of refused) {
      await assert.rejects(async () => store.put(at(key), text("x")), code, JSON.stringify(key));
      await assert.rejects(async () => store.putFile(at(key), join(folder, "none")), code);
      await assert.rejects(async () => store.head(at(key)), code);
      await assert.rejects(async () => store.get(at(key)), code);
      await assert.rejects(async () => store.getBytes(at(key), LIMIT), code);
      await assert.rejects(async () => store.fetchTo(at(key), join(folder, "none")), code);
      const parts = [{ key, sizeBytes: 1, etag: '"x"' }];
      await assert.rejects(async () => store.compose({ bucket: "segments", parts }, at("x")), code);
      await assert.rejects(async () => store.compose({ bucket: "segments", parts: [] }, at(key)), code);
      await assert.rejects(async () => store.delete("segments", [key]), code);
      await assert.rejects(async () => store.input(at(key)), code);
    }
    for (const prefix of ["../", "/", "a/../", "a\\", "a\0"]) {
      await assert.rejects(keysOf(store.list("segments", { prefix })), code, JSON.stringify(prefix));
    }
    const bucket = "../segments" as "segments";
    await assert.rejects(async () => store.put({ bucket, key: "x" }, text("x")), code);
    assert.deepEqual(await keysOf(store.list("segments")), []);
  });
  it("a listing is in the order of the keys' UTF-8 bytes", async ({ store }) => {
    for (const key of [...IN_ORDER].reverse()) await store.put(at(key), text(key));
    const sorted = [...IN_ORDER].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    assert.deepEqual(await keysOf(store.list("segments")), sorted);
    for (const after of [...sorted, "a", "a/", "a/a", "a/b", "a/b/", "zz", "!"]) {
      const behind = sorted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
      assert.deepEqual(await keysOf(store.list("segments", { after })), behind, `after ${after}`);
    }
    for (const prefix of ["a", "a/", "a/b", "a/b/", "é", "none", "none/"]) {
      const own = sorted.filter((key) => key.startsWith(prefix));
      assert.deepEqual(await keysOf(store.list("segments", { prefix })), own, `prefix ${prefix}`);
      const later = own.slice(1);
      const from = own[0] ?? "";
      assert.deepEqual(await keysOf(store.list("segments", { prefix, after: from })), from === "" ? [] : later);
    }
    assert.deepEqual(await keysOf(store.list("thumbnails")), []);
  });
  it("a listing is in that order also where UTF-16 has another one", async ({ store }) => {
    for (const key of ["\u{1f600}", "\uffeex"]) await store.put(at(key), text(key));
    assert.deepEqual(await keysOf(store.list("segments")), ["\uffeex", "\u{1f600}"]);
    assert.deepEqual(await keysOf(store.list("segments", { after: "\uffeex" })), ["\u{1f600}"]);
  });
  it("a listing has no end, and so many are deleted at once", async ({ store }) => {
    const keys = Array.from({ length: 1_050 }, (_, index) => `many/${String(index).padStart(5, "0")}`);
    for (let from = 0; from < keys.length; from += 50) {
      await Promise.all(keys.slice(from, from + 50).map((key) => store.put(at(key), text("x"))));
    }
    assert.deepEqual(await keysOf(store.list("segments", { prefix: "many/" })), keys);
    await store.put(at("stays"), text("x"));
    await store.delete("segments", [...keys, "none", "none/below"]);
    assert.deepEqual(await keysOf(store.list("segments")), ["stays"]);
    await store.delete("segments", []);
    await store.delete("trailers", ["stays"]);
    assert.notEqual(await store.head(at("stays")), null);
  });
};

/** What a source's listings have to hold. */
import assert from "node:assert/strict";
import type { ContentSource, SourceEntry } from "./port.ts";
import type { Subject } from "./suite-place.ts";
import { bytesOf, type It, ODD_NAMES } from "./suite-stage.ts";

const FILES = 1_234; // S3 gives 1,000 a page

const listed = async (source: ContentSource, path: string): Promise<SourceEntry[]> => {
  const entries: SourceEntry[] = [];
  for await (const entry of source.list(path)) entries.push(entry);
  return entries;
};

export function listStatements(it: It, { capabilities }: Subject): void {
  if (!capabilities.list) {
    it("it has no listing, and says so", async ({ source }) => {
      await assert.rejects(listed(source, ""), { code: "SOURCE_FAILED" });
    });
    return;
  }

  it("a listing has the entries of its folder alone, in the order of their names", async ({ source, place }) => {
    const sizes = { "f/a/x": 1, "f/a.mp4": 2, "f/a0": 3, "f/B.mp4": 4, "f/\uffee": 5, "f/😀": 6, "f/b/c/d": 7, g: 8 };
    for (const [path, sizeBytes] of Object.entries(sizes)) await place.put(path, bytesOf(1, sizeBytes));
    const file = (path: keyof typeof sizes): SourceEntry => ({ path, kind: "file", sizeBytes: sizes[path] });
    const folder = (path: string): SourceEntry => ({ path, kind: "folder", sizeBytes: null });
    assert.deepEqual(await listed(source, "f"), [
      file("f/B.mp4"),
      file("f/a.mp4"),
      folder("f/a"),
      file("f/a0"),
      folder("f/b"),
      file("f/\uffee"),
      file("f/😀"),
    ]);
    assert.deepEqual(await listed(source, "f/b/c"), [file("f/b/c/d")]);
    assert.deepEqual(await listed(source, ""), [folder("f"), file("g")]);
  });

  it("odd names are listed as they are", async ({ source, place }) => {
    for (const name of ODD_NAMES) await place.put(`odd ü/${name}`, bytesOf(1, 3));
    const names = (await listed(source, "odd ü")).map(({ path }) => path.slice("odd ü/".length));
    assert.deepEqual(names.sort(), [...ODD_NAMES].sort());
  });

  it("a big folder is listed to its end, in order", async ({ source, place }) => {
    const names = Array.from({ length: FILES }, (_, n) => `n${String(n).padStart(5, "0")}`);
    for (let at = 0; at < names.length; at += 16) {
      await Promise.all(names.slice(at, at + 16).map((name) => place.put(`big/${name}`, bytesOf(1, 1))));
    }
    const found = await listed(source, "big");
    assert.deepEqual(
      found.map(({ path }) => path),
      names.map((name) => `big/${name}`),
    );
  });

  it("a listing that nobody reads to its end leaves nothing behind", async ({ source, place }) => {
    for (const name of ["a", "b", "c"]) await place.put(`f/${name}`, bytesOf(1, 1));
    for await (const { path } of source.list("f")) {
      assert.equal(path, "f/a");
      break;
    }
    assert.equal((await listed(source, "f")).length, 3);
  });

  it("a folder that is not there is not found, and neither is a file's listing", async ({ source, place }) => {
    await place.put("f/a", bytesOf(1, 1));
    for (const path of ["no", "f/no", "f/a", "f/a/b"]) {
      await assert.rejects(listed(source, path), { code: "SOURCE_NOT_FOUND" }, path);
    }
    for (const path of ["..", "f/../..", "/"]) await assert.rejects(listed(source, path), { code: "PATH_REFUSED" });
  });

  it("the root of a source that has nothing yet is an empty folder", async ({ source }) => {
    assert.deepEqual(await listed(source, ""), []);
  });
}

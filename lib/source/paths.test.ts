import assert from "node:assert/strict";
import test from "node:test";
import { belowRoot, checkedFolderPath, checkedSourcePath, inListOrder } from "./paths.ts";

const refusal = (path: string): string => {
  try {
    checkedSourcePath(path);
    return "taken";
  } catch (error) {
    const { code, data } = error as { code: string; data: { reason: string } };
    return `${code}: ${data.reason}`;
  }
};

test("a path of ordinary and of odd names is taken as it is", () => {
  const odd = ["a", "a/b/c.mp4", "a b", "é/漢字/😀.mp4", "50% + #1 & ?x=1", `"'`, "..a/b..", "...", "-rf", "a\\b", "~"];
  for (const path of [...odd, "n".repeat(255)]) assert.equal(checkedSourcePath(path), path);
});

test("a path that leaves its root, has an empty part or bytes that protocols trip over is refused with its reason", () => {
  const relative = "PATH_REFUSED: it has a relative part";
  for (const path of ["..", "../a", "a/../b", "a/..", ".", "a/./b"]) assert.equal(refusal(path), relative, path);
  for (const path of ["", "/", "/a", "a/", "a//b"]) {
    assert.equal(refusal(path), "PATH_REFUSED: a part of it is empty", path);
  }
  for (const character of ["\0", "\r", "\n", "\u001b", "\u007f", "\u0085"]) {
    assert.equal(refusal(`a${character}b`), "PATH_REFUSED: it has a control character");
  }
  assert.equal(refusal("a\ud800"), "PATH_REFUSED: it is not well-formed Unicode");
  assert.equal(refusal("é".repeat(128)), "PATH_REFUSED: a part of it is longer than 255 bytes");
  assert.equal(refusal(Array(200).fill("abcdef").join("/")), "PATH_REFUSED: it is longer than 1024 bytes");
});

test("the empty path is a folder: the root", () => {
  assert.equal(checkedFolderPath(""), "");
  assert.throws(() => checkedFolderPath("a/"), { code: "PATH_REFUSED" });
});

test("a path is put below a root that is absolute, relative, the login folder or the server's own root", () => {
  const cases = [
    ["/srv/media", "a/b", "/srv/media/a/b"],
    ["/srv/media/", "", "/srv/media"],
    ["media", "a", "media/a"],
    ["", "a", "a"],
    ["", "", ""],
    ["/", "a", "/a"],
    ["/", "", "/"],
  ] as const;
  for (const [root, path, at] of cases) assert.equal(belowRoot(root, path), at);
});

test("a listing is in the order of UTF-8 bytes, a folder as if its name ended in a slash", () => {
  const entry = (path: string, kind: "file" | "folder" = "file") => ({ path, kind });
  const mixed = [entry("😀"), entry("\uffee"), entry("a", "folder"), entry("a.mp4"), entry("a0"), entry("B")];
  assert.deepEqual(
    inListOrder(mixed).map(({ path }) => path),
    ["B", "a.mp4", "a", "a0", "\uffee", "😀"],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf, type ObjectKind, ownQueryOf, segmentNumberOf } from "./object-kind.ts";

test("a path tells what it names", () => {
  const cases: [path: string, kind: ObjectKind][] = [
    ["master.m3u8", "playlist"],
    ["v0/media.M3U8", "playlist"],
    ["manifest.mpd", "playlist"],
    ["v0/init.mp4", "init"],
    ["init-v0.mp4", "init"],
    ["v0/12.m4s", "segment"],
    ["chunk_1.ts", "segment"],
    ["subtitles/3.vtt", "segment"],
    ["time", "other"],
    ["v0/12.exe", "other"],
  ];
  for (const [path, kind] of cases) assert.equal(kindOf(path), kind, path);
  assert.equal(kindOf("v0/init.mp4", "v=0a1b"), "segment");
  assert.equal(kindOf("v0/init.mp4", "v=latest"), "init");
});

test("numbers are read from segments of ours only", () => {
  assert.equal(segmentNumberOf("v0/897632604.m4s"), 897_632_604);
  for (const path of ["v0/a12.m4s", "v0/12.ts", "v0/12.m4s/x", "v0/init.mp4"]) {
    assert.equal(segmentNumberOf(path), undefined, path);
  }
});

test("of a query only an init's hash is passed on", () => {
  assert.equal(ownQueryOf("v0/init.mp4", "v=0a1b"), "v=0a1b");
  for (const query of ["v=0A", "v=", "v=0a&w=1", "w=1", "", undefined]) {
    assert.equal(ownQueryOf("v0/init.mp4", query), undefined, query);
  }
  assert.equal(ownQueryOf("v0/1.m4s", "v=0a"), undefined);
});

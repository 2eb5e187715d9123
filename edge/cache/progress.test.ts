import assert from "node:assert/strict";
import { test } from "node:test";
import { Floors, LiveWindows } from "./progress.ts";

const media = (mediaSequence: number, lastNumber: number) => ({ kind: "media" as const, mediaSequence, lastNumber });

test("a playlist older than one that was shown is too old until nothing newer has come for six segments", () => {
  const floors = new Floors();
  assert.equal(floors.isTooOld("a", media(1, 5), 0), false);
  floors.shown("a", media(1, 5), { nowMs: 0, segmentMs: 2_000 });
  assert.equal(floors.isTooOld("a", media(1, 4), 11_999), true);
  assert.equal(floors.isTooOld("a", media(1, 5), 0), false);
  assert.equal(floors.isTooOld("b", media(1, 4), 0), false);
  assert.equal(floors.heldUntilMs("a"), 12_000);
  assert.equal(floors.isTooOld("a", media(1, 4), 12_000), false);
});

test("a segment is live when a playlist lists it or it comes next", () => {
  const windows = new LiveWindows();
  assert.equal(windows.isLive("a", 5), false);
  windows.listed("a", media(3, 7));
  assert.deepEqual(
    [2, 3, 7, 8, 9].map((number) => windows.isLive("a", number)),
    [false, true, true, true, false],
  );
  windows.delivered("a", 8);
  assert.equal(windows.isLive("a", 9), true);
  windows.delivered("a", 4);
  assert.equal(windows.isLive("a", 9), true);
});

test("where no playlist tells the numbers, what was delivered tells them", () => {
  const windows = new LiveWindows();
  windows.delivered("a", 100);
  windows.delivered("a", 200);
  assert.deepEqual(
    [100, 194, 195, 201, 202].map((number) => windows.isLive("a", number)),
    [false, false, true, true, false],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { familiesOf, type Origin, orderOf, pinnedLocation, pinOf, preferredFamily } from "./choice.ts";

const origin = (originId: number, kind: Origin["kind"] = "castellan"): Origin => ({
  originId,
  kind,
  base: `http://o${originId}/live/acme/one.stream`,
  authority: `http://o${originId}`,
  trusted: true,
  master: "master.m3u8",
});
const healthOf = (down: Record<string, number>) => ({
  isUp: (key: string) => !(key in down),
  dueAtMs: (key: string) => down[key] ?? 0,
});
const families = familiesOf([origin(1), origin(2), origin(3, "castis"), origin(4, "castis")]);

test("all of ours are one family, each castis node is its own", () => {
  assert.deepEqual(
    families.map(({ id, origins }) => [id, ...origins.map(({ originId }) => originId)]),
    [
      ["own", 1, 2],
      ["castis-3", 3],
      ["castis-4", 4],
    ],
  );
});

test("a castis node is chosen only when none of ours is up", () => {
  const chosen = (...down: string[]) =>
    preferredFamily(families, healthOf(Object.fromEntries(down.map((k) => [k, 1]))))?.id;
  assert.equal(chosen(), "own");
  assert.equal(chosen("http://o1"), "own");
  assert.equal(chosen("http://o1", origin(2).base), "castis-3");
  assert.equal(chosen("http://o1", "http://o2", "http://o3"), "castis-4");
  assert.equal(chosen("http://o1", "http://o2", "http://o3", "http://o4"), "own");
  assert.equal(preferredFamily([], healthOf({})), undefined);
});

test("origins that are up keep their order; of the others the one that rested longest comes first", () => {
  const family = { id: "own", kind: "castellan" as const, origins: [origin(1), origin(2), origin(3), origin(4)] };
  const { up, down } = orderOf(family, healthOf({ "http://o1": 900, [origin(3).base]: 300 }));
  assert.deepEqual(
    up.map(({ originId }) => originId),
    [2, 4],
  );
  assert.deepEqual(
    down.map(({ originId }) => originId),
    [3, 1],
  );
});

test("a pinned address leads from a path to the same path of one family, and back", () => {
  const resolved = (path: string) =>
    new URL(pinnedLocation(path, "castis-7"), `http://e/live/t/s/${path}`).pathname.slice("/live/t/s/".length);
  for (const path of ["master.m3u8", "v0/media.m3u8"]) {
    assert.deepEqual(pinOf(resolved(path)), { familyId: "castis-7", path });
  }
  for (const path of ["master.m3u8", "~own/master.m3u8", "~castis-7", "~castis-07/a", "x/~castis-7/a"]) {
    assert.equal(pinOf(path), undefined, path);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seeded } from "../../../test/support/seeded.ts";
import {
  type NumberedPurge,
  type Purge,
  type Purgeable,
  PurgeTable,
  type PurgeTarget,
  type Verdict,
} from "./purge-table.ts";

const tableOf = (purgesMax = 1_000): PurgeTable =>
  new PurgeTable({ purgesMax, epoch: 100, everything: { soft: 0, hard: 0 } });
const objectOf = (table: PurgeTable, fields: Partial<Purgeable> = {}): Purgeable => ({
  site: "acme/cdn",
  path: "/hls/a/1.m4s",
  key: "acme/cdn|/hls/a/1.m4s",
  tags: [],
  seq: table.epoch,
  checkedEpoch: 0,
  ...fields,
});
const site = "acme/cdn";

test("a soft purge makes what was stored before it stale, a hard one makes it gone; what comes later is valid", () => {
  const table = tableOf();
  const before = objectOf(table, { tags: ["x", "title-1"] });
  assert.equal(table.verdict(before), "valid");
  table.add({ site, target: { kind: "tag", tag: "title-1" }, mode: "soft" });
  assert.equal(table.verdict(before), "stale");
  assert.equal(table.verdict(objectOf(table, { tags: ["title-1"] })), "valid");
  assert.equal(table.verdict(objectOf(table, { tags: ["title-2"], seq: 100 })), "valid");
  table.add({ site, target: { kind: "tag", tag: "title-1" }, mode: "hard" });
  assert.equal(table.verdict(before), "gone");
  table.add({ site, target: { kind: "tag", tag: "title-1" }, mode: "soft" });
  assert.equal(table.verdict(before), "gone", "a soft purge takes nothing back");
});

test("an object that was validated after a soft purge is valid again", () => {
  const table = tableOf();
  const before = objectOf(table);
  table.add({ site, target: { kind: "site" }, mode: "soft" });
  assert.equal(table.verdict(before), "stale");
  assert.equal(table.verdict({ ...before, seq: table.epoch }), "valid");
});

test("prefixes end at the borders of segments, unless a star says otherwise", () => {
  const cases: [prefix: string, purged: string[], kept: string[]][] = [
    ["/a", ["/a", "/a/", "/a/b", "/a/b/c"], ["/ab", "/", "/b/a", "/A"]],
    ["/a/", ["/a/", "/a/b"], ["/a", "/ab"]],
    ["/a*", ["/a", "/ab", "/a/b"], ["/", "/b", "/ba"]],
    ["/a/b*", ["/a/b", "/a/bc/d"], ["/a", "/a/", "/a/c"]],
    ["/", ["/", "/a", "/a/b"], []],
    ["/*", ["/", "/a"], []],
  ];
  for (const [prefix, purged, kept] of cases) {
    const table = tableOf();
    const objects = [...purged, ...kept].map((path) => objectOf(table, { path }));
    table.add({ site, target: { kind: "prefix", prefix }, mode: "hard" });
    assert.deepEqual(
      objects.map((object) => table.verdict(object)),
      [...purged.map(() => "gone"), ...kept.map(() => "valid")],
      prefix,
    );
  }
});

test("an exact key and a whole site", () => {
  const table = tableOf();
  const [one, two, other] = [objectOf(table), objectOf(table, { key: "k2" }), objectOf(table, { site: "acme/other" })];
  table.add({ site, target: { kind: "key", key: "k2" }, mode: "hard" });
  assert.deepEqual(
    [one, two, other].map((object) => table.verdict(object)),
    ["valid", "gone", "valid"],
  );
  table.add({ site, target: { kind: "site" }, mode: "hard" });
  assert.deepEqual(
    [one, two, other].map((object) => table.verdict(object)),
    ["gone", "gone", "valid"],
  );
});

test("an object is checked once after a purge: its tags are looked at, then no more", () => {
  const table = tableOf();
  let looks = 0;
  const object = {
    ...objectOf(table),
    get tags(): string[] {
      looks += 1;
      return ["a"];
    },
  };
  table.add({ site, target: { kind: "tag", tag: "b" }, mode: "hard" });
  for (let n = 0; n < 5; n += 1) assert.equal(table.verdict(object), "valid");
  assert.equal(looks, 1);
  table.add({ site: "another", target: { kind: "site" }, mode: "hard" });
  for (let n = 0; n < 5; n += 1) assert.equal(table.verdict(object), "valid");
  assert.equal(looks, 2);
});

const NAMES = ["a", "b", "a|b", "a/b", "", '"', "a*", "\\"];
const pick = (random: Random, of: readonly string[]): string => of[random.int(of.length)] ?? "";
const someTarget = (random: Random): PurgeTarget => {
  const name = pick(random, NAMES);
  const kind = random.int(4);
  if (kind === 0) return { kind: "tag", tag: name };
  if (kind === 1) return { kind: "key", key: name };
  if (kind === 2) return { kind: "prefix", prefix: `/${name}` };
  return { kind: "site" };
};

/** The rule as one would say it. */
const concerns = ({ site: of, target }: Purge, object: Purgeable): boolean => {
  if (of !== object.site) return false;
  if (target.kind === "tag") return object.tags.includes(target.tag);
  if (target.kind === "key") return object.key === target.key;
  if (target.kind === "site") return true;
  const { prefix } = target;
  if (prefix.endsWith("*")) return object.path.startsWith(prefix.slice(0, -1));
  return object.path === prefix || object.path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
};
const expected = (purges: readonly NumberedPurge[], object: Purgeable): Verdict => {
  const modes = purges.filter((purge) => purge.seq > object.seq && concerns(purge, object)).map(({ mode }) => mode);
  return modes.includes("hard") ? "gone" : modes.includes("soft") ? "stale" : "valid";
};
const RANK = { valid: 0, stale: 1, gone: 2 };

for (const purgesMax of [1_000, 5]) {
  const what = purgesMax > 100 ? "exactly what was asked for is purged" : "beyond the limit more is purged, never less";
  test(`${what}, and nothing of another site (200 seeds)`, () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const random = seeded(seed);
      const table = tableOf(purgesMax);
      const purges: NumberedPurge[] = [];
      const objects: Purgeable[] = [];
      for (let n = 0; n < 60; n += 1) {
        const tags = Array.from({ length: random.int(4) }, () => pick(random, NAMES));
        const path = `/${pick(random, NAMES)}${random.int(2) === 0 ? "/x" : ""}`;
        objects.push(objectOf(table, { site: pick(random, NAMES), key: pick(random, NAMES), path, tags }));
        if (random.int(2) === 0) {
          const mode = random.int(2) === 0 ? "soft" : "hard";
          purges.push(table.add({ site: pick(random, NAMES.slice(0, 3)), target: someTarget(random), mode }));
        }
        assert.ok(table.purgeCount <= purgesMax);
        for (const object of objects) {
          const [verdict, least] = [table.verdict(object), expected(purges, object)];
          if (purgesMax > 100) assert.equal(verdict, least, `seed ${seed}`);
          else assert.ok(RANK[verdict] >= RANK[least], `seed ${seed}`);
        }
      }
    }
  });
}

test("a fold concerns the site of the oldest purge, and what was stored after it stays", () => {
  const table = tableOf(3);
  const [old, elsewhere] = [objectOf(table), objectOf(table, { site: "other" })];
  table.add({ site, target: { kind: "tag", tag: "first" }, mode: "soft" });
  const later = objectOf(table);
  for (const tag of ["b", "c", "d"]) table.add({ site: "third", target: { kind: "tag", tag }, mode: "hard" });
  assert.deepEqual(
    [old, later, elsewhere].map((object) => table.verdict(object)),
    ["stale", "valid", "valid"],
  );
});

test("more lengths of starred prefixes than a check may cost are folded into their site", () => {
  const table = tableOf();
  const object = objectOf(table, { path: "/zzz" });
  for (let length = 1; length <= 32; length += 1) {
    table.add({ site, target: { kind: "prefix", prefix: `/${"a".repeat(length)}*` }, mode: "soft" });
  }
  assert.equal(table.verdict(object), "valid");
  table.add({ site, target: { kind: "prefix", prefix: `/${"a".repeat(33)}*` }, mode: "soft" });
  assert.equal(table.verdict(object), "stale");
});

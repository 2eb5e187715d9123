import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { quietLog } from "../../../lib/log/log.ts";
import { seeded } from "../../../test/support/seeded.ts";
import { type FileLayer, systemFiles } from "../disk/files.ts";
import { type Hooks, hookedFiles } from "../disk/hooked-files.fixture.ts";
import { MemoryFiles } from "../disk/memory-files.fixture.ts";
import type { Purge, Purgeable } from "./purge-table.ts";
import { Purges } from "./purges.ts";

const JOURNAL = "/purges/purges.journal";
/** Each start is an hour later, unless told otherwise. */
let clockMs = 1_700_000_000_000;
const openPurges = (files: FileLayer, options: { folder?: string; purgesMax?: number; nowMs?: number } = {}) => {
  const { folder = "/purges", purgesMax = 1_000, nowMs = clockMs } = options;
  clockMs += 3_600_000;
  return Purges.open({ folder, files, log: quietLog, clock: { nowMs: () => nowMs }, purgesMax });
};
const objectOf = (purges: Purges, tag: string): Purgeable => ({
  site: "s",
  path: "/a",
  key: "k",
  tags: [tag],
  seq: purges.seq,
  checkedEpoch: 0,
});
/** As it comes from the disk. */
const stored = (object: Purgeable): Purgeable => ({ ...object, checkedEpoch: 0 });
const tagged = (tag: string, mode: Purge["mode"] = "hard"): Purge => ({
  site: "s",
  target: { kind: "tag", tag },
  mode,
});
const memory = (): MemoryFiles => new MemoryFiles(seeded(1));

test("purges and the numbers of objects survive restarts, on real files", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "castellan-purges-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const first = await openPurges(systemFiles, { folder });
  const [a, b, c] = [objectOf(first, "a"), objectOf(first, "b"), objectOf(first, "c")];
  await first.purge(tagged("a"));
  await first.purge(tagged("b", "soft"));
  const later = objectOf(first, "a");
  await first.close();
  let seq = later.seq;
  for (let start = 0; start < 3; start += 1) {
    const again = await openPurges(systemFiles, { folder, nowMs: 0 }); // a clock that was set back
    const verdicts = [a, b, c, later].map((object) => again.verdict(stored(object)));
    assert.deepEqual(verdicts, ["gone", "stale", "valid", "valid"]);
    assert.ok(again.seq > seq, "numbers grow from start to start");
    seq = again.seq;
    await again.close();
  }
});

test("a purge is acknowledged once it is synced, and many at once are synced together", async () => {
  const files = memory();
  const hooks: Hooks = {};
  const purges = await openPurges(hookedFiles(files, hooks));
  let syncCount = 0;
  hooks.before = (operation) => {
    if (operation === "sync") syncCount += 1;
  };
  const object = objectOf(purges, "t7");
  const all = Array.from({ length: 500 }, (_, n) => purges.purge(tagged(`t${n}`)));
  assert.equal(purges.verdict(object), "gone", "it counts at once");
  await Promise.all(all);
  assert.ok(syncCount <= 3, `${syncCount} syncs`);
  const again = await openPurges(files.afterPowerLoss({ forgets: "all" }));
  assert.equal(again.verdict(stored(object)), "gone");
});

test("after a power loss at any moment no acknowledged purge is lost", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const random = seeded(seed);
  let files = new MemoryFiles(random);
  let acknowledged: Purgeable[] = [];
  for (let life = 0; life < 60; life += 1) {
    let purges: Purges | undefined;
    files.powerLossAt = files.operationCount + 1 + random.int(60);
    try {
      purges = await openPurges(files);
      for (let n = 0; n < 40; n += 1) {
        const objects = [objectOf(purges, `t${random.int(50)}`), objectOf(purges, `t${random.int(50)}`)];
        await Promise.all(objects.map(({ tags }) => purges?.purge(tagged(tags[0] ?? ""))));
        acknowledged.push(...objects);
        acknowledged = acknowledged.slice(-30);
      }
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EIO", String(error));
    }
    const last = purges && objectOf(purges, "last");
    await purges?.close().catch(() => {});
    files = files.afterPowerLoss({ forgets: random.int(2) === 0 ? "all" : "some" });
    const again = await openPurges(files);
    for (const object of acknowledged) assert.equal(again.verdict(stored(object)), "gone", `life ${life}`);
    if (last) {
      await again.purge(tagged("last"));
      assert.equal(again.verdict(stored(last)), "gone", "its number is older than any new purge's");
    }
    await again.close();
  }
});

test("without a journal all that was stored before is gone", async () => {
  const before = await openPurges(memory());
  const object = objectOf(before, "a");
  const after = await openPurges(memory());
  assert.equal(after.verdict(stored(object)), "gone");
  assert.equal(after.verdict(objectOf(after, "a")), "valid");
});

test("a journal damaged at its end makes all stale once, damaged before it makes all gone", async () => {
  for (const [at, verdict] of [
    ["end", "stale"],
    ["middle", "gone"],
    ["start", "gone"],
  ] as const) {
    const files = memory();
    const purges = await openPurges(files);
    const object = objectOf(purges, "untouched");
    await purges.purge(tagged("a"));
    await purges.purge(tagged("b"));
    const content = files.contentOf(JOURNAL);
    const byte = { start: 3, middle: content.indexOf('"a"') + 1, end: content.length - 2 }[at];
    content.writeUInt8(content.readUInt8(byte) ^ 1, byte);
    await purges.close();
    const again = await openPurges(files);
    assert.equal(again.verdict(stored(object)), verdict, at);
    assert.equal(again.verdict(objectOf(again, "a")), "valid", "what is stored from now on");
    await again.close();
    assert.equal((await openPurges(files)).verdict(stored(object)), verdict, "also at the next start");
  }
});

test("a purge that can't be kept is refused, counts all the same, and is kept with the next one", async () => {
  const files = memory();
  const hooks: Hooks = {};
  const purges = await openPurges(hookedFiles(files, hooks));
  const object = objectOf(purges, "a");
  for (const operation of ["write", "sync"] as const) {
    hooks.before = (asked) => {
      if (asked === operation) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    };
    await assert.rejects(purges.purge(tagged("a")), { code: "ENOSPC" });
    assert.equal(purges.verdict(object), "gone");
  }
  delete hooks.before;
  await purges.purge(tagged("b"));
  const again = await openPurges(files.afterPowerLoss({ forgets: "all" }));
  assert.equal(again.verdict(stored(object)), "gone");
});

test("the journal is written anew when it has grown, and stays bounded", async () => {
  const files = memory();
  const purges = await openPurges(files, { purgesMax: 10 });
  const object = objectOf(purges, "t0");
  const long = "x".repeat(8_000);
  let mostBytes = 0;
  for (let n = 0; n < 60; n += 1) {
    await Promise.all(Array.from({ length: 50 }, (_, k) => purges.purge(tagged(`${long}${k}`))));
    mostBytes = Math.max(mostBytes, files.contentOf(JOURNAL).length);
  }
  assert.ok(mostBytes < 5 * 2 ** 20, `${mostBytes} bytes`);
  assert.equal(purges.purgeCount, 10);
  assert.equal(purges.verdict(object), "gone", "folded");
  await purges.close();
  assert.equal((await openPurges(files)).verdict(stored(object)), "gone");
});

test("what is no target is refused with the reason", async () => {
  const purges = await openPurges(memory());
  const cases: [Purge["target"], RegExp][] = [
    [{ kind: "tag", tag: "" }, /a tag to purge is empty/],
    [{ kind: "key", key: "x".repeat(8_193) }, /longer than 8192/],
    [{ kind: "prefix", prefix: "a/b" }, /begins with a slash/],
  ];
  for (const [target, message] of cases) {
    await assert.rejects(purges.purge({ site: "s", target, mode: "hard" }), { name: "RangeError", message });
  }
  await purges.close();
  await assert.rejects(purges.purge(tagged("a")), /closed/);
});

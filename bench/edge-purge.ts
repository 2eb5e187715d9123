/**
 * Purging: how soon the purge of a tag that 100,000 of a million objects carry is acknowledged (synced), and what the
 * check of a hit costs before, right after, and from then on.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemFiles } from "../edge/cache/disk/files.ts";
import type { Purgeable } from "../edge/cache/purges/purge-table.ts";
import { Purges } from "../edge/cache/purges/purges.ts";
import { systemClock } from "../lib/clock.ts";
import { quietLog } from "../lib/log/log.ts";
import { median, quantile, type Row, report } from "./report.ts";

const OBJECTS = 1_000_000;
const TAGGED_EVERY = 10;
const PURGES = 200;
const HITS = 2_000_000;
/** Those that are hit: what else is stored is not touched by a purge. */
const HOT = 20_000;
const SITES = 100;

/** As it comes from a socket or a disk: one flat string, not the tree that a template literal leaves. */
const flat = (text: string): string => Buffer.from(text).toString("latin1");

const objectsOf = (seq: number): Purgeable[] =>
  Array.from({ length: OBJECTS }, (_, n) => ({
    site: flat(`customer-${n % SITES}/cdn`),
    path: flat(`/hls/title-${n % 3_000}/v${n % 4}/segment-${n}.m4s`),
    key: flat(`customer-${n % SITES}/cdn|/hls/title-${n % 3_000}/v${n % 4}/segment-${n}.m4s`),
    tags: [n % TAGGED_EVERY === 0 ? "tagged" : "other", flat(`title-${n % 3_000}`), flat(`rendition-${n % 4}`)],
    seq,
    checkedEpoch: 0,
  }));

/** Nanoseconds of CPU of a check, in an order that no cache of the processor foresees. */
const checkNs = (purges: Purges, objects: readonly Purgeable[], hits: number): number => {
  let goneCount = 0;
  const cpu = process.threadCpuUsage();
  for (let n = 0, at = 0; n < hits; n += 1, at = (at + 7_919) % HOT) {
    const object = objects[at];
    if (object && purges.verdict(object) === "gone") goneCount += 1;
  }
  const { user, system } = process.threadCpuUsage(cpu);
  if (goneCount > hits) throw new Error("more is gone than there was");
  return ((user + system) * 1e3) / hits;
};

const main = async (folder: string): Promise<Row[]> => {
  const purges = await Purges.open({ folder, files: systemFiles, log: quietLog, clock: systemClock });
  // Other purges, so that look-ups have something to look through.
  const others = Array.from({ length: 1_000 }, (_, n) => {
    const site = `customer-${n % SITES}/cdn`;
    const target = n % 2 ? { kind: "tag" as const, tag: `old-${n}` } : { kind: "prefix" as const, prefix: `/old/${n}` };
    return purges.purge({ site, target, mode: "hard" });
  });
  await Promise.all(others);
  const objects = objectsOf(purges.seq);
  checkNs(purges, objects, HOT); // each is checked once, as a hit soon after the start does
  const before = checkNs(purges, objects, HITS);
  const acknowledgedMs: number[] = [];
  const firstNs: number[] = [];
  for (let n = 0; n < PURGES; n += 1) {
    const startedAt = performance.now();
    await purges.purge({ site: `customer-${n % SITES}/cdn`, target: { kind: "tag", tag: "tagged" }, mode: "hard" });
    acknowledgedMs.push(performance.now() - startedAt);
    if (n % 10 === 0) firstNs.push(checkNs(purges, objects, HOT));
  }
  const goneCount = objects.filter((object) => purges.verdict(object) === "gone").length;
  if (goneCount !== OBJECTS / TAGGED_EVERY) throw new Error(`${goneCount} objects are gone`);
  const after = checkNs(purges, objects, HITS);
  await purges.close();
  const p99 = quantile(acknowledgedMs, 0.99).toFixed(1);
  return [
    {
      what: `purge of a tag, ${goneCount} objects, acknowledged`,
      value: `${median(acknowledgedMs).toFixed(1)} ms, p99 ${p99}`,
      goal: "< 50 ms",
    },
    { what: "check of a hit, nothing purged since the last", value: `${before.toFixed(0)} ns`, goal: "< 1,000 ns" },
    {
      what: "first check after a purge, 3 tags, 6 segments of path",
      value: `${median(firstNs).toFixed(0)} ns`,
      goal: "< 1,000 ns",
    },
    { what: "later checks, a tenth of them of purged objects", value: `${after.toFixed(0)} ns`, goal: "< 1,000 ns" },
  ];
};

const folder = mkdtempSync(path.join(tmpdir(), "castellan-bench-purge-"));
try {
  report("Purges of the edge", await main(folder));
} finally {
  rmSync(folder, { recursive: true });
}

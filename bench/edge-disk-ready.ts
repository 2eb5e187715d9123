/**
 * The disk tier alone: how soon a store with a million objects is ready, what one costs in memory, and the CPU of
 * reading 1.5 MB objects from the page cache, against plain reads of the same bytes.
 */
import { mkdtempSync, openSync, read, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { blockSum } from "../edge/cache/disk/block-sum.ts";
import { DiskStore } from "../edge/cache/disk/disk-store.ts";
import { systemFiles } from "../edge/cache/disk/files.ts";
import { quietLog } from "../lib/log/log.ts";
import { median, type Row, report } from "./report.ts";

const MiB = 1024 * 1024;
const GB = 1e9;
const OBJECTS = 1_000_000;
const OPENINGS = 5;
const LARGE_BYTES = 1_500_000;
const LARGE_COUNT = 120;
const READ_MS = 3_000;
const READERS = 8;
const CHUNK_BYTES = MiB;

const storeIn = (folder: string, maxBytes: number): Promise<DiskStore> =>
  DiskStore.open({
    folder,
    maxBytes,
    objectBytesMax: 64 * MiB,
    files: systemFiles,
    log: quietLog,
    nowMs: () => performance.now(),
  });

const keyOf = (n: number): string => `acme|cdn.acme.example|/hls/title-${n % 3_000}/v${n % 4}/segment-${n}.m4s`;

/** Puts objects side by side, waiting now and then: the queue is bounded. */
const fill = async (store: DiskStore, count: number, body: Buffer): Promise<void> => {
  const meta = Buffer.from(JSON.stringify({ status: 200, fields: [["content-type", "video/mp4"]] }));
  for (let n = 0; n < count; ) {
    const batch = Array.from({ length: Math.min(16, count - n) }, (_, k) => store.put(keyOf(n + k), meta, [body]));
    n += batch.length;
    if ((await Promise.all(batch)).includes(false)) throw new Error("the store refused an object");
  }
};

const readyRows = async (folder: string): Promise<Row[]> => {
  const made = await storeIn(folder, 2_000 * MiB);
  await fill(made, OBJECTS, Buffer.alloc(200, 1));
  await made.close();
  const tookMs: number[] = [];
  let memoryBytes = 0;
  for (let n = 0; n < OPENINGS; n += 1) {
    const before = process.memoryUsage();
    const startedAt = performance.now();
    const store = await storeIn(folder, 2_000 * MiB);
    tookMs.push(performance.now() - startedAt);
    if (store.objectCount !== OBJECTS) throw new Error(`${store.objectCount} objects came back`);
    if (!(await store.open(keyOf(OBJECTS - 1)))) throw new Error("an object can't be opened");
    const after = process.memoryUsage();
    if (n === 0) memoryBytes = after.rss - before.rss;
    await store.close();
  }
  return [
    { what: `ready with ${OBJECTS} objects`, value: `${Math.round(median(tookMs))} ms`, goal: "< 2,000 ms" },
    { what: "memory for them, what the start read included", value: `${Math.round(memoryBytes / MiB)} MiB` },
  ];
};

interface Cost {
  readonly cpuSecondsPerGb: number;
  readonly gbPerSecond: number;
}

/** What it costs this process to have `readObject` read objects for a while, some at once. */
const costOf = async (readObject: (n: number, target: Buffer) => Promise<void>): Promise<Cost> => {
  const targets = Array.from({ length: READERS }, () => Buffer.allocUnsafeSlow(LARGE_BYTES));
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  let count = 0;
  const reader = async (target: Buffer): Promise<void> => {
    while (performance.now() - startedAt < READ_MS) {
      count += 1;
      await readObject(count % LARGE_COUNT, target);
    }
  };
  await Promise.all(targets.map(reader));
  const { user, system } = process.cpuUsage(cpu);
  const gigabytes = (count * LARGE_BYTES) / GB;
  return {
    cpuSecondsPerGb: (user + system) / 1e6 / gigabytes,
    gbPerSecond: (gigabytes * 1_000) / (performance.now() - startedAt),
  };
};

const readFromStore = (store: DiskStore) => async (n: number, target: Buffer) => {
  const object = await store.open(keyOf(n));
  if (!object) throw new Error("an object is missing");
  for (let at = 0; at < object.sizeBytes; at += CHUNK_BYTES) {
    await object.read(at, target.subarray(at, Math.min(at + CHUNK_BYTES, object.sizeBytes)));
  }
  object.close();
};

/** The same bytes by fs.read alone, 1 MiB at once, nothing verified. */
const readPlainly = (file: string) => {
  const fd = openSync(file, "r");
  return async (n: number, target: Buffer) => {
    for (let at = 0; at < LARGE_BYTES; at += CHUNK_BYTES) {
      const bytes = Math.min(CHUNK_BYTES, LARGE_BYTES - at);
      await new Promise<void>((resolve, reject) => {
        read(fd, target, at, bytes, n * LARGE_BYTES + at, (error) => (error ? reject(error) : resolve()));
      });
    }
  };
};

const readRows = async (folder: string): Promise<Row[]> => {
  const store = await storeIn(folder, 18_000 * MiB);
  await fill(store, LARGE_COUNT, Buffer.from(Array.from({ length: LARGE_BYTES }, (_, n) => n % 251)));
  await store.flush();
  const plain = readPlainly(path.join(folder, "slab-0000000001.data"));
  const costs: { ours: Cost; plain: Cost }[] = [];
  for (let round = 0; round < 3; round += 1) {
    costs.push({ plain: await costOf(plain), ours: await costOf(readFromStore(store)) });
  }
  await store.close();
  const cpu = (side: "ours" | "plain") => median(costs.map((cost) => cost[side].cpuSecondsPerGb));
  const block = Buffer.alloc(256 * 1024, 3);
  const startedAt = performance.now();
  for (let n = 0; n < 8_000; n += 1) blockSum(block);
  const sumGbPerSecond = (8_000 * block.length) / GB / ((performance.now() - startedAt) / 1_000);
  return [
    {
      what: `1.5 MB objects from the page cache, ${READERS} at once, opened and verified`,
      value: `${cpu("ours").toFixed(3)} CPU s/GB, ${median(costs.map(({ ours }) => ours.gbPerSecond)).toFixed(1)} GB/s`,
      against: `plain fs.read ${cpu("plain").toFixed(3)} CPU s/GB`,
      goal: "with the sockets ≤ 0.34",
    },
    { what: "checksum of 256 KiB blocks", value: `${sumGbPerSecond.toFixed(1)} GB/s` },
  ];
};

const folders = ["ready", "read"].map((name) => mkdtempSync(path.join(tmpdir(), `castellan-bench-${name}-`)));
try {
  const [ready = "", large = ""] = folders;
  report("The edge's disk tier", [...(await readyRows(ready)), ...(await readRows(large))]);
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true });
}

/** A process that fills and empties both caches of a folder until it is killed: `node … FOLDER MODE SEED`. */
import { join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { seeded } from "../../test/support/seeded.ts";
import { CacheIndex } from "./cache-index.store.ts";
import { contentOf, MiB } from "./caches.fixture.ts";
import { FakeSource } from "./fake-source.fixture.ts";
import { openInputCache } from "./input-cache.ts";
import { openSegmentCache } from "./segment-cache.ts";

export const FILE_COUNT = 8;
export const SEGMENT_COUNT = 40;
export const INPUT_BYTES_MAX = 12 * MiB;
export const SEGMENT_BYTES_MAX = 6 * MiB;
const WORKERS = 3;

/** The same content for the same file in every life. */
export const fileBytes = (file: number): Buffer =>
  contentOf(file, Math.floor(((file + 1) * 5 * MiB) / FILE_COUNT) + file);
export const segmentBytes = (segment: number): Buffer => contentOf(1000 + segment, 10_000 + segment * 9_000);
export const segmentOf = (segment: number) => ({
  path: `f${segment % FILE_COUNT}`,
  version: "1",
  leaf: `segment${segment}.ts`,
});

/** Both caches over a folder, and the source behind one. */
export const openBoth = async (root: string, mode: "whole" | "ranges") => {
  const source = new FakeSource();
  for (let file = 0; file < FILE_COUNT; file += 1) source.put(`f${file}`, fileBytes(file));
  const index = new CacheIndex({ file: join(root, "cacheDB.db"), clock: systemClock, log: quietLog, flushMs: 20 });
  const common = { index, limitPercent: 85, ageMs: 3_600_000, clock: systemClock, log: quietLog };
  const inputs = { ...common, source, mode, dir: join(root, "input"), maxBytes: INPUT_BYTES_MAX, freshMs: 0 };
  const segments = { ...common, dir: join(root, "segments"), maxBytes: SEGMENT_BYTES_MAX };
  return { index, source, input: await openInputCache(inputs), segments: await openSegmentCache(segments) };
};

const work = async (root: string, mode: "whole" | "ranges", seed: number): Promise<void> => {
  const { int } = seeded(seed);
  const { input, segments } = await openBoth(root, mode);
  const step = async (): Promise<void> => {
    const choice = int(10);
    if (choice < 5) {
      const object = await input.open(`f${int(FILE_COUNT)}`);
      const offset = int(object.stat.sizeBytes);
      const target = Buffer.alloc(Math.min(2 * MiB, object.stat.sizeBytes - offset));
      await object.readRange(offset, target).finally(() => object.close());
    } else if (choice < 9) {
      const segment = int(SEGMENT_COUNT);
      if (!(await segments.get(segmentOf(segment)))) await segments.put(segmentOf(segment), segmentBytes(segment));
    } else {
      input.store.purge(({ path }) => path === `f${int(FILE_COUNT)}`);
      await segments.store.clean();
    }
    process.stdout.write(".");
  };
  const worker = async (): Promise<void> => {
    for (;;) await step();
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
};

if (import.meta.main) {
  const [root = "", mode, seed] = process.argv.slice(2);
  await work(root, mode === "whole" ? "whole" : "ranges", Number(seed));
}

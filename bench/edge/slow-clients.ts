/** What a thousand viewers who read slowly cost in memory, the kernel's socket buffers apart. */
import { setTimeout as pause } from "node:timers/promises";
import type { Row } from "../report.ts";
import { MiB } from "./bodies.ts";
import { type ObjectSet, pathsOf, warm } from "./hits.ts";
import { OURS, SAMPLE_MS } from "./measure.ts";
import { type CacheServer, memoryBytesOf } from "./server.ts";
import type { Figure, Stage } from "./stage.ts";

const VIEWERS = 1_000;
const BYTES_PER_SECOND = 100_000;
const OBJECTS: ObjectSet = { sizeBytes: 4 * MiB, count: 40 };
const FOR_MS = 3 * SAMPLE_MS;
const LOOK_EVERY_MS = 500;
/** After the warm-up, until its garbage is gone. */
const SETTLE_MS = 2_000;
const MB = 1e6;

interface Growth {
  readonly beforeMb: number;
  readonly growthMb: number;
  readonly failures: number;
  /** Of all bodies, in MB/s: that they were slow, and served. */
  readonly mbPerSecond: number;
}

const growthOf = async ({ client }: Stage, { port, pid }: CacheServer): Promise<Growth> => {
  const before = memoryBytesOf(pid);
  let [most, isOver] = [0, false];
  const watch = async (): Promise<void> => {
    while (!isOver) {
      most = Math.max(most, memoryBytesOf(pid));
      await pause(LOOK_EVERY_MS);
    }
  };
  let watching: Promise<void> | undefined;
  const { failures, bytes } = await client
    .slow({
      port,
      connections: VIEWERS,
      bytesPerSecond: BYTES_PER_SECOND,
      forMs: FOR_MS,
      paths: pathsOf(OBJECTS),
      onStart: () => {
        watching = watch();
      },
    })
    .finally(() => {
      isOver = true;
    });
  await watching;
  const mbPerSecond = bytes / MB / (FOR_MS / 1000);
  return { beforeMb: before / MB, growthMb: (most - before) / MB, failures, mbPerSecond };
};

const told = ({ beforeMb, growthMb, failures, mbPerSecond }: Growth): string => {
  const failed = failures > 0 ? `, ${failures} failed` : "";
  return `${growthMb.toFixed(0)} MB more than ${beforeMb.toFixed(0)} MB, at ${mbPerSecond.toFixed(0)} MB/s${failed}`;
};

const rows = async (stage: Stage): Promise<Row[]> => {
  const growths = new Map<string, Growth>();
  for (const server of stage.servers) {
    await warm(server, OBJECTS);
    await pause(SETTLE_MS);
    growths.set(server.name, await growthOf(stage, server));
  }
  const tell = (name: string): string => {
    const known = growths.get(name);
    return known ? told(known) : "not shown";
  };
  const what = `${VIEWERS} viewers of hot objects of 4 MiB at ${BYTES_PER_SECOND / 1000} kB/s each, proportional set size`;
  return ["nginx", "Varnish", "ATS"].map((name) => ({
    what,
    value: tell(OURS),
    against: `${name}: ${tell(name)}`,
    goal: "≤ 20 MB more",
  }));
};

export const SLOW_CLIENTS: readonly Figure[] = [{ name: "slow-clients", group: "slow clients", rows }];

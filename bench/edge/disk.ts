/** Hits from disk with a warm page cache: an edge of its own whose memory holds a small part of the set. */
import { ratio } from "../http-load.fixture.ts";
import { Cleanup } from "../live.fixture.ts";
import type { Row } from "../report.ts";
import { MiB } from "./bodies.ts";
import { startCastellan } from "./castellan.ts";
import { compared, LARGE } from "./hits.ts";
import { cpuPerGb, foreignOf, OURS, perSecond, rowsOf } from "./measure.ts";
import { among, type Figure, type Stage, tried } from "./stage.ts";

const CONNECTIONS = 64;
/** 1⁄8 of the set of 120 MB. */
const MEMORY_BYTES = 16 * MiB;
/** What is written behind the answers is on disk by then. */
const WRITTEN_MS = 1_000;

const rows = async (stage: Stage): Promise<Row[]> => {
  const cleanup = new Cleanup();
  try {
    const place = { ...stage.place, memoryBytes: MEMORY_BYTES };
    const ours = await tried(OURS, () => startCastellan(cleanup, place));
    const servers = [...(ours ? [ours] : []), ...among(stage.servers, "nginx")];
    const samples = await compared(stage, servers, { set: LARGE, connections: CONNECTIONS, settleMs: WRITTEN_MS });
    return rowsOf(samples, {
      what: `hit of 1.5 MB from disk, page cache warm, memory for 1⁄8, ${CONNECTIONS} connections, ${foreignOf(samples)}`,
      goals: { nginx: "≤ 3.2× CPU per GB" },
      shown: (of) => `${cpuPerGb(of, LARGE.sizeBytes)}, ${perSecond(of)}`,
      beside: (own, theirs) => `${ratio(own, theirs, "cpuUs").toFixed(2)}× CPU per GB`,
    });
  } finally {
    await cleanup.run();
  }
};

export const DISK: readonly Figure[] = [{ name: "disk", group: "disk tier", rows }];

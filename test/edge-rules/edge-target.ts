/** The real edge as the target of scripts: alone, in front of one origin, with clocks that the script moves. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { startEdge } from "../../edge/node/edge.ts";
import { quietLog } from "../../lib/log/log.ts";
import { edgeConfigWith } from "../support/edge-config.ts";
import type { Target } from "./run.ts";

const CACHE_BYTES = 16 * 1024 * 1024;
/** Turns of the event loop in which what arrived before a step of the clock is dealt with. */
const TURNS = 20;

export const edgeTarget: Target = {
  start: async (originUrl, { rule }) => {
    const dir = await mkdtemp(join(tmpdir(), "edge-rules-"));
    const path = join(dir, "edge.json");
    const site = { hostnames: ["*"], origins: [{ id: "script", url: originUrl }], rules: [rule] };
    await writeFile(path, JSON.stringify({ customers: [{ id: "script", sites: [site] }] }));
    let advancedMs = 0;
    const edge = await startEdge({
      config: edgeConfigWith({ dataDir: dir, edgeConfig: path, edgeCacheBytes: CACHE_BYTES, nodeId: "script" }),
      broker: null,
      log: quietLog,
      clock: { nowMs: () => Date.now() + advancedMs },
      nowMs: () => performance.now() + advancedMs,
      patienceMs: 60_000,
    });
    return {
      port: edge.port,
      advance: async (ms) => {
        for (let count = 0; count < TURNS; count += 1) await turn();
        advancedMs += ms;
      },
      stop: async () => {
        await edge.stop(0);
        await rm(dir, { recursive: true });
      },
    };
  },
};

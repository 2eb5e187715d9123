/**
 * Our side: the shipped process as an edge alone, on the servers' core, with accounting, limits and logs as they are.
 * EDGE_BENCH_NODE_OPTIONS becomes its NODE_OPTIONS (`--cpu-prof --cpu-prof-dir=…`). EDGE_BENCH_COMMAND is a shell
 * command to measure in its place (`exec node …`, so that it is what is stopped): it finds the same settings, the
 * origin's port in EDGE_BENCH_ORIGIN_PORT, and node, start.mjs and the configuration as $0, $1 and $2.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "../../lib/http/listening.ts";
import { serverDir, startServer } from "../../test/support/server-process.ts";
import { onServerCore } from "../http-load.fixture.ts";
import type { Cleanup } from "../live.fixture.ts";
import { OURS } from "./measure.ts";
import type { CacheServer, Place } from "./server.ts";

const START = path.join(import.meta.dirname, "../../start.mjs");

const siteOf = ({ originPort, certificate: { certFile, keyFile } }: Place): object => ({
  customers: [
    {
      id: "bench",
      sites: [
        {
          hostnames: ["*"],
          certificate: { certFile, keyFile },
          origins: [{ id: "origin", url: `http://127.0.0.1:${originPort}` }],
          rules: [{ cache: "honour", grace: "1h" }],
        },
      ],
    },
  ],
});

/** Throws with the end of what it logged when it does not start. */
export const startCastellan = async (cleanup: Cleanup, place: Place): Promise<CacheServer> => {
  const dir = serverDir(cleanup, "bench-edge");
  const [config, log] = [path.join(dir, "edge.json"), path.join(dir, "log")];
  writeFileSync(config, JSON.stringify(siteOf(place)));
  const tlsPort = await freePort("127.0.0.1");
  const envOf = (port: number): NodeJS.ProcessEnv => ({
    ROLES: "edge",
    HOST: "127.0.0.1",
    EDGE_PORT: String(port),
    EDGE_TLS_PORT: String(tlsPort),
    EDGE_CACHE_BYTES: String(place.memoryBytes),
    EDGE_DISK_BYTES: String(place.diskBytes),
    EDGE_THREADS: "1",
    DATA_DIR: path.join(dir, "data"),
    EDGE_BENCH_ORIGIN_PORT: String(place.originPort),
    NODE_OPTIONS: process.env.EDGE_BENCH_NODE_OPTIONS ?? "",
  });
  const command = process.env.EDGE_BENCH_COMMAND ?? `exec "$0" "$1" --config "$2"`;
  // A log in a file is what an operator has, and nobody needs time to read it meanwhile.
  const words = ["-c", `exec >"$3" 2>&1\n${command}`, process.execPath, START, config, log];
  try {
    const started = await startServer(cleanup, (port) => ({ ...onServerCore("sh", words), env: envOf(port) }));
    return { name: OURS, port: started.port, tlsPort, pid: started.process.pid ?? 0 };
  } catch (error) {
    throw new Error(`the edge did not start: ${readFileSync(log, "utf8").slice(-2_000)}`, { cause: error });
  }
};

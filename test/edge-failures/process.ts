/** The edge as it is shipped: a process of its own, alone, with a file of sites. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EdgeConfig } from "../../contracts/edge-config.ts";
import { type Node, startNode } from "../support/platform.ts";
import type { Cleaner } from "./scene.ts";

export interface EdgeProcess {
  readonly node: Node;
  readonly port: number;
}

/** Resolves when it is ready. Its sites must leave the health addresses of 127.0.0.1 to it. */
export const startEdgeProcess = async (
  t: Cleaner,
  config: EdgeConfig,
  { dataDir, env = {} }: { dataDir: string; env?: Readonly<Record<string, string>> },
): Promise<EdgeProcess> => {
  const path = join(dataDir, "edge.json");
  await writeFile(path, JSON.stringify(config));
  const alone = { ROLES: "edge", EDGE_CONFIG: path, EDGE_DISK_BYTES: "256MiB", EDGE_CACHE_BYTES: "32MiB" };
  const node = await startNode(t, { dataDir, env: { ...alone, ...env } });
  return { node, port: Number(new URL(node.endpoints.edge ?? "").port) };
};

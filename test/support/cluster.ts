/** Several nodes of the product over a real NATS and a real PostgreSQL, each role as its own process. */
import { randomBytes } from "node:crypto";
import { connect as connectNats } from "nats";
import pg from "pg";
import { NATS_URL, reachable } from "./nats.ts";
import { type Api, apiOf, type Node, startNode } from "./platform.ts";
import { keptPort } from "./ports.ts";

export { NATS_URL };
export const POSTGRES_URL = process.env.TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/postgres";

/** Why this machine can't run a test over real servers; undefined when it can. */
export const missingServers = async (): Promise<string | undefined> => {
  if (!(await reachable(NATS_URL))) return `skipped: needs NATS at ${NATS_URL}`;
  if (!(await reachable(POSTGRES_URL))) return `skipped: needs PostgreSQL at ${POSTGRES_URL}`;
  return undefined;
};

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

/** A new empty database on the real server, dropped when the test ends. */
export const realDatabase = async (t: Cleaner): Promise<string> => {
  const name = `castellan_e2e_${randomBytes(6).toString("hex")}`;
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: POSTGRES_URL });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await run(`create database ${name}`);
  t.after(() => run(`drop database if exists ${name} with (force)`));
  const url = new URL(POSTGRES_URL);
  url.pathname = `/${name}`;
  return url.href;
};

/** Takes the streams of one installation away: its processes would make them anew, so they must have ended. */
const removeStreams = async (prefix: string): Promise<void> => {
  const bus = await connectNats({ servers: NATS_URL });
  const manager = await bus.jetstreamManager();
  for await (const { config } of manager.streams.list()) {
    if (config.name.startsWith(prefix.toUpperCase())) await manager.streams.delete(config.name);
  }
  await bus.close();
};

export interface Cluster {
  readonly env: Readonly<Record<string, string>>;
  readonly databaseUrl: string;
  readonly gateway: Node;
  readonly controls: Node[];
  readonly streamers: Node[];
  readonly edge: Node;
  readonly api: Api;
  /** One more process with these roles. */
  add(roles: string, env?: Record<string, string>, dataDir?: string): Promise<Node>;
}

export const startCluster = async (
  t: Cleaner,
  shape: {
    /** ROLES of each control process. */
    controls?: readonly string[];
    streamers?: number;
    databaseUrl?: string;
    env?: Record<string, string>;
  } = {},
): Promise<Cluster> => {
  const databaseUrl = shape.databaseUrl ?? (await realDatabase(t));
  const namespace = `t${randomBytes(5).toString("hex")}`;
  const edgePort = String(await keptPort());
  const env = {
    NATS_URL,
    DATABASE_URL: databaseUrl,
    NAMESPACE: namespace,
    EVENT_PREFIX: namespace,
    EDGE_PORT: edgePort,
    EDGE_PUBLIC_URL: `http://127.0.0.1:${edgePort}`,
    ...shape.env,
  };
  const nodes: Node[] = [];
  const add = async (roles: string, more: Record<string, string> = {}, dataDir?: string): Promise<Node> => {
    const vars = { ...env, ROLES: roles, HEALTH_PORT: "0", ...more };
    const node = await startNode(t, { env: vars, ...(dataDir ? { dataDir } : {}) });
    nodes.push(node);
    return node;
  };
  t.after(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await removeStreams(namespace);
  });
  const controls: Node[] = [];
  for (const roles of shape.controls ?? ["control"]) controls.push(await add(roles));
  const gateway = await add("gateway");
  const edge = await add("edge");
  const streamers = await Promise.all(Array.from({ length: shape.streamers ?? 2 }, () => add("streamer")));
  const api = apiOf(gateway.endpoints.gateway ?? "");
  return { env, databaseUrl, gateway, controls, streamers, edge, api, add };
};

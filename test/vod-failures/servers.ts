/** NATS and PostgreSQL of one installation, which is gone when its test ends. */
import { randomBytes } from "node:crypto";
import { connect as connectNats } from "nats";
import { NATS_URL, realDatabase } from "../support/cluster.ts";
import type { Cleaner } from "./works.ts";

/** Takes the streams of one installation away; its processes must have ended. */
export const removeStreams = async (prefix: string): Promise<void> => {
  const bus = await connectNats({ servers: NATS_URL });
  const manager = await bus.jetstreamManager();
  for await (const { config } of manager.streams.list()) {
    if (config.name.startsWith(prefix.toUpperCase())) await manager.streams.delete(config.name);
  }
  await bus.close();
};

export const serversFor = async (t: Cleaner) => {
  const prefix = `t${randomBytes(5).toString("hex")}`;
  const databaseUrl = await realDatabase(t as { after(clean: () => Promise<void>): void });
  return { databaseUrl, prefix, env: { NATS_URL, NAMESPACE: prefix, EVENT_PREFIX: prefix } };
};

/** Ports for processes that must be told theirs before they start. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that systems give to outgoing connections and to whoever listens at port 0 (Linux: from 32,768 on). */
const FIRST = 12_000;
const END = 32_000;
const TRIES_MAX = 100;

const isFree = async (port: number): Promise<boolean> => {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
};

/**
 * A TCP port of 127.0.0.1 that is free, and that nobody gets by chance before it is listened at: a port that the system
 * gave and that was closed again may be anybody's by then.
 */
export const keptPort = async (): Promise<number> => {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = randomInt(FIRST, END);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${FIRST} to ${END} is free`);
};

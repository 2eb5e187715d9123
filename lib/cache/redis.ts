/** Cache in Redis, shared by all nodes. While it does not answer, requests go on as without it. */
import { Redis } from "ioredis";
import type { Log } from "../log/log.ts";
import type { Cache } from "./port.ts";

const COMMAND_MS = 250; // a row in PostgreSQL takes less
const CONNECT_MS = 2_000;
const RECONNECT_MS_MAX = 2_000;
const PREFIX = "castellan:";

export interface RedisCacheOptions {
  readonly url: string;
  readonly log: Log;
  /** Keeps installations that share a Redis apart. */
  readonly prefix?: string;
}

/** Connects by itself, now and whenever the connection is lost. */
export const redisCache = ({ url, log, prefix = PREFIX }: RedisCacheOptions): Cache => {
  let isAway = false;
  const redis = new Redis(url, {
    keyPrefix: prefix,
    connectTimeout: CONNECT_MS,
    commandTimeout: COMMAND_MS,
    // Nobody waits for a server that is away: the command fails, and the row is read.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(RECONNECT_MS_MAX, 100 * times),
  });
  redis.on("error", (error) => {
    if (!isAway) log.warn({ err: error }, "Redis does not answer; going on without it");
    isAway = true;
  });
  redis.on("ready", () => {
    if (isAway) log.info("Redis answers again");
    isAway = false;
  });
  const quietly = async <T>(run: () => Promise<T>): Promise<T | undefined> => {
    if (redis.status !== "ready") return undefined;
    try {
      return await run();
    } catch (error) {
      log.debug({ err: error }, "Redis did not do as it was told");
      return undefined;
    }
  };
  return {
    kind: "redis",
    get: async (key) => (await quietly(() => redis.get(key))) ?? undefined,
    set: async (key, value, ttlMs) => {
      await quietly(() => redis.set(key, value, "PX", Math.max(1, Math.ceil(ttlMs))));
    },
    delete: async (keys) => {
      if (keys.length > 0) await quietly(() => redis.unlink(...keys));
    },
    close: async () => redis.disconnect(),
  };
};

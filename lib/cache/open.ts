import type { Log } from "../log/log.ts";
import { memoryCache } from "./memory.ts";
import type { Cache } from "./port.ts";

/** Redis where there is one, else this process's memory. The client of Redis is loaded with the first use of it. */
export const openCache = (redisUrl: string | null, log: Log): Cache => {
  if (redisUrl === null) return memoryCache();
  let opened: Promise<Cache> | undefined;
  const there = (): Promise<Cache> => {
    opened ??= import("./redis.ts").then(({ redisCache }) => redisCache({ url: redisUrl, log }));
    return opened;
  };
  return {
    kind: "redis",
    get: async (key) => (await there()).get(key),
    set: async (key, value, ttlMs) => (await there()).set(key, value, ttlMs),
    delete: async (keys) => (await there()).delete(keys),
    close: async () => (await opened)?.close(),
  };
};

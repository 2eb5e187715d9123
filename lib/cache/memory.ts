/** Cache in the memory of this process: the least recently used goes first. */
import { LRUCache } from "lru-cache";
import type { Cache } from "./port.ts";

const VALUE_BYTES_MAX = 64 * 1024 * 1024;

interface Kept {
  readonly value: string;
  readonly untilMs: number;
}

export interface MemoryCacheOptions {
  /** Monotonic. */
  readonly nowMs?: () => number;
  /** Of all keys and values, in UTF-16 units. */
  readonly sizeMax?: number;
}

export const memoryCache = (options: MemoryCacheOptions = {}): Cache => {
  const { nowMs = () => performance.now(), sizeMax = VALUE_BYTES_MAX } = options;
  const kept = new LRUCache<string, Kept>({
    maxSize: sizeMax,
    sizeCalculation: ({ value }, key) => key.length + value.length + 64,
  });
  return {
    kind: "memory",
    get: async (key) => {
      const found = kept.get(key);
      return found && found.untilMs > nowMs() ? found.value : undefined;
    },
    set: async (key, value, ttlMs) => void kept.set(key, { value, untilMs: nowMs() + ttlMs }),
    delete: async (keys) => {
      for (const key of keys) kept.delete(key);
    },
    close: async () => kept.clear(),
  };
};

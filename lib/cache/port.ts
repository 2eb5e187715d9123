/**
 * Cache: what is quick to look up and may be lost at any time. Nothing fails: a store that is away holds nothing, and
 * what is put there meanwhile is gone. Keys are texts of printable characters, values texts.
 */
export interface Cache {
  readonly kind: "memory" | "redis";
  /** Undefined: it is not there (any more). */
  get(key: string): Promise<string | undefined>;
  /** `ttlMs`: from now on, at least 1. */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  delete(keys: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

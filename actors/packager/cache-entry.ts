/** One file of a cache, as `cache-store.ts` keeps it. */
import type { FileHandle } from "node:fs/promises";
import type { CacheHead } from "./cache-file.ts";

const DISK_BLOCK_BYTES = 4096;
/** For its inode, name and extents. */
export const ENTRY_BYTES = 4096;

/** Why a file leaves: `lost` is one that another program has removed. */
export type RemovalReason = "space" | "age" | "invalidated" | "purged" | "replaced" | "damaged" | "lost";

export interface Removed {
  readonly entryCount: number;
  readonly bytes: number;
}

/** A file of the cache. */
export class CacheEntry {
  readonly name: string;
  readonly head: CacheHead;
  /** Disk space that it takes or has reserved. */
  chargedBytes: number;
  usedMs: number;
  /** Reads and writes under way: it stays on the disk. */
  holds = 0;
  /** Objects that may read it later. */
  opens = 0;
  /** Written in this life: its bytes are what was written. Else they are checked before the first use. */
  isTrusted: boolean;
  /** Where it lies; another place once it is detached. */
  file: string;
  isGone = false;
  handle: Promise<FileHandle> | null = null;
  /** Whatever else belongs to it, let go with it. */
  onGone: (() => void) | null = null;

  constructor(parts: Pick<CacheEntry, "name" | "head" | "chargedBytes" | "usedMs" | "isTrusted" | "file">) {
    this.name = parts.name;
    this.head = parts.head;
    this.chargedBytes = parts.chargedBytes;
    this.usedMs = parts.usedMs;
    this.isTrusted = parts.isTrusted;
    this.file = parts.file;
  }
}

/** How many they are, and what they take. */
export const removedOf = (entries: readonly CacheEntry[]): Removed => ({
  entryCount: entries.length,
  bytes: entries.reduce((sum, { chargedBytes }) => sum + chargedBytes, 0),
});

/** The disk space that a file of so many bytes takes. */
export const chargeOf = (bytes: number): number => Math.ceil(bytes / DISK_BLOCK_BYTES) * DISK_BLOCK_BYTES + ENTRY_BYTES;

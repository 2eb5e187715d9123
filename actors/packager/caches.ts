/** The caches of one node, as configured: copies of input files, made segments, and their cleaning. */
import type { Clock } from "../../lib/clock.ts";
import { ConfigError } from "../../lib/config/config-error.ts";
import type { DiskCacheConfig, PackagerConfig } from "../../lib/config/packager-config.ts";
import { PACKAGER_VARIABLES } from "../../lib/config/packager-variables.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { CacheCleaner, type CleanedCache } from "./cache-cleaner.ts";
import { CacheIndex } from "./cache-index.store.ts";
import type { CacheStore } from "./cache-store.ts";
import { type InputCache, openInputCache } from "./input-cache.ts";
import { openSegmentCache, type SegmentCache } from "./segment-cache.ts";

export interface Caches {
  /** The source itself, or what its cache gives. */
  readonly source: ContentSource;
  /** Null: off. */
  readonly input: InputCache | null;
  readonly segments: SegmentCache | null;
  /** Of those that are on. */
  readonly stores: readonly CacheStore[];
  /** Cleans them now. */
  clean(): Promise<CleanedCache[]>;
  /** Stops the source too. */
  stop(): Promise<void>;
}

interface CacheDeps {
  readonly config: PackagerConfig;
  readonly clock: Clock;
  readonly log: Log;
}

const boundsOf = ({ dir, sizeBytes: maxBytes, limitPercent, ageMs }: DiskCacheConfig) => ({
  dir,
  maxBytes,
  limitPercent,
  ageMs,
});

/** A place that can't be used is named by its variable. */
const inPlace = async <T>(key: keyof typeof PACKAGER_VARIABLES, open: () => T): Promise<Awaited<T>> => {
  try {
    return await open();
  } catch (error) {
    throw new ConfigError(PACKAGER_VARIABLES[key].env, `can't be used: ${(error as Error).message}.`);
  }
};

/** Opens what is on. Rejects with a ConfigError where a place can't be used. */
export const openCaches = async (source: ContentSource, { config, clock, log }: CacheDeps): Promise<Caches> => {
  const { inputCache, segmentCache, cleanup, sourceRecheckMs: freshMs } = config;
  if (!inputCache.on && !segmentCache.on) {
    return { source, input: null, segments: null, stores: [], clean: async () => [], stop: () => source.close() };
  }
  const index = await inPlace("cacheDatabase", () => new CacheIndex({ file: config.cacheDatabase, clock, log }));
  const common = { index, clock, log };
  const inputs = { ...common, ...boundsOf(inputCache), source, mode: inputCache.mode, freshMs };
  const input = inputCache.on ? await inPlace("videoCachePath", () => openInputCache(inputs)) : null;
  const segments = segmentCache.on
    ? await inPlace("segmentParentPath", () => openSegmentCache({ ...common, ...boundsOf(segmentCache) }))
    : null;
  const stores = [input, segments].flatMap((cache) => (cache ? [cache.store] : []));
  const cleaner = new CacheCleaner({ ...common, ...cleanup, stores });
  cleaner.start();
  return {
    source: input ?? source,
    input,
    segments,
    stores,
    clean: () => cleaner.runOnce(),
    async stop() {
      await cleaner.stop();
      await segments?.close();
      await (input ?? source).close();
      index.close();
    },
  };
};

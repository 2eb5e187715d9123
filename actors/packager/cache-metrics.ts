/** What the packager's caches show at `/metrics`. */
import { counter, gauge } from "../../lib/metrics/metrics.ts";

export const cacheBytes = gauge({
  name: "castellan_packager_cache_bytes",
  help: "Disk space that a cache takes, files that are being written or removed included.",
  labels: ["cache"],
});
export const cacheEntries = gauge({
  name: "castellan_packager_cache_entries",
  help: "Files in a cache.",
  labels: ["cache"],
});
export const cacheHits = counter({
  name: "castellan_packager_cache_hits_total",
  help: "Reads that a cache answered.",
  labels: ["cache"],
});
export const cacheMisses = counter({
  name: "castellan_packager_cache_misses_total",
  help: "Reads that went to what the cache stands before.",
  labels: ["cache"],
});
export const cacheRemovals = counter({
  name: "castellan_packager_cache_removals_total",
  help: "Files that left a cache, by reason: space, age, invalidated, purged, replaced, damaged.",
  labels: ["cache", "reason"],
});

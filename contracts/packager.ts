/** What a packager node answers. Node-bound: it lives where its files are read and is called by node id. */
import { z } from "zod";
import { ask } from "./kit.ts";

export const PurgeTargets = z.strictObject({
  /**
   * Addresses of stored files: a manifest's whole URL or its path with the prefix (each rendition of a set is meant), a
   * file's, or a pattern with `*` for anything: `/i/films/*`.
   */
  urls: z.array(z.string().min(1).max(8192)).min(1).max(1000).optional(),
  /** Everything that the caches hold. */
  all: z.boolean().optional(),
});

/** What one node let go of: indexes in memory, whole files and parts of them, made segments. */
export const Purged = z.object({
  indexCount: z.int().min(0),
  inputCount: z.int().min(0),
  segmentCount: z.int().min(0),
  /** On disk. */
  sizeBytes: z.int().min(0),
});
export type Purged = z.output<typeof Purged>;

/** When it answers, nothing of it is served from a cache of this node any more. */
export const purgePackager = ask("packager.forget", {
  input: PurgeTargets,
  result: Purged,
  deadlineMs: 5_000,
  errors: ["PATH_REFUSED", "SHUTTING_DOWN"],
  retriable: true,
});

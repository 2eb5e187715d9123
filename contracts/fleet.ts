/** What edges need to know, as snapshots that outlive everything else. Pool actor; edges listen. */
import { z } from "zod";
import { StreamId, TenantSlug } from "./ids.ts";
import { ask, fact } from "./kit.ts";
import { Purged, PurgeTargets } from "./packager.ts";

export const SnapshotChannel = z.object({
  tenant: TenantSlug,
  streamId: StreamId,
  /** In order of preference. `base` is the folder that holds master.m3u8 and manifest.mpd, without a trailing slash. */
  origins: z.array(
    z.object({
      originId: z.int(),
      base: z.string(),
      kind: z.enum(["castellan", "castis"]),
      /** Name (and query) of the multivariant playlist below `base` where it is not master.m3u8. */
      master: z.string().optional(),
      /** Of a castis node: a platform admin named it, so that it may be anywhere (see ALLOW_PRIVATE_SOURCES). */
      trusted: z.boolean().optional(),
    }),
  ),
  /** Segment duration in ms: an edge keeps playlists for less than that. */
  segmentMs: z.int(),
});
export const Snapshot = z.object({
  /** Grows with every change; an edge never goes back. */
  version: z.int(),
  madeAt: z.string(),
  channels: z.array(SnapshotChannel),
});
export type Snapshot = z.output<typeof Snapshot>;

/** The newest snapshot, or null when the asker has it already. */
export const getSnapshot = ask("fleet.snapshot", {
  input: z.object({ haveVersion: z.int().default(0) }),
  result: z.object({ snapshot: Snapshot.nullable() }),
  deadlineMs: 5_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});
/** Broadcast hint: a newer snapshot can be had. */
export const snapshotMade = fact("fleet.snapshotMade", z.object({ version: z.int() }));

/** Asks every packager node; answers when all of them have, or their deadline has passed. */
export const purgePackagers = ask("fleet.purgePackagers", {
  input: z
    .strictObject(PurgeTargets.shape)
    .refine(({ urls, all }) => (urls !== undefined) !== (all === true), "either urls or all"),
  result: z.object({
    data: z.object({ nodes: z.array(Purged.extend({ nodeId: z.string() })) }),
    /** Nodes that did not say that they have let go. */
    failures: z.array(z.object({ nodeId: z.string(), code: z.string(), message: z.string() })),
  }),
  deadlineMs: 8_000,
  errors: [],
  retriable: true,
  rest: {
    method: "POST",
    path: "/packager/purge",
    scope: "platform:admin",
    tag: "packager",
    summary: "Let every packager forget stored files: their indexes, copies and made segments; each node is named.",
  },
});

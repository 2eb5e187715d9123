/** What edges need to know, as snapshots that outlive everything else. Pool actor; edges listen. */
import { z } from "zod";
import { EdgeConfigDraft } from "./edge-config.ts";
import { Instant, NextCursor, Page, StreamId, TenantSlug } from "./ids.ts";
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

const Revision = z.int().positive();
const PublicKey = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "must be 32 bytes in base64url");
const WRITE_DEADLINE_MS = 10_000;

/** What is signed: a configuration of CDN customers with its number inside. */
export const PublishedConfig = z.object({
  /** So that nothing else that this key signs can be taken for one. */
  kind: z.literal("castellan.edge-config"),
  /** Grows with everything that is published, a rollback too; an edge never goes back. */
  revision: Revision,
  publishedAt: Instant,
  /** The revision whose content came back. */
  rollbackOf: Revision.nullable(),
  /** As EdgeConfig has them; the edge checks them by its own version of it. */
  customers: z.array(z.unknown()),
});
export type PublishedConfig = z.output<typeof PublishedConfig>;

export const SignedConfig = z.object({
  /** A PublishedConfig as JSON: the very bytes that are signed. */
  text: z.string(),
  /** Ed25519, base64url. */
  signature: z.string(),
  /** Whose signature it is; an edge that knows a key believes that one alone. */
  publicKey: PublicKey,
});
export type SignedConfig = z.output<typeof SignedConfig>;

/** The newest configuration of CDN customers, or null when the asking edge has it, or nothing was published. */
export const getEdgeSnapshot = ask("fleet.edgeSnapshot", {
  input: z.object({ haveRevision: z.int().min(0).default(0) }),
  result: z.object({ signed: SignedConfig.nullable() }),
  deadlineMs: 5_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});
/** Broadcast hint: there is a newer one. */
export const configPublished = fact("fleet.configPublished", z.object({ revision: Revision }));

const ConfigError = z.object({ path: z.string().max(500), message: z.string().max(500) });
const ConfigAckFields = {
  nodeId: z.string().min(1).max(200),
  revision: Revision,
  /** It is served; else `errors` says why not, and the edge goes on with the former one. */
  applied: z.boolean(),
  errors: z.array(ConfigError).max(50),
};
/** An edge says what became of a configuration; of a revision that is not known (any more) nothing is kept. */
export const acknowledgeConfig = ask("fleet.acknowledgeConfig", {
  input: z.object(ConfigAckFields),
  result: z.object({}),
  deadlineMs: 5_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});

const cdn = { scope: "platform:admin", tag: "cdn" } as const;
/** One configuration without its content. */
export const CdnRevision = z.object({
  revision: z.int(),
  publishedAt: Instant.nullable(),
  rollbackOf: z.int().nullable(),
});
/** `version` is the revision, for `ETag` and `If-Match`; 0 before anything is published. */
const Written = CdnRevision.extend({
  version: z.int(),
  /** Whether this request made the revision: not when it changes nothing, nor as a dry run. */
  published: z.boolean(),
});

export const publishConfig = ask("fleet.publishConfig", {
  input: z.strictObject({
    ...EdgeConfigDraft.shape,
    /** Everything is checked, and nothing published. */
    dryRun: z.boolean().default(false),
    ifVersion: z.int().optional(),
  }),
  result: z.object({ data: Written }),
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["VERSION_CONFLICT"],
  rest: {
    method: "PUT",
    path: "/cdn/config",
    ...cdn,
    versioned: true,
    summary: 'Publish what edges serve for CDN customers; a secret that is "(kept)" stays as it was.',
  },
});
export const rollbackConfig = ask("fleet.rollbackConfig", {
  input: z.strictObject({ revision: Revision, ifVersion: z.int().optional() }),
  result: z.object({ data: Written }),
  deadlineMs: WRITE_DEADLINE_MS,
  errors: ["CDN_REVISION_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    method: "POST",
    path: "/cdn/config/rollback",
    ...cdn,
    versioned: true,
    summary: "Publish the content of a former revision again, as a new one.",
  },
});
export const getConfig = ask("fleet.getConfig", {
  input: z.strictObject({
    /** The newest unless told. */
    revision: z
      .union([
        Revision,
        z
          .string()
          .regex(/^[1-9]\d{0,14}$/, "must be a positive integer")
          .transform(Number),
      ])
      .optional(),
  }),
  result: z.object({
    data: CdnRevision.extend({
      version: z.int(),
      /** What EDGE_CONFIG_PUBLIC_KEY of an edge may be set to. */
      publicKey: PublicKey,
      /** Secrets are shown as "(kept)". */
      ...EdgeConfigDraft.shape,
      /** What can be gone back to, the newest first. */
      revisions: z.array(CdnRevision),
    }),
  }),
  deadlineMs: 5_000,
  errors: ["CDN_REVISION_NOT_FOUND"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/cdn/config",
    ...cdn,
    versioned: true,
    summary: "What edges serve for CDN customers, without its secrets, and the revisions that are kept.",
  },
});
export const ConfigAck = z.object({ ...ConfigAckFields, acknowledgedAt: Instant });
export const listConfigAcks = ask("fleet.configAcks", {
  input: z.strictObject({ ...Page, revision: getConfig.input.shape.revision }),
  result: z.object({ data: z.array(ConfigAck), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/cdn/config/acks",
    ...cdn,
    summary: "What each edge said last of each revision: that it serves it, or why it refused it.",
  },
});

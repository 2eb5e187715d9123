/** What edges need to know, as snapshots that outlive everything else. Pool actor; edges listen. */
import { z } from "zod";
import { EdgeConfigDraft } from "./edge-config.ts";
import { Instant, NextCursor, Page, StreamId, TenantSlug } from "./ids.ts";
import { ask, fact } from "./kit.ts";
import { Purged, PurgeTargets } from "./packager.ts";
import { MediaAdmission, RevocationCursor, RevocationNews } from "./playback.ts";

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
/** Who may be let in to stored media, and what was revoked; apart from snapshots: it changes more often. */
export const getMediaAdmission = ask("fleet.mediaAdmission", {
  input: z.object({ after: RevocationCursor.default("") }),
  result: z.object({ admission: MediaAdmission, revoked: RevocationNews }),
  deadlineMs: 3_000,
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

const Count = z.int().min(0);
/** A row of what an edge counted (domain/accounting/columns.ts). Lenient in its words: what is refused comes again. */
const EdgeAccount = z.object({
  hostname: z.string().max(300),
  customer: z.string().max(300),
  /** Slug; null: a third party. */
  tenant: z.string().max(300).nullable(),
  requests: Count,
  hits: Count,
  sentBytes: Count,
  originRequests: Count,
  originBytes: Count,
  statuses: z.tuple([Count, Count, Count, Count, Count]),
  clientLeft: Count,
  ttfbMicros: Count,
  ttfb: z.array(Count).length(18),
});
const EPOCH_MS_MAX = 8.64e15; // the last instant of ECMAScript

/**
 * Rows of one message: 760 bytes each at most, so that it fits into 1 MB of the bus. With another number a batch that
 * was delivered in part is another one: the rest of it would be a conflict, and not counted.
 */
export const ACCOUNT_ROWS_MAX = 1_000;
/** An edge's counts of a period, or a part of them: the same under the same edge, series, sequence numbers, part. */
export const takeAccounts = ask("fleet.takeAccounts", {
  input: z.object({
    edge: z.string().min(1).max(200),
    /** Of one life of the edge's journal. */
    series: z.string().min(1).max(100),
    first: z.int().min(1),
    sequence: z.int().min(1),
    part: z.int().min(0).default(0),
    partCount: z.int().min(1).max(1_000).default(1),
    fromMs: z.int().min(0).max(EPOCH_MS_MAX),
    toMs: z.int().min(0).max(EPOCH_MS_MAX),
    rows: z.array(EdgeAccount).max(ACCOUNT_ROWS_MAX),
  }),
  /** As domain/accounting/deliveries.ts has it: all but `full` need not come again. */
  result: z.object({ admission: z.enum(["new", "duplicate", "conflict", "full"]) }),
  deadlineMs: 5_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});

const ACCOUNT_GROUPS = ["hour", "day", "month", "customer", "tenant", "hostname", "edge"] as const;
export type AccountGroup = (typeof ACCOUNT_GROUPS)[number];
const isGroup = (word: string): word is AccountGroup => (ACCOUNT_GROUPS as readonly string[]).includes(word);
const isTime = (word: AccountGroup): boolean => word === "hour" || word === "day" || word === "month";

const Word = z.string().min(1).max(300).optional();
/** Sums are exact up to 2^53. */
const Sum = z.number().min(0);
/** Sums of what edges counted under one group. */
export const CdnAccount = z.object({
  /** Beginnings in UTC. */
  hour: Instant.optional(),
  day: Instant.optional(),
  month: Instant.optional(),
  customer: z.string().optional(),
  /** Null: a third party. */
  tenant: z.string().nullable().optional(),
  hostname: z.string().optional(),
  edge: z.string().optional(),
  requests: Sum,
  hits: Sum,
  /** Hits of requests; null without requests. */
  hitRatio: z.number().nullable(),
  /** To viewers: heads and bodies, before TLS. */
  sentBytes: Sum,
  originRequests: Sum,
  originBytes: Sum,
  statuses: z.object({ "1xx": Sum, "2xx": Sum, "3xx": Sum, "4xx": Sum, "5xx": Sum }),
  /** Viewers that left before an answer was begun. */
  clientLeft: Sum,
  firstByteMeanMs: z.number().nullable(),
  /** Requests by time to first byte: up to ¼, ½, 1, 2 … 16,384 ms, and above. */
  firstByteCounts: z.array(Sum),
});
export const listAccounts = ask("fleet.accounts", {
  input: z.strictObject({
    ...Page,
    /** RFC 3339. Hours that begin at or after it; 24 hours before `to` unless told. */
    from: z.iso.datetime({ offset: true }).optional(),
    /** Hours that begin before it; now unless told. */
    to: z.iso.datetime({ offset: true }).optional(),
    customer: Word,
    tenant: Word,
    edge: Word,
    hostname: Word,
    /** By commas: customer, tenant, hostname, edge, and one of hour, day and month (UTC). */
    groupBy: z
      .string()
      .max(100)
      .default("customer")
      .transform((text, context) => {
        const words = text.split(",");
        const groups = words.filter(isGroup);
        const isClear = new Set(words).size === groups.length && groups.filter(isTime).length <= 1;
        if (isClear) return groups;
        context.addIssue({ code: "custom", message: `names some of ${ACCOUNT_GROUPS.join(", ")}, one time at most` });
        return z.NEVER;
      }),
  }),
  result: z.object({ data: z.array(CdnAccount), nextCursor: NextCursor }),
  deadlineMs: 10_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/cdn/accounts",
    ...cdn,
    summary: "What edges counted by the hour (requests, hits, bytes, times), in sums; kept for 400 days.",
  },
});

/** One of `url`, `prefix`, `tag` and `everything`, of the site that has this hostname. */
export const EdgePurge = z.strictObject({
  hostname: z.string().min(1).max(255),
  /** A path with its query. */
  url: z.string().min(1).max(8_192).optional(),
  prefix: z.string().min(1).max(8_192).optional(),
  tag: z.string().min(1).max(128).optional(),
  everything: z.literal(true).optional(),
  /** Makes stale instead of removing. */
  soft: z.boolean().default(false),
});
const isOneTarget = ({ url, prefix, tag, everything }: z.output<typeof EdgePurge>): boolean =>
  [url, prefix, tag, everything].filter((one) => one !== undefined).length === 1;

/** Tells every edge on the bus; answers when all have said what became of it, or their time has passed. */
export const purgeEdges = ask("fleet.purgeEdges", {
  input: z.strictObject(EdgePurge.shape).refine(isOneTarget, "names one of url, prefix, tag and everything"),
  result: z.object({
    /** Edges that serve nothing of it any more, and would not after a power loss. */
    data: z.object({ nodes: z.array(z.object({ nodeId: z.string() })) }),
    failures: z.array(z.object({ nodeId: z.string(), code: z.string(), message: z.string() })),
  }),
  deadlineMs: 8_000,
  errors: [],
  retriable: true,
  rest: {
    method: "POST",
    path: "/cdn/purge",
    ...cdn,
    summary: "Let every edge on the bus forget an address, a prefix, a tag or a site; each edge is named.",
  },
});
/** Each edge purges, and says so to the node that wants it: a fact, as edges ask the fleet and nobody asks edges. */
export const edgePurgeWanted = fact(
  "fleet.edgePurgeWanted",
  z.object({ purgeId: z.uuid(), replyTo: z.string(), purge: EdgePurge }),
);
/** The edge's answer; of a purge that nobody waits for any more nothing is kept. */
export const acknowledgePurge = ask("fleet.acknowledgePurge", {
  input: z.object({
    purgeId: z.uuid(),
    nodeId: z.string().min(1).max(200),
    /** Null: what it knew of that is purged for good. */
    failure: z.object({ code: z.string().max(100), message: z.string().max(500) }).nullable(),
  }),
  result: z.object({}),
  deadlineMs: 2_000,
  errors: [],
  retriable: true,
});

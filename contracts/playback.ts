/** Playback sessions: who plays which title, under which addresses, and when that ends. Pool actor. */
import { z } from "zod";
import { TitleId } from "./catalog.ts";
import { Country, Instant, NextCursor, Page } from "./ids.ts";
import { ask, fact } from "./kit.ts";

const SESSION_DEADLINE_MS = 5_000;
export const SessionId = z.uuid();
/** Whoever watches, in the tenant's own words: an account, a device. */
const Viewer = z.string().min(1).max(200);
const Count = z.int().min(0);

/** What an edge must know to let viewers in. */
export const TokenKey = z.object({ keyId: z.string(), /** Ed25519, base64url. */ publicKey: z.string() });
export const MediaAdmission = z.object({
  tokenKeys: z.array(TokenKey),
  /** What an edge signs the viewer's address with for a gateway (the first), and what a gateway takes. base64url. */
  viewerSecrets: z.array(z.string()).optional(),
});
export type MediaAdmission = z.output<typeof MediaAdmission>;

/** In one answer and in one hint: 25 bytes each, 667 kB in base64 of the bus's 1 MB. */
export const REVOCATIONS_TOLD_MAX = 20_000;
/** As `lib/crypto/revocations.ts` writes them, in base64. */
const RevocationBytes = z.string().max(700_000);
/** Up to where what was revoked is known; empty: nothing is. Nobody but who gave it reads it. */
export const RevocationCursor = z.string().max(100);
/** What was revoked since a cursor and is not over by itself; some of it may have been told before. */
export const RevocationNews = z.object({ entries: RevocationBytes, cursor: RevocationCursor, hasMore: z.boolean() });
export type RevocationNews = z.output<typeof RevocationNews>;

export const mediaAdmission = ask("playback.mediaAdmission", {
  input: z.object({ after: RevocationCursor.default("") }),
  result: z.object({ admission: MediaAdmission, revoked: RevocationNews }),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});
/** Broadcast hint: sessions were revoked, or titles taken away; edges and gateways refuse them at once. */
export const sessionsRevoked = fact("playback.sessionsRevoked", z.object({ entries: RevocationBytes }));

const tag = "playback";
export const SESSION_STATES = ["active", "expired", "revoked"] as const;
export const PlaybackSession = z.object({
  id: SessionId,
  titleId: TitleId,
  viewer: z.string().nullable(),
  /** Null: its addresses work from anywhere. */
  address: z.string().nullable(),
  /** As it was told; null: it was not. */
  country: z.string().nullable(),
  /** Lines of the picture that its licence allows; null: no limit. */
  maxHeight: z.int().nullable(),
  isPublic: z.boolean(),
  state: z.enum(SESSION_STATES),
  createdAt: Instant,
  expiresAt: Instant,
  /** When its player last said that it plays; null: never. */
  lastSeenAt: Instant.nullable(),
  revokedAt: Instant.nullable(),
});

export const startPlayback = ask("playback.start", {
  input: z.strictObject({
    titleId: TitleId,
    viewer: Viewer.optional(),
    /** The player's IP address: its session's addresses work from there alone (of IPv6: from its /64). */
    address: z.union([z.ipv4(), z.ipv6()]).optional(),
    /** Where the viewer is, as the tenant knows it: a title whose licence names territories plays in those alone. */
    country: Country.optional(),
  }),
  result: z.object({
    data: z.object({
      id: SessionId,
      titleId: TitleId,
      hls: z.string(),
      dash: z.string(),
      /** Clear Key licences (W3C EME §9.1.4): players of DASH, and of HLS with encrypted samples, are told it. */
      licence: z.string(),
      /** Media playlists of the rungs that are there, by name. */
      rungs: z.record(z.string(), z.string()),
      /** POST it to say that the player still plays. */
      heartbeat: z.string(),
      expiresAt: Instant,
      heartbeatSeconds: z.number(),
      /** It may be played without a session too. */
      isPublic: z.boolean(),
    }),
  }),
  deadlineMs: SESSION_DEADLINE_MS,
  errors: [
    ...(["TITLE_NOT_FOUND", "TITLE_UNPLAYABLE", "COUNTRY_UNKNOWN", "TERRITORY_EXCLUDED"] as const),
    ...(["ENTITLEMENT_MISSING", "DATABASE_DOWN"] as const),
  ],
  rest: {
    method: "POST",
    path: "/titles/:titleId/playback",
    status: 201,
    scope: "playback:write",
    tag,
    summary: "Begin a playback session: the addresses of a title for one viewer, for a while.",
  },
});

export const listSessions = ask("playback.list", {
  input: z.strictObject({
    ...Page,
    titleId: TitleId.optional(),
    viewer: Viewer.optional(),
    state: z.enum(SESSION_STATES).optional(),
  }),
  result: z.object({ data: z.array(PlaybackSession), nextCursor: NextCursor }),
  deadlineMs: SESSION_DEADLINE_MS,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { method: "GET", path: "/sessions", scope: "playback:read", tag, summary: "Playback sessions, oldest first." },
});

export const getSession = ask("playback.get", {
  input: z.strictObject({ sessionId: SessionId }),
  result: z.object({ data: PlaybackSession }),
  deadlineMs: SESSION_DEADLINE_MS,
  errors: ["SESSION_NOT_FOUND"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/sessions/:sessionId",
    scope: "playback:read",
    tag,
    summary: "One playback session.",
  },
});

export const revokeSession = ask("playback.revoke", {
  input: z.strictObject({ sessionId: SessionId }),
  result: z.object({ data: PlaybackSession }),
  deadlineMs: SESSION_DEADLINE_MS,
  errors: ["SESSION_NOT_FOUND"],
  retriable: true,
  rest: {
    method: "DELETE",
    path: "/sessions/:sessionId",
    scope: "playback:write",
    tag,
    summary: "End a playback session: no edge serves it any more within seconds.",
  },
});

export const revokeSessions = ask("playback.revokeMany", {
  /** At least one of them. */
  input: z.strictObject({ titleId: TitleId.optional(), viewer: Viewer.optional() }),
  result: z.object({ data: z.object({ revokedCount: Count }) }),
  deadlineMs: 10_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
  rest: {
    method: "DELETE",
    path: "/sessions",
    scope: "playback:write",
    tag,
    summary: "End all sessions of a title, of a viewer, or of both.",
  },
});

const Alive = z.object({
  data: z.object({ id: SessionId, expiresAt: Instant, heartbeatSeconds: z.number() }),
});
export const heartbeat = ask("playback.heartbeat", {
  input: z.strictObject({ sessionId: SessionId }),
  result: Alive,
  deadlineMs: 3_000,
  errors: ["SESSION_NOT_FOUND", "SESSION_ENDED"],
  retriable: true,
  rest: {
    method: "POST",
    path: "/sessions/:sessionId/heartbeat",
    scope: "playback:write",
    tag,
    summary: "Say that a session's player still plays.",
  },
});
/** The same by a player itself, under its token, which names the tenant. */
export const viewerHeartbeat = ask("playback.viewerHeartbeat", {
  input: z.object({ tenantId: z.uuid(), sessionId: SessionId }),
  result: Alive,
  deadlineMs: 3_000,
  errors: ["SESSION_NOT_FOUND", "SESSION_ENDED"],
  retriable: true,
});

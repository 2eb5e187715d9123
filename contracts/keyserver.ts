/** Keys: of contents, and the platform's own for tokens. Pool actor. */
import { z } from "zod";
import { Instant, NextCursor, Page, TenantId } from "./ids.ts";
import { ask } from "./kit.ts";

const Base64 = z.string().regex(/^[A-Za-z0-9+/]{1,400}={0,2}$/);
const Generation = z.int().positive();
const ContentId = z.uuid();

/** Of a content, besides the present one: what was listed under them plays on at a packager that starts now. */
export const FORMER_KEYS_MAX = 4;
const NumberedKey = {
  /** Key number: grows when the content gets another key. */
  generation: Generation,
  /** 16 bytes each. */
  key: Base64,
  keyId: Base64,
} as const;

/** The key that a packager encrypts a content with; made by the first call. Never told to a client by this way. */
export const contentKey = ask("keyserver.contentKey", {
  input: z.object({ tenantId: TenantId, contentId: ContentId }),
  result: z.object({
    ...NumberedKey,
    /** The latest first; without those whose master key is not there. Not told: there are none. */
    former: z.array(z.object(NumberedKey)).max(FORMER_KEYS_MAX).optional(),
  }),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN", "MASTER_KEY_MISSING", "TENANT_NOT_FOUND"],
  retriable: true,
});

/** The key for a player whose session holds: noted in the audit log, as refusals are. */
export const deliverKey = ask("keyserver.deliverKey", {
  input: z
    .object({
      contentId: ContentId,
      generation: Generation.optional(),
      /** In place of the generation: what a licence names the key by. */
      keyId: Base64.optional(),
      /** Null: a content that is public. */
      sessionId: z.uuid().nullable(),
      /** The session's tenant, as its token says. */
      tenantId: TenantId.optional(),
      /** Of the player. */
      address: z.string().max(100),
    })
    .refine(({ generation, keyId }) => (generation === undefined) !== (keyId === undefined), "generation or keyId"),
  result: z.object({ key: Base64, keyId: Base64, generation: Generation }),
  deadlineMs: 3_000,
  errors: ["KEY_NOT_FOUND", "KEY_REFUSED", "DATABASE_DOWN", "MASTER_KEY_MISSING", "OBJECT_STORE_DOWN"],
  retriable: true,
});

/** The platform's key for playback tokens; the private part is for the actor `playback` alone. */
export const tokenSigningKey = ask("keyserver.tokenSigningKey", {
  input: z.object({}),
  result: z.object({
    keyId: z.string(),
    /** PKCS #8, DER. */
    privateKey: Base64,
    /** What edges and gateways take: the present key and former ones. Raw Ed25519 keys. */
    publicKeys: z.array(z.object({ keyId: z.string(), publicKey: Base64, until: Instant.nullable() })),
    /** Derived from the keys, the present one's first: what edges sign viewers' addresses with for gateways. */
    viewerSecrets: z.array(Base64),
  }),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN", "MASTER_KEY_MISSING"],
  retriable: true,
});

const tag = "keys";
/** Another key from now on; packagers take it with what they next make. Former ones are still delivered. */
export const renewContentKey = ask("keyserver.renewContentKey", {
  input: z.strictObject({ titleId: ContentId }),
  result: z.object({ data: z.object({ titleId: ContentId, generation: Generation, createdAt: Instant }) }),
  deadlineMs: 3_000,
  errors: ["TITLE_NOT_FOUND", "DATABASE_DOWN", "MASTER_KEY_MISSING"],
  rest: {
    method: "POST",
    path: "/titles/:titleId/keys",
    status: 201,
    scope: "playback:write",
    tag,
    summary: "Give a title another content key; players that have a former one go on.",
  },
});

export const KEY_OUTCOMES = [
  "delivered",
  "no-session",
  "session-ended",
  "other-title",
  "other-address",
  "no-such-key",
] as const;
export const KeyDelivery = z.object({
  id: z.uuid(),
  titleId: ContentId,
  generation: Generation.nullable(),
  sessionId: z.uuid().nullable(),
  viewer: z.string().nullable(),
  address: z.string(),
  outcome: z.enum(KEY_OUTCOMES),
  at: Instant,
});
export const listKeyDeliveries = ask("keyserver.keyDeliveries", {
  input: z.strictObject({ ...Page, titleId: ContentId }),
  result: z.object({ data: z.array(KeyDelivery), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/titles/:titleId/key-deliveries",
    scope: "playback:read",
    tag,
    summary: "Who was given a key of a title, and who was refused one, oldest first.",
  },
});

/** Ids and small words that every contract uses. */
import { z } from "zod";

/** A positive integer id; the text form (of a path or a query) is taken too. */
const IntegerId = z.union([
  z.int().positive(),
  z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be a positive integer")
    .transform(Number),
]);
export const ChannelId = IntegerId;
export const OriginId = IntegerId;
export const StreamerId = IntegerId;
export const TenantId = z.uuid();
/** Part of every live path: lower-case letters, digits and `-`, 1 to 63 characters. */
export const TenantSlug = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "lower-case letters, digits and -");
/** `<slug>.stream` as the playback document has it (P-07). */
export const StreamId = z
  .string()
  .regex(/^[a-z0-9]+(?:_[a-z0-9]+)*\.stream$/)
  .max(140);
/** RFC 3339, UTC, milliseconds. */
export const Instant = z.iso.datetime({ precision: 3 });

export const PAGE_LIMIT_MAX = 200;
export const PAGE_LIMIT_DEFAULT = 50;
const Limit = z.union([
  z.int().min(1).max(PAGE_LIMIT_MAX),
  z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(PAGE_LIMIT_MAX)),
]);
/** Fields of every list: an opaque cursor and a page size. */
export const Page = { cursor: z.string().max(500).optional(), limit: Limit.default(PAGE_LIMIT_DEFAULT) };
export const NextCursor = z.string().nullable();

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
const INSTANTS_END_MS = Date.UTC(10_000, 0, 1);
/** Of Unix time, and of four digits in UTC as well: what is written down can be read and shown again. */
export const isInstant = (ms: number): boolean => ms >= 0 && ms < INSTANTS_END_MS;
/** An instant that a client names, in any zone. */
export const GivenInstant = z.iso
  .datetime({ offset: true })
  .refine((text) => isInstant(Date.parse(text)), "must be within the years 1970 to 9999");

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
/** One of a search has its words and a name: 1,000 and 500 characters of 4/3 bytes. */
const CURSOR_CHARACTERS_MAX = 4_000;
/** Fields of every list: an opaque cursor and a page size. */
export const Page = {
  cursor: z.string().max(CURSOR_CHARACTERS_MAX).optional(),
  limit: Limit.default(PAGE_LIMIT_DEFAULT),
};
export const NextCursor = z.string().nullable();
/** ISO 3166-1 alpha-2. */
export const Country = z.string().regex(/^[A-Z]{2}$/, "must be two capital letters");

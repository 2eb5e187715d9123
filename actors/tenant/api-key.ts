/** The text of an API key: `ck_<tenant uuid, 32 hex>_<43 characters of 256 random bits>`. */
import { createHash, randomBytes, randomUUIDv7 } from "node:crypto";
import type { NewKeyRow } from "./tenant.store.ts";

const SECRET_BYTES = 32;
const SHOWN_OF_SECRET = 6; // 36 of 256 bits: enough to tell keys apart
const OWN_TEXT_SHOWN = 4;
const OWN_TEXT_SHOWN_FROM = 20; // a shorter text would lose too much of itself
const FORM = /^ck_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;

export const makeSecret = (tenantId: string): string =>
  `ck_${tenantId.replaceAll("-", "")}_${randomBytes(SECRET_BYTES).toString("base64url")}`;

export const hashOf = (secret: string): Buffer => createHash("sha256").update(secret).digest();

/** The tenant that a key of our own form names; undefined for any other text. */
export const tenantIdIn = (secret: string): string | undefined => FORM.exec(secret)?.slice(1).join("-");

/** The first characters, to tell keys apart; nothing of a short text. */
export const prefixOf = (secret: string): string => {
  if (FORM.test(secret)) return secret.slice(0, "ck_".length + 32 + "_".length + SHOWN_OF_SECRET);
  return secret.length < OWN_TEXT_SHOWN_FROM ? "" : secret.slice(0, OWN_TEXT_SHOWN);
};

/** The row that stands for a secret. */
export const keyRow = (
  secret: string,
  key: { tenantId: string; name: string; scopes: readonly string[] },
): NewKeyRow => ({
  id: randomUUIDv7(),
  tenantId: key.tenantId,
  name: key.name,
  secretSha256: hashOf(secret),
  prefix: prefixOf(secret),
  scopes: key.scopes,
});

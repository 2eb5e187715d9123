/** Clear Key licences (W3C Encrypted Media Extensions §9.1). */

/** A key that a licence may hold. */
export interface ClearKey {
  /** 16 bytes each. */
  readonly keyId: Buffer;
  readonly key: Buffer;
}

/** What a player asks a licence for (§9.1.3). */
export interface LicenceRequest {
  readonly keyIds: readonly Buffer[];
  readonly type: "temporary" | "persistent-license";
}

const KEY_IDS_MAX = 64;
const KEY_ID_BYTES = 16;
const BASE64_URL = /^[A-Za-z0-9_-]{22}$/;

/** Reads the licence request of §9.1.3 out of parsed JSON; null when it is none. */
export const readLicenceRequest = (json: unknown): LicenceRequest | null => {
  if (typeof json !== "object" || json === null) return null;
  const { kids, type = "temporary" } = json as { kids?: unknown; type?: unknown };
  if (type !== "temporary" && type !== "persistent-license") return null;
  if (!Array.isArray(kids) || kids.length === 0 || kids.length > KEY_IDS_MAX) return null;
  const keyIds = kids.flatMap((kid) =>
    typeof kid === "string" && BASE64_URL.test(kid) ? [Buffer.from(kid, "base64url")] : [],
  );
  return keyIds.length === kids.length && keyIds.every(({ length }) => length === KEY_ID_BYTES)
    ? { keyIds, type }
    : null;
};

/** The JSON Web Key set of §9.1.4, of those keys that were asked for; null when there is none of them. */
export const licenceText = ({ keyIds, type }: LicenceRequest, keys: readonly ClearKey[]): string | null => {
  const granted = keys.filter(({ keyId }) => keyIds.some((wanted) => wanted.equals(keyId)));
  if (granted.length === 0) return null;
  return JSON.stringify({
    keys: granted.map(({ keyId, key }) => ({
      kty: "oct",
      k: key.toString("base64url"),
      kid: keyId.toString("base64url"),
    })),
    type,
  });
};

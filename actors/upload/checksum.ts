/** `Upload-Checksum` (tus 1.0, extension checksum): of the bytes of one request. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { fail } from "../../contracts/errors.ts";

export const CHECKSUMS = ["sha1", "sha256", "md5", "crc32"] as const;
const FORM = /^([a-z0-9]{3,10}) ([A-Za-z0-9+/]{4,100}={0,2})$/;

export interface Checksum {
  update(bytes: Uint8Array): void;
  /** Fails with CHECKSUM_MISMATCH. */
  check(): void;
}

const crc = (): { update(bytes: Uint8Array): void; digest(): Buffer } => {
  let value = 0;
  return {
    update: (bytes) => {
      value = crc32(bytes, value);
    },
    digest: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    },
  };
};

/** Null without the header. Fails with BAD_INPUT for one that can't be read. */
export const checksumIn = (header: string | string[] | undefined): Checksum | null => {
  if (header === undefined) return null;
  const [, name = "", given = ""] = FORM.exec(String(header)) ?? [];
  const algorithm = CHECKSUMS.find((known) => known === name);
  if (!algorithm) {
    return fail("BAD_INPUT", { errors: [{ path: "Upload-Checksum", message: `knows ${CHECKSUMS.join(", ")}` }] });
  }
  const hash = algorithm === "crc32" ? crc() : createHash(algorithm);
  return {
    update: (bytes) => void hash.update(bytes),
    check: () => {
      if (!hash.digest().equals(Buffer.from(given, "base64"))) fail("CHECKSUM_MISMATCH");
    },
  };
};

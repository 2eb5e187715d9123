/** Versions of objects, made from whatever tells two contents apart, and the checks that stand on them. */
import { hash } from "node:crypto";
import { fail } from "../../contracts/errors.ts";
import type { SourceStat } from "./port.ts";

const VERSION_CHARACTERS = 16; // 96 bits: two contents of a path never share one

/** A version made of its parts. */
export const versionOf = (...parts: readonly (string | number | bigint | null)[]): string =>
  hash("sha256", parts.join("\n"), "base64url").slice(0, VERSION_CHARACTERS);

/** The stat of an object of which only size and time are known. */
export const statOf = (sizeBytes: number, modifiedMs: number | null): SourceStat => ({
  sizeBytes,
  modifiedMs,
  etag: null,
  version: versionOf(sizeBytes, modifiedMs),
});

/** SOURCE_CHANGED unless the object is still of the version that was opened. */
export const mustBeSame = (path: string, opened: SourceStat, now: SourceStat): void => {
  if (now.version !== opened.version) fail("SOURCE_CHANGED", { path });
};

/** SOURCE_TRUNCATED for a range that the opened object does not have; nothing is asked of the source for it. */
export const checkRange = (path: string, { sizeBytes }: SourceStat, offset: number, lengthBytes: number): void => {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new Error(`bug: a range of ${path} begins at ${offset}`);
  if (offset + lengthBytes > sizeBytes) fail("SOURCE_TRUNCATED", { path });
};

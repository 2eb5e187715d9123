/** Keys of objects and names of buckets: the same rules for every kind of store. */
import { fail } from "../../contracts/errors.ts";
import { checkedSourcePath, isSourcePath } from "../source/paths.ts";
import { BUCKETS, type Bucket, type ByteRange, type ObjectName } from "./port.ts";

/** A key as it came; PATH_REFUSED when not every kind of store could keep it. */
export const checkedKey = (key: string): string => {
  if (key.includes("\\")) fail("PATH_REFUSED", { path: key, reason: "it has a backslash" });
  return checkedSourcePath(key);
};

/** Whether a name that a store has could be asked for. */
export const isKey = (key: string): boolean => !key.includes("\\") && isSourcePath(key);

/** What keys are to begin with: any beginning of a key, the empty one too. */
export const checkedPrefix = (prefix: string): string => {
  const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf("/")));
  if (folder !== "") checkedKey(folder);
  if (/[\\\0]/.test(prefix) || prefix.startsWith("/")) {
    fail("PATH_REFUSED", { path: prefix, reason: "no key begins like this" });
  }
  return prefix;
};

/** Refuses a bucket that is none, whatever the types said. */
export const bucketName = (prefix: string, bucket: Bucket): string => {
  if (!BUCKETS.includes(bucket)) fail("PATH_REFUSED", { path: bucket, reason: "there is no such bucket" });
  return `${prefix}-${bucket}`;
};

/** `segments/a/b`: for logs and errors. */
export const textOf = ({ bucket, key }: ObjectName): string => `${bucket}/${key}`;

/** The part of a range that an object has, as HTTP clips it (RFC 9110 §14.1.2). */
export const clipped = (range: ByteRange | undefined, sizeBytes: number): ByteRange => {
  const { offset, lengthBytes } = range ?? { offset: 0, lengthBytes: sizeBytes };
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(lengthBytes) || lengthBytes < 0) {
    throw new Error(`bug: a range of ${lengthBytes} bytes at ${offset}`);
  }
  const begin = Math.min(offset, sizeBytes);
  return { offset: begin, lengthBytes: Math.min(lengthBytes, sizeBytes - begin) };
};

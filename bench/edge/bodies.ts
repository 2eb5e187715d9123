/** The bytes of the origin's objects: the same for a path in every process, so that an answer can be judged whole. */
import { createCipheriv } from "node:crypto";
import { crc32 } from "node:zlib";

export const MiB = 1024 * 1024;
const BODY_BYTES_MAX = 8 * MiB;
const OFFSETS = 4 * MiB;

const keystream = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2));
const PATTERN = keystream.update(Buffer.alloc(BODY_BYTES_MAX + OFFSETS));

/** Body of a path, at most 8 MiB; `version` makes it another one. */
export const bodyOf = (path: string, sizeBytes: number, version = 0): Buffer => {
  if (sizeBytes > BODY_BYTES_MAX) throw new RangeError(`a body of ${sizeBytes} bytes is too large`);
  const offset = crc32(`${path} ${version}`) % OFFSETS;
  return PATTERN.subarray(offset, offset + sizeBytes);
};

/** Validator of that body, without quotes and `W/`. */
export const tagOf = (path: string, version = 0): string => crc32(`${path} ${version}`).toString(16);

export const SLOW_BYTES = 4 * MiB;
export const CUT_BYTES = MiB;
export const SHORT_LIVED_BYTES = 2_000;

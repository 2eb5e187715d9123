/** Readers of files and of bytes, for tests; they count what is read. */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { RangeReader } from "../../domain/mp4/movie.ts";

export interface CountingReader extends RangeReader {
  /** Offset and length of each read, in order. */
  readonly reads: (readonly [offset: number, lengthBytes: number])[];
}

/** Reads that reach beyond the end are a bug of the caller. */
const counting = (sizeBytes: number, fill: (offset: number, target: Buffer) => void): CountingReader => {
  const reads: (readonly [number, number])[] = [];
  return {
    sizeBytes,
    reads,
    read: async (offset, lengthBytes) => {
      reads.push([offset, lengthBytes]);
      if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= sizeBytes))
        throw new RangeError(`bug: read of ${lengthBytes} at ${offset} of ${sizeBytes}`);
      const target = Buffer.allocUnsafeSlow(lengthBytes);
      fill(offset, target);
      return target;
    },
  };
};

export const readerOf = (bytes: Buffer): CountingReader =>
  counting(bytes.length, (offset, target) => void bytes.copy(target, 0, offset, offset + target.length));

/** Opens the file for each read: nothing is left open. */
export const fileReader = (file: string): CountingReader =>
  counting(statSync(file).size, (offset, target) => {
    const descriptor = openSync(file, "r");
    try {
      const read = readSync(descriptor, target, 0, target.length, offset);
      if (read !== target.length) throw new Error(`${file} is shorter than it was`);
    } finally {
      closeSync(descriptor);
    }
  });

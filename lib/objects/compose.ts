/**
 * How an object is put together of others by S3: which ranges the server copies by itself, as parts of one upload, and
 * which have to be sent. A part has a least size, but for the last: what is shorter is sent with what is behind it.
 */

/** A range of one of the objects. */
export interface Extent {
  /** Which of them, from 0. */
  readonly index: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** One extent is copied by the server; several are read, and sent as one. */
export type ComposedPart = readonly Extent[];

export interface PartLimits {
  readonly partBytesMin: number;
  /** Twice the least or more. */
  readonly partBytesMax: number;
  readonly partsMax: number;
}

const bytesOf = (part: ComposedPart): number => part.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);

const planned = (sizes: readonly number[], partBytesMin: number, partBytesMax: number): ComposedPart[] => {
  const parts: ComposedPart[] = [];
  let short: Extent[] = [];
  for (const [index, sizeBytes] of sizes.entries()) {
    let offset = 0;
    const take = (lengthBytes: number): Extent => {
      const extent = { index, offset, lengthBytes };
      offset += lengthBytes;
      return extent;
    };
    if (short.length > 0 && sizeBytes > 0) {
      const wanted = partBytesMin - bytesOf(short);
      short.push(take(sizeBytes - wanted < partBytesMin ? sizeBytes : wanted));
      if (bytesOf(short) >= partBytesMin) {
        parts.push(short);
        short = [];
      }
    }
    const left = sizeBytes - offset;
    if (left === 0) continue;
    if (left < partBytesMin) short.push(take(left));
    else {
      const lengthBytes = Math.ceil(left / Math.ceil(left / partBytesMax));
      while (offset < sizeBytes) parts.push([take(Math.min(lengthBytes, sizeBytes - offset))]);
    }
  }
  return short.length > 0 ? [...parts, short] : parts;
};

/** All bytes of objects of these sizes, in their order. Many short ones are sent in parts that are as few as may be. */
export const planParts = (sizes: readonly number[], limits: PartLimits): readonly ComposedPart[] => {
  const { partBytesMin, partBytesMax, partsMax } = limits;
  const parts = planned(sizes, partBytesMin, partBytesMax);
  if (parts.length <= partsMax) return parts;
  const totalBytes = sizes.reduce((sum, sizeBytes) => sum + sizeBytes, 0);
  const leastBytes = Math.ceil(totalBytes / (partsMax - 1));
  return planned(sizes, leastBytes, Math.max(partBytesMax, 2 * leastBytes));
};

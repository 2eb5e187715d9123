/** Copies the objects that were hit ahead of the slab that goes: a log that only forgot the oldest would be a FIFO. */
import type { Appender } from "./append.ts";
import { type BlockBuffers, DiskReadError, openRecord } from "./disk-object.ts";
import { ENTRY_KINDS } from "./journal.ts";
import type { ObjectIndex } from "./object-index.ts";
import type { SlabLog } from "./slab-log.ts";

/** A quarter of a slab: of four bytes that are written three at least are new. */
const SHARE_MAX = 1 / 4;

interface ReadmitParts {
  readonly index: ObjectIndex;
  readonly slabs: SlabLog;
  readonly appender: Appender;
  readonly buffers: BlockBuffers;
}

/** Copies hit objects out of a slab, as many as its share allows. What is damaged is left behind. */
export const readmit = async (slabId: number, parts: ReadmitParts): Promise<void> => {
  let leftBytes = parts.slabs.slabBytes * SHARE_MAX;
  for (const entry of parts.index.inSlab(slabId, { hitOnly: true })) {
    leftBytes -= await copyAhead(slabId, entry, { ...parts, leftBytes });
  }
};

/** How many bytes were written. */
const copyAhead = async (
  slabId: number,
  entry: number,
  { index, slabs, appender, buffers, leftBytes }: ReadmitParts & { leftBytes: number },
): Promise<number> => {
  const [hash, before] = [index.hashOf(entry), index.placeOf(entry)];
  if (before.bodySlabId !== slabId) return 0; // removed meanwhile
  try {
    const record = await openRecord(slabs, before, buffers);
    if (!record) return 0;
    try {
      const recordBytes = record.bodyPlace.sizeBytes + record.meta.length;
      if (recordBytes > leftBytes || !slabs.hasRoomFor(recordBytes)) return 0;
      let at = 0;
      const take = async (target: Uint8Array): Promise<void> => {
        await record.read(at, target);
        at += target.length;
      };
      const { meta, sizeBytes: bodyBytes } = record;
      const place = await appender.append({ key: Buffer.from(record.key), meta, bodyBytes, take });
      if (index.isAt(hash, before)) {
        index.set(hash, place);
        slabs.note(ENTRY_KINDS.put, hash, place);
      }
      return place.sizeBytes;
    } finally {
      record.close();
    }
  } catch (error) {
    if (error instanceof DiskReadError) return 0;
    throw error;
  }
};

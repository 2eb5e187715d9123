/** Writing a record to the end of the log. */
import { BLOCK_BYTES, blockCountOf } from "./block-sum.ts";
import type { Place } from "./object-index.ts";
import { type BodyPlace, headBytesOf, sumBlocks, writeHead } from "./record.ts";
import type { SlabLog } from "./slab-log.ts";

const STAGE_BYTES = 4 * BLOCK_BYTES;

/** A record that is to be written. */
export interface NewRecord {
  /** UTF-8. */
  readonly key: Buffer;
  readonly meta: Buffer;
  readonly bodyBytes: number;
  /** Fills the target with the body's next bytes. */
  readonly take: (target: Uint8Array) => void | Promise<void>;
  /** Of a record that has only metadata; it has no body then. */
  readonly bodyPlace?: BodyPlace;
}

/** The length of a record on the disk. */
export const recordBytesOf = ({ key, meta, bodyBytes }: Omit<NewRecord, "take">): number =>
  headBytesOf({ keyBytes: key.length, metaBytes: meta.length, bodyBytes }) + bodyBytes;

/**
 * Copies bodies through one buffer of 1 MiB: they come in parts of any length and in memory of any kind, and are summed
 * and written in pieces that end at a block's border. One record at a time.
 */
export class Appender {
  readonly #log: SlabLog;
  readonly #stage = Buffer.allocUnsafeSlow(STAGE_BYTES);

  constructor(log: SlabLog) {
    this.#log = log;
  }

  /** Where the record is. Rejects with what the disk or the body's source says; nothing counts as written then. */
  async append(record: NewRecord): Promise<Place> {
    const sizeBytes = recordBytesOf(record);
    const headBytes = sizeBytes - record.bodyBytes;
    const { slab, offset } = await this.#log.roomFor(sizeBytes);
    const sums = new Uint32Array(blockCountOf(record.bodyBytes));
    const isSmall = sizeBytes <= STAGE_BYTES;
    for (let at = 0; at < record.bodyBytes; at += STAGE_BYTES) {
      const from = isSmall ? headBytes : 0;
      const piece = this.#stage.subarray(from, from + Math.min(STAGE_BYTES, record.bodyBytes - at));
      await record.take(piece);
      sumBlocks(piece, sums, at / BLOCK_BYTES);
      if (!isSmall) await slab.data.write(piece, offset + headBytes + at);
    }
    const head = this.#stage.subarray(0, headBytes);
    const headCrc = writeHead(head, { ...record, sums });
    await slab.data.write(isSmall ? this.#stage.subarray(0, sizeBytes) : head, offset);
    this.#log.took(slab, sizeBytes);
    return { slabId: slab.id, offset, sizeBytes, headCrc, bodySlabId: record.bodyPlace?.slabId ?? slab.id };
  }
}

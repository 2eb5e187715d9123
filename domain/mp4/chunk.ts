/** Writes CMAF chunks: one `moof` and its `mdat` (ISO/IEC 23000-19 §7.3.2, 14496-12 §8.8). */
import type { Sample } from "./fragment.ts";

// styp 24 + moof 8 + mfhd 16 + traf 8 + tfhd 16 + tfdt 20 + trun 20 + mdat 8
const STYP = Buffer.from("\0\0\0\x18stypmsdh\0\0\0\0msdhcmfs", "latin1"); // 23009-1 §6.3.4.2, 23000-19 §7.3.3
const MOOF_FIXED_BYTES = 88;
const SAMPLE_BYTES = 12;
const SYNC_SAMPLE = 0x02000000; // depends on no other sample
const NON_SYNC_SAMPLE = 0x01010000;
const TRUN_FLAGS = 0x701; // data offset; duration, size and flags per sample
const TRUN_CTO = 0x800;
const DEFAULT_BASE_IS_MOOF = 0x020000;

export interface ChunkOptions {
  readonly sequenceNumber: number;
  readonly kind: "video" | "audio";
  /** Of the first sample, in the track's timescale. */
  readonly baseDts: number;
  /** The chunk begins a segment: `styp` goes in front (§8.16.2). */
  readonly first: boolean;
}

const writeText = (to: Buffer, at: number, size: number, type: string): number => {
  to.writeUInt32BE(size, at);
  to.write(type, at + 4, "latin1");
  return at + 8;
};

/** One allocation: head and sample data are copied once into the chunk that viewers get. */
export const buildChunk = (samples: readonly Sample[], options: ChunkOptions): Buffer => {
  const { kind, baseDts, first } = options;
  const hasOffsets = samples.some(({ compositionOffset }) => compositionOffset !== 0);
  const perSample = SAMPLE_BYTES + (hasOffsets ? 4 : 0);
  const moofBytes = MOOF_FIXED_BYTES + samples.length * perSample;
  const dataBytes = samples.reduce((sum, { data }) => sum + data.length, 0);
  const stypBytes = first ? STYP.length : 0;
  const out = Buffer.allocUnsafe(stypBytes + moofBytes + 8 + dataBytes);
  if (first) STYP.copy(out);
  let at = writeText(out, stypBytes, moofBytes, "moof");
  at = writeText(out, at, 16, "mfhd");
  out.writeUInt32BE(0, at);
  out.writeUInt32BE(options.sequenceNumber >>> 0, at + 4);
  at = writeText(out, at + 8, moofBytes - 24, "traf");
  at = writeText(out, at, 16, "tfhd");
  out.writeUInt32BE(DEFAULT_BASE_IS_MOOF, at);
  out.writeUInt32BE(1, at + 4);
  at = writeText(out, at + 8, 20, "tfdt");
  out.writeUInt32BE(0x01000000, at);
  out.writeBigInt64BE(BigInt(baseDts), at + 4);
  at = writeText(out, at + 12, 20 + samples.length * perSample, "trun");
  out.writeUInt32BE(0x01000000 | TRUN_FLAGS | (hasOffsets ? TRUN_CTO : 0), at);
  out.writeUInt32BE(samples.length, at + 4);
  out.writeUInt32BE(moofBytes + 8, at + 8);
  at += 12;
  for (const sample of samples) {
    out.writeUInt32BE(sample.duration, at);
    out.writeUInt32BE(sample.data.length, at + 4);
    out.writeUInt32BE(kind === "audio" || sample.key ? SYNC_SAMPLE : NON_SYNC_SAMPLE, at + 8);
    if (hasOffsets) out.writeInt32BE(sample.compositionOffset, at + 12);
    at += perSample;
  }
  at = writeText(out, at, dataBytes + 8, "mdat");
  for (const { data } of samples) at += data.copy(out, at);
  return out;
};

/** Changes the duration of the last sample of a chunk made by `buildChunk`, by so many units. */
export const lengthenLastSample = (chunk: Buffer, by: number): void => {
  const moofAt = chunk.toString("latin1", 4, 8) === "styp" ? STYP.length : 0;
  const entriesAt = moofAt + MOOF_FIXED_BYTES;
  const perSample = SAMPLE_BYTES + (chunk.readUInt32BE(entriesAt - 12) & TRUN_CTO ? 4 : 0);
  const at = entriesAt + (chunk.readUInt32BE(entriesAt - 8) - 1) * perSample;
  chunk.writeUInt32BE(chunk.readUInt32BE(at) + by, at);
};

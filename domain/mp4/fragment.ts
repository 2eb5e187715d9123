/** Reads the samples of one movie fragment (ISO/IEC 14496-12 §8.8). */
import { childrenOf } from "./walk.ts";

export interface Sample {
  /** Decode time in the track's timescale; negative near a 33-bit wrap of the source. */
  readonly dts: number;
  readonly duration: number;
  readonly compositionOffset: number;
  /** A sync sample. */
  readonly key: boolean;
  readonly data: Buffer;
}

const TFHD = { baseDataOffset: 0x1, descriptionIndex: 0x2, duration: 0x8, size: 0x10, flags: 0x20 } as const;
const TRUN = { dataOffset: 0x1, firstFlags: 0x4, duration: 0x100, size: 0x200, flags: 0x400, cto: 0x800 } as const;
const SAMPLES_MAX = 10_000; // one is what our encoder writes; a count alone must not keep us busy
const NON_SYNC = 0x10000; // sample_is_non_sync_sample, §8.8.3.1

interface Defaults {
  duration: number;
  size: number;
  flags: number;
}

const flagsOf = (box: Buffer): number => box.readUInt32BE(8) & 0xffffff;
/** Signed: ffmpeg writes a time before the wrap as a negative one. */
const int64 = (box: Buffer, at: number): number => box.readInt32BE(at) * 2 ** 32 + box.readUInt32BE(at + 4);

const readTfhd = (tfhd: Buffer): Defaults => {
  const flags = flagsOf(tfhd);
  let at = 16 + (flags & TFHD.baseDataOffset ? 8 : 0) + (flags & TFHD.descriptionIndex ? 4 : 0);
  const next = (wanted: number): number => {
    if (!(flags & wanted)) return 0;
    at += 4;
    return tfhd.readUInt32BE(at - 4);
  };
  return { duration: next(TFHD.duration), size: next(TFHD.size), flags: next(TFHD.flags) };
};

interface Run {
  readonly trun: Buffer;
  readonly defaults: Defaults;
  readonly dts: number;
  readonly moofBytes: number;
  readonly mdat: Buffer;
}

const readRun = ({ trun, defaults, dts: firstDts, moofBytes, mdat }: Run, into: Sample[]): number => {
  const flags = flagsOf(trun);
  const sampleCount = trun.readUInt32BE(12);
  if (sampleCount > SAMPLES_MAX) throw new Error(`${sampleCount} samples in a fragment`);
  const signedOffsets = trun.readUInt8(8) === 1;
  let at = 16;
  let dataAt = 8;
  if (flags & TRUN.dataOffset) {
    dataAt = trun.readInt32BE(at) - moofBytes; // counted from the moof's first byte; mdat follows it
    at += 4;
  }
  let firstFlags: number | undefined;
  if (flags & TRUN.firstFlags) {
    firstFlags = trun.readUInt32BE(at);
    at += 4;
  }
  const field = (wanted: number, otherwise: number): number => {
    if (!(flags & wanted)) return otherwise;
    at += 4;
    return trun.readUInt32BE(at - 4);
  };
  let dts = firstDts;
  for (let index = 0; index < sampleCount; index += 1) {
    const duration = field(TRUN.duration, defaults.duration);
    const size = field(TRUN.size, defaults.size);
    const sampleFlags = field(TRUN.flags, index === 0 && firstFlags !== undefined ? firstFlags : defaults.flags);
    const offset = field(TRUN.cto, 0);
    const compositionOffset = signedOffsets ? offset | 0 : offset;
    if (dataAt < 8 || dataAt + size > mdat.length) throw new Error("a sample outside of its mdat");
    into.push({
      dts,
      duration,
      compositionOffset,
      key: !(sampleFlags & NON_SYNC),
      data: mdat.subarray(dataAt, dataAt + size),
    });
    dataAt += size;
    dts += duration;
  }
  return dts;
};

/** Samples of a fragment with one track, in decode order. Their data are views into `mdat`. */
export const parseFragment = (moof: Buffer, mdat: Buffer): Sample[] => {
  const samples: Sample[] = [];
  for (const { type, box } of childrenOf(moof)) {
    if (type !== "traf") continue;
    let defaults: Defaults = { duration: 0, size: 0, flags: 0 };
    let dts = 0;
    for (const part of childrenOf(box)) {
      if (part.type === "tfhd") defaults = readTfhd(part.box);
      else if (part.type === "tfdt")
        dts = part.box.readUInt8(8) === 1 ? int64(part.box, 12) : part.box.readUInt32BE(12);
      else if (part.type === "trun")
        dts = readRun({ trun: part.box, defaults, dts, moofBytes: moof.length, mdat }, samples);
    }
  }
  return samples;
};

/** Boxes of a protected track in a movie fragment (ISO/IEC 23001-7 §7.2, ISO/IEC 14496-12 §8.7.8, §8.7.9). */
import type { TrackFragmentBoxes } from "../mp4/movie-fragment.ts";
import { type ProtectionScheme, SAMPLE_IV_BYTES } from "./protection.ts";
import type { Subsamples } from "./subsamples.ts";

/** What is encrypted of one track of a fragment, as its head tells it and its cipher does it. */
export interface ProtectedSamples {
  readonly scheme: ProtectionScheme;
  readonly count: number;
  /** `cenc`: IV of the first sample; each next one's is one more. */
  readonly firstIv: bigint;
  /** Null: whole samples are protected (audio). */
  readonly subsamples: Subsamples | null;
}

const FULL_BOX_BYTES = 12;
const SENC_BYTES = FULL_BOX_BYTES + 4;
const SAIZ_BYTES = FULL_BOX_BYTES + 5;
const SAIO_BYTES = FULL_BOX_BYTES + 8;
const HAS_SUBSAMPLES = 0x2;
const COUNT_BYTES = 2;
const ENTRY_BYTES = 6;

const fullBoxHead = (out: Buffer, at: number, head: { size: number; type: string; flags?: number }): number => {
  out.writeUInt32BE(head.size, at);
  out.write(head.type, at + 4, "latin1");
  return out.writeUInt32BE(head.flags ?? 0, at + 8);
};

/** IV of a sample by its distance from the first one, modulo 2^64. */
export const sampleIv = (firstIv: bigint, index: number): bigint => BigInt.asUintN(64, firstIv + BigInt(index));

class SampleEncryptionBoxes implements TrackFragmentBoxes {
  readonly sizeBytes: number;
  readonly #samples: ProtectedSamples;
  readonly #ivBytes: number;
  /** Of each sample's information when it is the same for all; 0: `saiz` has a size for each. */
  readonly #evenBytes: number;
  readonly #sencBytes: number;

  constructor(samples: ProtectedSamples) {
    this.#samples = samples;
    this.#ivBytes = samples.scheme === "cenc" ? SAMPLE_IV_BYTES : 0;
    const { count, subsamples } = samples;
    let [infoBytes, isEven] = [0, true];
    for (let index = 0; index < count; index += 1) {
      infoBytes += this.#infoBytes(index);
      if (this.#infoBytes(index) !== this.#infoBytes(0)) isEven = false;
    }
    this.#evenBytes = isEven ? this.#infoBytes(0) : 0;
    this.#sencBytes = SENC_BYTES + infoBytes;
    // A constant IV and whole samples: nothing is to be told (23001-7 §7.1).
    const isTold = count > 0 && (subsamples !== null || this.#ivBytes > 0);
    this.sizeBytes = isTold ? this.#sencBytes + SAIZ_BYTES + (isEven ? 0 : count) + SAIO_BYTES : 0;
  }

  #infoBytes(index: number): number {
    const { subsamples } = this.#samples;
    if (!subsamples) return this.#ivBytes;
    const entries = subsamples.starts[index + 1]! - subsamples.starts[index]!;
    return this.#ivBytes + COUNT_BYTES + ENTRY_BYTES * entries;
  }

  write(out: Buffer, at: number, moofAt: number): number {
    if (this.sizeBytes === 0) return at;
    const { count, subsamples } = this.#samples;
    const saizBytes = SAIZ_BYTES + (this.#evenBytes === 0 ? count : 0);
    let next = fullBoxHead(out, at, { size: saizBytes, type: "saiz" });
    next = out.writeUInt8(this.#evenBytes, next);
    next = out.writeUInt32BE(count, next);
    if (this.#evenBytes === 0)
      for (let index = 0; index < count; index += 1) next = out.writeUInt8(this.#infoBytes(index), next);
    next = fullBoxHead(out, next, { size: SAIO_BYTES, type: "saio" });
    next = out.writeUInt32BE(1, next);
    next = out.writeUInt32BE(next + 4 + SENC_BYTES - moofAt, next);
    const flags = subsamples ? HAS_SUBSAMPLES : 0;
    next = fullBoxHead(out, next, { size: this.#sencBytes, type: "senc", flags });
    next = out.writeUInt32BE(count, next);
    return this.#writeInfo(out, next);
  }

  #writeInfo(out: Buffer, start: number): number {
    const { count, subsamples, firstIv } = this.#samples;
    let at = start;
    for (let index = 0; index < count; index += 1) {
      if (this.#ivBytes > 0) at = out.writeBigUInt64BE(sampleIv(firstIv, index), at);
      if (!subsamples) continue;
      const { starts, clearBytes, protectedBytes } = subsamples;
      const end = starts[index + 1]!;
      at = out.writeUInt16BE(end - starts[index]!, at);
      for (let entry = starts[index]!; entry < end; entry += 1) {
        at = out.writeUInt16BE(clearBytes[entry]!, at);
        at = out.writeUInt32BE(protectedBytes[entry]!, at);
      }
    }
    return at;
  }
}

/** `saiz`, `saio` and `senc` for a track of `planFragment`. */
export const sampleEncryptionBoxes = (samples: ProtectedSamples): TrackFragmentBoxes =>
  new SampleEncryptionBoxes(samples);

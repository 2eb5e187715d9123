/**
 * NAL units of a sample, from length prefixes (ISO/IEC 14496-15 §4.3.2) to start codes (ITU-T H.264 and H.265 Annex B).
 */
import { ESCAPED_GROWTH, type SampleEncryption } from "./sample-aes.ts";
import type { NalSyntax, VideoStream } from "./video-stream.ts";

const START_CODE_BYTES = 4;
/** A delimiter has two or three; what says that it is longer is damaged, and stays where it is. */
const DELIMITER_BYTES_MAX = 16;
const SLICE_TYPE_MAX = 31; // H.265 Table 7-1: VCL units

/**
 * One sample at a time; its fields say where its bytes are and what is in it. Never reads behind the sample's end: a
 * length that leads out of it is cut there.
 */
export class AccessUnit {
  /** Where the bytes to be sent begin and end; a delimiter at the front is not among them. */
  at = 0;
  end = 0;
  /** The sample's own delimiter with its start code; 0 bytes where it has none. */
  delimiterAt = 0;
  delimiterBytes = 0;
  /** Kinds of parameter sets that are there, as in `ParameterSet.kind`. */
  setKinds = 0;
  /** `nuh_temporal_id_plus1` of the picture (H.265 §7.4.2.2); a delimiter must have the same. */
  temporalIdPlus1 = 1;
  readonly syntax: NalSyntax;
  #unitCount = 0;
  #hasSlice = false;

  constructor(syntax: NalSyntax) {
    this.syntax = syntax;
  }

  /** Puts start codes in place of lengths of four bytes. */
  inPlace(bytes: Uint8Array, at: number, size: number): void {
    this.#begin(at);
    const end = at + size;
    let unit = at;
    while (unit + START_CODE_BYTES < end) {
      const told = ((bytes[unit]! << 24) | (bytes[unit + 1]! << 16) | (bytes[unit + 2]! << 8) | bytes[unit + 3]!) >>> 0;
      const length = Math.min(told, end - unit - START_CODE_BYTES);
      if (length > 0) {
        // A length of zero stays: four zero bytes are padding between units.
        bytes[unit] = 0;
        bytes[unit + 1] = 0;
        bytes[unit + 2] = 0;
        bytes[unit + 3] = 1;
        this.#note(bytes, unit, length);
      }
      unit += START_CODE_BYTES + length;
    }
    this.end = unit;
    this.#leaveDelimiter();
  }

  /** Copies the units to `target` with start codes in place of lengths, encrypted if wanted. */
  expanded(bytes: Buffer, sample: GrowingSample): void {
    const { at, size, lengthBytes, target, encryption } = sample;
    this.#begin(target);
    const end = at + size;
    let unit = at;
    let to = target;
    while (unit + lengthBytes < end) {
      let told = 0;
      for (let index = 0; index < lengthBytes; index += 1) told = told * 256 + bytes[unit + index]!;
      unit += lengthBytes;
      const length = Math.min(told, end - unit);
      if (length > 0) {
        const unitAt = to + START_CODE_BYTES;
        bytes.fill(0, to, to + 3);
        bytes[to + 3] = 1;
        const unitEnd = encryption?.unit(bytes, unitAt, { from: unit, length }) ?? unitAt + length;
        if (!encryption) bytes.copyWithin(unitAt, unit, unit + length);
        this.#note(bytes, to, length);
        to = unitEnd;
      }
      unit += length;
    }
    this.end = to;
    this.#leaveDelimiter();
  }

  #begin(at: number): void {
    this.at = at;
    this.delimiterBytes = 0;
    this.setKinds = 0;
    this.temporalIdPlus1 = 1;
    this.#unitCount = 0;
    this.#hasSlice = false;
  }

  #note(bytes: Uint8Array, at: number, length: number): void {
    const { isHevc, delimiterType, firstSetType, setTypeCount } = this.syntax;
    const head = bytes[at + START_CODE_BYTES]!;
    const type = isHevc ? (head >> 1) & 63 : head & 31;
    if (type === delimiterType && this.#unitCount === 0 && length <= DELIMITER_BYTES_MAX) {
      this.delimiterAt = at;
      this.delimiterBytes = START_CODE_BYTES + length;
    } else if (type >= firstSetType && type < firstSetType + setTypeCount) {
      this.setKinds |= 1 << (type - firstSetType);
    } else if (isHevc && type <= SLICE_TYPE_MAX && !this.#hasSlice && length > 1) {
      this.#hasSlice = true;
      this.temporalIdPlus1 = bytes[at + START_CODE_BYTES + 1]! & 7;
    }
    this.#unitCount += 1;
  }

  /** A delimiter is sent from the front of the PES packet, before parameter sets that are put in. */
  #leaveDelimiter(): void {
    if (this.delimiterBytes > 0) this.at = this.delimiterAt + this.delimiterBytes;
  }
}

/** A sample that has other bytes in the stream than in the file. */
export interface GrowingSample {
  readonly at: number;
  readonly size: number;
  /** Bytes of a length prefix. */
  readonly lengthBytes: number;
  /** Null: it stays clear. */
  readonly encryption: SampleEncryption | null;
  /** Room for `growth` times its size. */
  readonly target: number;
}

/**
 * How many times its size a sample may have in the stream: units of one byte are the worst, or emulated start codes.
 */
export const growth = ({ nalLengthBytes, isEncrypted }: VideoStream): number =>
  ((START_CODE_BYTES + 1) / (nalLengthBytes + 1)) * (isEncrypted ? ESCAPED_GROWTH : 1);

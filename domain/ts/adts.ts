/** ADTS headers (ISO/IEC 14496-3 §1.A.2.2) from an AudioSpecificConfig (§1.6.2.1). */
import { Bits } from "../mp4/bits.ts";
import { ownCopy } from "../mp4/box-view.ts";

/** frame_length has 13 bits and counts the header. */
export const ADTS_FRAME_BYTES_MAX = 8191;
const EXTENSION = { sbr: 5, ps: 29 } as const;
const ESCAPE_TYPE = 31;
const ESCAPE_RATE = 15;
/** Main, LC, SSR, LTP: the profile has two bits. */
const PROFILE_TYPE_MAX = 4;
const IN_BAND_CHANNELS = 0;
/** The header has three bits for it. */
const CHANNEL_CONFIGURATION_MAX = 7;
const PROGRAM_CONFIG_ELEMENT = 5;
/** Lower ends of the ranges that stand for a sampling_frequency_index where the rate is told outright (Table 4.82). */
const RATE_RANGES = [92_017, 75_132, 55_426, 46_009, 37_566, 27_713, 23_004, 18_783, 13_856, 11_502, 9_391, 0];
const RATE_INDEX_MAX = 12; // 7,350 Hz

class BitWriter {
  readonly bytes: number[] = [];
  #free = 0;

  write(value: number, bitCount: number): void {
    for (let bit = bitCount - 1; bit >= 0; bit -= 1) {
      if (this.#free === 0) {
        this.bytes.push(0);
        this.#free = 8;
      }
      this.#free -= 1;
      this.bytes[this.bytes.length - 1]! |= ((value >> bit) & 1) << this.#free;
    }
  }
  align(): void {
    this.#free = 0;
  }
}

const objectType = (bits: Bits): number => {
  const type = bits.read(5);
  return type === ESCAPE_TYPE ? 32 + bits.read(6) : type;
};
const rateIndex = (bits: Bits): number => {
  const index = bits.read(4);
  if (index !== ESCAPE_RATE) return index;
  const rate = bits.read(24);
  return RATE_RANGES.findIndex((from) => rate >= from);
};

/** program_config_element (§4.4.1.1), moved from where it lies in the configuration to the start of a frame. */
const movedProgramConfig = (bits: Bits): number[] => {
  const out = new BitWriter();
  const copy = (bitCount: number): number => {
    const value = bits.read(bitCount);
    out.write(value, bitCount);
    return value;
  };
  out.write(PROGRAM_CONFIG_ELEMENT, 3);
  copy(4 + 2 + 4);
  const [front, side, back, lfe, associated, coupling] = [copy(4), copy(4), copy(4), copy(2), copy(3), copy(4)];
  for (const mixdownBits of [4, 4, 3]) if (copy(1) === 1) copy(mixdownBits);
  for (let element = 0; element < front + side + back; element += 1) copy(1 + 4);
  for (let element = 0; element < lfe + associated; element += 1) copy(4);
  for (let element = 0; element < coupling; element += 1) copy(1 + 4);
  out.align();
  out.write(0, 8); // the comment stays out: this goes before each frame
  return out.bytes;
};

export interface Adts {
  /** What stands before each frame: the header with a length of 0, then the channels where no number says them. */
  readonly header: Buffer;
}
/** Why there is no such header. */
export interface NoAdts {
  readonly reason: string;
}

/**
 * Header of the core stream: that of HE-AAC says AAC LC at its core's rate, a decoder finds the extension by itself.
 * Throws a MovieError when the configuration is cut off.
 */
export const adtsOf = (audioSpecificConfig: Uint8Array): Adts | NoAdts => {
  const bits = new Bits(audioSpecificConfig, "the AudioSpecificConfig");
  let type = objectType(bits);
  const rate = rateIndex(bits);
  const channels = bits.read(4);
  if (type === EXTENSION.sbr || type === EXTENSION.ps) {
    rateIndex(bits);
    type = objectType(bits);
  }
  if (type < 1 || type > PROFILE_TYPE_MAX) return { reason: `audio object type ${type}` };
  if (bits.read(1) === 1) return { reason: "frames of 960 samples" };
  if (bits.read(1) === 1) bits.read(14); // coreCoderDelay
  bits.read(1); // extensionFlag
  if (rate > RATE_INDEX_MAX) return { reason: `sampling frequency index ${rate}` };
  if (channels > CHANNEL_CONFIGURATION_MAX) return { reason: `channel configuration ${channels}` };
  const profile = type - 1;
  const fixed = [0xff, 0xf1, (profile << 6) | (rate << 2) | (channels >> 2), (channels & 3) << 6, 0, 0x1f, 0xfc];
  const inBand = channels === IN_BAND_CHANNELS ? movedProgramConfig(bits) : [];
  return { header: ownCopy(Uint8Array.from([...fixed, ...inBand])) };
};

/** Writes the length into a header of `adtsOf` that was copied to `at`; `frameBytes` counts header and frame. */
export const sealAdts = (bytes: Uint8Array, at: number, frameBytes: number): void => {
  bytes[at + 3]! |= frameBytes >> 11;
  bytes[at + 4] = frameBytes >> 3;
  bytes[at + 5] = ((frameBytes & 7) << 5) | 0x1f;
};

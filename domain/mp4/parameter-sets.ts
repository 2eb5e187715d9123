/** Parameter sets as decoder configurations carry them, in the order in which they are sent in band. */
import { type BoxView, damaged, ownCopy } from "./box-view.ts";

/** What a video track needs besides its samples. */
export interface NalConfig {
  /** Bytes of a NAL unit's length prefix. */
  readonly nalLengthBytes: number;
  readonly parameterSets: readonly Buffer[];
}

const unitsAt = (box: BoxView, from: number, count: number): { units: Buffer[]; end: number } => {
  const units: Buffer[] = [];
  let at = from;
  for (let index = 0; index < count; index += 1) {
    const length = box.u16(at);
    units.push(ownCopy(box.slice(at + 2, length)));
    at += 2 + length;
  }
  return { units, end: at };
};

/** `lengthSizeMinusOne` (ISO/IEC 14496-15 §5.3.3.1.3): 2 is not allowed. */
const lengthBytes = (bits: number): number =>
  (bits & 3) === 2 ? damaged("a NAL unit length of 3 bytes") : (bits & 3) + 1;

/** SPS, then PPS of `avcC` (ISO/IEC 14496-15 §5.3.3.1). */
export const readAvcC = (avcC: BoxView): NalConfig => {
  const sps = unitsAt(avcC, 6, avcC.u8(5) & 0x1f);
  const pps = unitsAt(avcC, sps.end + 1, avcC.u8(sps.end));
  return { nalLengthBytes: lengthBytes(avcC.u8(4)), parameterSets: [...sps.units, ...pps.units] };
};

const PARAMETER_SET_TYPES = [32, 33, 34]; // VPS, SPS, PPS

/** VPS, SPS, then PPS of `hvcC` (ISO/IEC 14496-15 §8.3.3.1). */
export const readHvcC = (hvcC: BoxView): NalConfig => {
  const byType = new Map<number, Buffer[]>();
  let at = 23;
  for (let arrays = hvcC.u8(22); arrays > 0; arrays -= 1) {
    const type = hvcC.u8(at) & 0x3f;
    const { units, end } = unitsAt(hvcC, at + 3, hvcC.u16(at + 1));
    byType.set(type, [...(byType.get(type) ?? []), ...units]);
    at = end;
  }
  const parameterSets = PARAMETER_SET_TYPES.flatMap((type) => byType.get(type) ?? []);
  return { nalLengthBytes: lengthBytes(hvcC.u8(21)), parameterSets };
};

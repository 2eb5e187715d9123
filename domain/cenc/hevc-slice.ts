/** Slice segment headers of HEVC (ISO/IEC 23008-2 §7.3.6), as far as their length needs it. */
import {
  ceilLog2,
  type HevcPicture,
  type HevcSequence,
  type ReferenceSet,
  readPicture,
  readReferenceSet,
  readSequence,
} from "./hevc-parameters.ts";
import { learn, NalError, NalReader } from "./nal-reader.ts";
import type { SliceReader } from "./slice.ts";

const SPS = 33;
const PPS = 34;
const SLICE_TYPES_END = 32; // VCL NAL unit types, table 7-1
const IRAP = { first: 16, last: 23 } as const;
const IDR: ReadonlySet<number> = new Set([19, 20]);
const REFS_MAX = 16;
const LONG_TERM_MAX = 32;
const ENTRY_POINTS_MAX = 440 * 20; // rows of blocks × tile columns, the most of any level (table A.8)
const EXTENSION_BYTES_MAX = 256;
const TYPE = { b: 0, p: 1 } as const;

type Context = HevcSequence & HevcPicture;

const usedCount = ({ negative, positive }: ReferenceSet): number =>
  [...negative, ...positive].filter(({ used }) => used).length;

/** Gives how many of them the picture uses. */
const readLongTerm = (bits: NalReader, { longTermUsed, pocBits }: Context): number => {
  const told = longTermUsed.length > 0 ? bits.ue(LONG_TERM_MAX) : 0;
  const count = told + bits.ue(LONG_TERM_MAX);
  let used = 0;
  for (let index = 0; index < count; index += 1) {
    let isUsed: boolean;
    if (index < told) isUsed = longTermUsed[bits.bits(ceilLog2(longTermUsed.length))] ?? false;
    else {
      bits.skip(pocBits);
      isUsed = bits.flag();
    }
    if (isUsed) used += 1;
    if (bits.flag()) bits.ue();
  }
  return used;
};

/** References of anything but an IDR: NumPicTotalCurr, (7-55), and whether motion vectors of others are used. */
const readReferences = (
  bits: NalReader,
  context: Context,
): { readonly total: number; readonly temporalMvp: boolean } => {
  bits.skip(context.pocBits);
  const { referenceSets } = context;
  let set: ReferenceSet | undefined;
  if (bits.flag()) set = referenceSets[bits.bits(ceilLog2(referenceSets.length))];
  else set = readReferenceSet(bits, referenceSets, { inSlice: true });
  if (!set) throw new NalError("a reference set that is not there");
  const longTerm = context.longTerm ? readLongTerm(bits, context) : 0;
  return { total: usedCount(set) + longTerm, temporalMvp: context.temporalMvp && bits.flag() };
};

/** `pred_weight_table`, §7.3.6.3; without layers, each picture has its flags. */
const skipWeights = (bits: NalReader, refCounts: readonly number[], { hasChroma }: Context): void => {
  bits.ue(7);
  if (hasChroma) bits.se();
  for (const count of refCounts) {
    const luma = Array.from({ length: count }, () => bits.flag());
    const chroma = Array.from({ length: count }, () => hasChroma && bits.flag());
    for (let index = 0; index < count; index += 1) bits.skipCodes((luma[index] ? 2 : 0) + (chroma[index] ? 4 : 0));
  }
};

interface Prediction {
  readonly isB: boolean;
  readonly total: number;
  readonly temporalMvp: boolean;
}

/** What only P and B slices have. */
const skipPrediction = (bits: NalReader, context: Context, { isB, total, temporalMvp }: Prediction): void => {
  let refCounts: number[] = isB ? [...context.refCounts] : [context.refCounts[0]];
  if (bits.flag()) refCounts = refCounts.map(() => bits.ue(REFS_MAX - 1) + 1);
  if (context.listsModification && total > 1) {
    for (const count of refCounts) if (bits.flag()) bits.skip(count * ceilLog2(total));
  }
  if (isB) bits.skip(1);
  if (context.cabacInit) bits.skip(1);
  if (temporalMvp) {
    const list = isB && !bits.flag() ? 1 : 0;
    if ((refCounts[list] ?? 1) > 1) bits.ue(REFS_MAX - 1);
  }
  if (isB ? context.weightedBipred : context.weightedPred) skipWeights(bits, refCounts, context);
  bits.ue(4);
};

const skipFilters = (bits: NalReader, context: Context, adaptiveOffset: boolean): void => {
  bits.se();
  if (context.sliceChromaQp) bits.skipCodes(2);
  if (context.chromaQpList) bits.skip(1);
  let disabled = context.deblockingDisabled;
  if (context.deblockingOverride && bits.flag()) {
    disabled = bits.flag();
    if (!disabled) bits.skipCodes(2);
  }
  if (context.filterAcrossSlices && (adaptiveOffset || !disabled)) bits.skip(1);
};

/** All of the header that a dependent slice segment takes over from the one before it. */
const skipIndependent = (bits: NalReader, context: Context, unitType: number): void => {
  bits.skip(context.extraBits);
  const type = bits.ue(2);
  if (context.outputFlag) bits.skip(1);
  if (context.separatePlanes) bits.skip(2);
  const references = IDR.has(unitType) ? { total: 0, temporalMvp: false } : readReferences(bits, context);
  let adaptiveOffset = false;
  if (context.sampleAdaptiveOffset) {
    const luma = bits.flag();
    adaptiveOffset = (context.hasChroma && bits.flag()) || luma;
  }
  if (type === TYPE.b || type === TYPE.p) skipPrediction(bits, context, { isB: type === TYPE.b, ...references });
  skipFilters(bits, context, adaptiveOffset);
};

const skipEnd = (bits: NalReader, context: Context): void => {
  if (context.entryPoints) {
    const count = bits.ue(ENTRY_POINTS_MAX);
    if (count > 0) bits.skip((bits.ue(31) + 1) * count);
  }
  if (context.headerExtension) bits.skip(8 * bits.ue(EXTENSION_BYTES_MAX));
  bits.skip(1); // byte_alignment: a one, then zeros to the end of the byte
};

/** Slices of HEVC; those of further layers (nuh_layer_id) stay clear as a whole. */
export const hevcSlices = (): SliceReader => {
  const sequences = new Map<number, HevcSequence>();
  const pictures = new Map<number, HevcPicture>();

  const readSlice = (bits: NalReader, unitType: number): void => {
    const first = bits.flag();
    if (unitType >= IRAP.first && unitType <= IRAP.last) bits.skip(1);
    const picture = pictures.get(bits.ue(63));
    const sequence = picture && sequences.get(picture.sequenceId);
    if (!sequence) throw new NalError("a slice without its parameter sets");
    const context = { ...sequence, ...picture };
    const isDependent = !first && context.dependentSlices && bits.flag();
    if (!first) bits.skip(context.addressBits);
    if (!isDependent) skipIndependent(bits, context, unitType);
    skipEnd(bits, context);
  };

  const clearBytes = (bytes: Uint8Array, start: number, end: number): number => {
    const [high, low] = [bytes[start] ?? 0, bytes[start + 1] ?? 0];
    const unitType = (high >> 1) & 0x3f;
    const isBaseLayer = (high & 1) === 0 && low >> 3 === 0;
    if (!isBaseLayer) return 0;
    const bits = new NalReader(bytes, start + 2, end);
    if (unitType === SPS) learn(sequences, () => readSequence(bits));
    if (unitType === PPS) learn(pictures, () => readPicture(bits));
    if (unitType >= SLICE_TYPES_END) return 0;
    readSlice(bits, unitType);
    return bits.position - start;
  };
  return { clearBytes };
};

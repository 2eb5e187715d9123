/** Parameter sets of HEVC (ISO/IEC 23008-2 §7.3.2), as far as the length of slice headers needs them. */
import { NalError, type NalReader } from "./nal-reader.ts";

/** A short-term reference picture set (§7.4.8): differences of picture order count, and whether they are used. */
export interface ReferenceSet {
  readonly negative: readonly Reference[];
  readonly positive: readonly Reference[];
}
interface Reference {
  readonly delta: number;
  readonly used: boolean;
}

/** What slices ask of a sequence parameter set (§7.3.2.2). */
export interface HevcSequence {
  readonly separatePlanes: boolean;
  readonly hasChroma: boolean;
  readonly pocBits: number;
  readonly addressBits: number;
  readonly referenceSets: readonly ReferenceSet[];
  readonly longTerm: boolean;
  /** Of each long-term picture that the sequence tells: whether the picture uses it. */
  readonly longTermUsed: readonly boolean[];
  readonly temporalMvp: boolean;
  readonly sampleAdaptiveOffset: boolean;
}

/** What slices ask of a picture parameter set (§7.3.2.3). */
export interface HevcPicture {
  readonly sequenceId: number;
  readonly dependentSlices: boolean;
  readonly outputFlag: boolean;
  readonly extraBits: number;
  readonly cabacInit: boolean;
  readonly refCounts: readonly [number, number];
  readonly sliceChromaQp: boolean;
  readonly weightedPred: boolean;
  readonly weightedBipred: boolean;
  readonly entryPoints: boolean;
  readonly filterAcrossSlices: boolean;
  readonly deblockingOverride: boolean;
  readonly deblockingDisabled: boolean;
  readonly listsModification: boolean;
  readonly headerExtension: boolean;
  readonly chromaQpList: boolean;
}

const PROFILE_BITS = 88;
const LEVEL_BITS = 8;
const SETS_MAX = 64;
const REFS_MAX = 16;
const LONG_TERM_MAX = 32;

/** Ceil(Log2(n)). */
export const ceilLog2 = (value: number): number => (value <= 1 ? 0 : 32 - Math.clz32(value - 1));

const skipProfileTierLevel = (bits: NalReader, subLayersMinus1: number): void => {
  bits.skip(PROFILE_BITS + LEVEL_BITS);
  const present = Array.from({ length: subLayersMinus1 }, () => [bits.flag(), bits.flag()] as const);
  if (subLayersMinus1 > 0) bits.skip(2 * (8 - subLayersMinus1));
  for (const [profile, level] of present) bits.skip((profile ? PROFILE_BITS : 0) + (level ? LEVEL_BITS : 0));
};

/** §7.3.4. */
const skipScalingLists = (bits: NalReader): void => {
  for (let sizeId = 0; sizeId < 4; sizeId += 1) {
    for (let matrix = 0; matrix < 6; matrix += sizeId === 3 ? 3 : 1) {
      if (!bits.flag()) bits.ue();
      else bits.skipCodes(Math.min(64, 1 << (4 + (sizeId << 1))) + (sizeId > 1 ? 1 : 0));
    }
  }
};

const readRun = (bits: NalReader, count: number, sign: number): Reference[] => {
  let delta = 0;
  return Array.from({ length: count }, () => {
    delta += sign * (bits.ue() + 1);
    return { delta, used: bits.flag() };
  });
};

/** A set told by its difference from an earlier one: (7-61) and (7-62). */
const predictedSet = (bits: NalReader, reference: ReferenceSet): ReferenceSet => {
  const deltaSign = bits.flag() ? -1 : 1;
  const shift = deltaSign * (bits.ue(2 ** 15 - 1) + 1);
  const { negative, positive } = reference;
  // j counts the negative ones, the positive ones, then the picture of the reference set itself
  const changed = [...negative, ...positive, { delta: 0 }].map(({ delta }) => {
    const used = bits.flag();
    return { delta: delta + shift, used, kept: used || bits.flag() };
  });
  const kept = changed.filter((one) => one.kept).sort((a, b) => a.delta - b.delta);
  return {
    negative: kept.filter(({ delta }) => delta < 0).reverse(),
    positive: kept.filter(({ delta }) => delta > 0),
  };
};

/** `st_ref_pic_set`, §7.3.7; `index` is `sets.length` of the sequence when it stands in a slice header. */
export const readReferenceSet = (
  bits: NalReader,
  sets: readonly ReferenceSet[],
  options: { readonly inSlice: boolean },
): ReferenceSet => {
  if (sets.length > 0 && bits.flag()) {
    const back = options.inSlice ? bits.ue(sets.length - 1) + 1 : 1;
    const reference = sets[sets.length - back];
    if (!reference) throw new NalError("a reference set that is not there");
    return predictedSet(bits, reference);
  }
  const [negative, positive] = [bits.ue(REFS_MAX), bits.ue(REFS_MAX)];
  return { negative: readRun(bits, negative, -1), positive: readRun(bits, positive, 1) };
};

/** Coding tree blocks of a picture: what a slice address counts (§7.4.3.2.1). */
const readSizes = (bits: NalReader, [width, height]: readonly [number, number]): number => {
  const minLog2 = bits.ue(3) + 3;
  const block = 2 ** (minLog2 + bits.ue(3));
  return Math.ceil(width / block) * Math.ceil(height / block);
};

const readReferenceSets = (bits: NalReader): ReferenceSet[] => {
  const sets: ReferenceSet[] = [];
  for (let left = bits.ue(SETS_MAX); left > 0; left -= 1) sets.push(readReferenceSet(bits, sets, { inSlice: false }));
  return sets;
};

/** `seq_parameter_set_rbsp` after the header of the NAL unit, up to the VUI; gives its id too. */
export const readSequence = (bits: NalReader): readonly [number, HevcSequence] => {
  bits.skip(4);
  const subLayersMinus1 = bits.bits(3);
  bits.skip(1);
  skipProfileTierLevel(bits, subLayersMinus1);
  const id = bits.ue(15);
  const chromaFormat = bits.ue(3);
  const separatePlanes = chromaFormat === 3 && bits.flag();
  const size = [bits.ue(), bits.ue()] as const;
  if (bits.flag()) bits.skipCodes(4);
  bits.skipCodes(2);
  const pocBits = bits.ue(12) + 4;
  bits.skipCodes(3 * (bits.flag() ? subLayersMinus1 + 1 : 1));
  const addressBits = ceilLog2(readSizes(bits, size));
  bits.skipCodes(4);
  if (bits.flag() && bits.flag()) skipScalingLists(bits);
  bits.skip(1);
  const sampleAdaptiveOffset = bits.flag();
  if (bits.flag()) {
    bits.skip(8);
    bits.skipCodes(2);
    bits.skip(1);
  }
  const referenceSets = readReferenceSets(bits);
  const longTerm = bits.flag();
  const longTermUsed = Array.from({ length: longTerm ? bits.ue(LONG_TERM_MAX) : 0 }, () => {
    bits.skip(pocBits);
    return bits.flag();
  });
  const temporalMvp = bits.flag();
  const hasChroma = chromaFormat !== 0 && !separatePlanes;
  const told = { separatePlanes, hasChroma, pocBits, addressBits, referenceSets };
  return [id, { ...told, longTerm, longTermUsed, temporalMvp, sampleAdaptiveOffset }];
};

const skipTiles = (bits: NalReader): void => {
  const [columns, rows] = [bits.ue(2 ** 12), bits.ue(2 ** 12)];
  if (!bits.flag()) bits.skipCodes(columns + rows);
  bits.skip(1);
};

/** `pps_range_extension` up to what slices ask about, §7.3.2.3.2. */
const readChromaQpList = (bits: NalReader, transformSkip: boolean): boolean => {
  if (!bits.flag()) return false;
  const [range, , , screenContent] = [bits.flag(), bits.flag(), bits.flag(), bits.flag()];
  bits.skip(4);
  if (screenContent) throw new NalError("screen content coding");
  if (!range) return false;
  if (transformSkip) bits.ue();
  bits.skip(1);
  return bits.flag();
};

/** `pic_parameter_set_rbsp` after the header of the NAL unit; gives its id too. */
export const readPicture = (bits: NalReader): readonly [number, HevcPicture] => {
  const [id, sequenceId] = [bits.ue(63), bits.ue(15)];
  const [dependentSlices, outputFlag, extraBits] = [bits.flag(), bits.flag(), bits.bits(3)];
  bits.skip(1);
  const cabacInit = bits.flag();
  const refCounts = [bits.ue(REFS_MAX - 1) + 1, bits.ue(REFS_MAX - 1) + 1] as const;
  bits.se();
  bits.skip(1);
  const transformSkip = bits.flag();
  if (bits.flag()) bits.ue();
  bits.skipCodes(2);
  const [sliceChromaQp, weightedPred, weightedBipred] = [bits.flag(), bits.flag(), bits.flag()];
  bits.skip(1);
  const [tiles, wavefronts] = [bits.flag(), bits.flag()];
  if (tiles) skipTiles(bits);
  const filterAcrossSlices = bits.flag();
  const deblockingControl = bits.flag();
  const deblockingOverride = deblockingControl && bits.flag();
  const deblockingDisabled = deblockingControl && bits.flag();
  if (deblockingControl && !deblockingDisabled) bits.skipCodes(2);
  if (bits.flag()) skipScalingLists(bits);
  const listsModification = bits.flag();
  bits.ue();
  const headerExtension = bits.flag();
  const chromaQpList = readChromaQpList(bits, transformSkip);
  const order = { sequenceId, dependentSlices, outputFlag, extraBits, cabacInit, refCounts };
  const weights = { sliceChromaQp, weightedPred, weightedBipred, entryPoints: tiles || wavefronts };
  const filters = { filterAcrossSlices, deblockingOverride, deblockingDisabled };
  return [id, { ...order, ...weights, ...filters, listsModification, headerExtension, chromaQpList }];
};

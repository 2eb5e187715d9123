/** Slice headers of H.264 (ISO/IEC 14496-10 §7.3.2.1, §7.3.2.2, §7.3.3), as far as their length needs it. */
import { learn, NalError, NalReader } from "./nal-reader.ts";
import type { SliceReader } from "./slice.ts";

interface Sequence {
  readonly separatePlanes: boolean;
  readonly hasChroma: boolean;
  readonly frameNumBits: number;
  readonly pocType: number;
  readonly pocBits: number;
  readonly pocDeltas: boolean;
  readonly framesOnly: boolean;
}

interface Picture {
  readonly sequenceId: number;
  readonly cabac: boolean;
  readonly bottomFieldPoc: boolean;
  readonly refCounts: readonly [number, number];
  readonly weightedPred: boolean;
  readonly weightedBipred: boolean;
  readonly deblockingControl: boolean;
  readonly redundantPictures: boolean;
}

const SPS = 7;
const PPS = 8;
const SLICE = 1;
const IDR_SLICE = 5;
const PROFILES_WITH_CHROMA: ReadonlySet<number> = new Set([
  100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135,
]);
const REFS_MAX = 32;
const COMMANDS_MAX = 70; // list and marking commands of one slice: 66 at most (§7.4.3.1, §7.4.3.3)

const skipScalingLists = (bits: NalReader, chromaFormat: number): void => {
  const lists = chromaFormat === 3 ? 12 : 8;
  for (let list = 0; list < lists; list += 1) {
    if (!bits.flag()) continue;
    let [last, next] = [8, 8];
    for (let left = list < 6 ? 16 : 64; left > 0 && next !== 0; left -= 1) {
      next = (last + bits.se() + 256) & 0xff;
      if (next !== 0) last = next;
    }
  }
};

/** Gives its id too. */
const readSequence = (bits: NalReader): readonly [number, Sequence] => {
  const profile = bits.bits(8);
  bits.skip(16);
  const id = bits.ue(31);
  let chromaFormat = 1;
  let separatePlanes = false;
  if (PROFILES_WITH_CHROMA.has(profile)) {
    chromaFormat = bits.ue(3);
    if (chromaFormat === 3) separatePlanes = bits.flag();
    bits.skipCodes(2);
    bits.skip(1);
    if (bits.flag()) skipScalingLists(bits, chromaFormat);
  }
  const frameNumBits = bits.ue(12) + 4;
  const pocType = bits.ue(2);
  let pocBits = 0;
  let pocDeltas = false;
  if (pocType === 0) pocBits = bits.ue(12) + 4;
  if (pocType === 1) {
    pocDeltas = !bits.flag();
    bits.skipCodes(2);
    bits.skipCodes(bits.ue(255));
  }
  bits.ue();
  bits.skip(1);
  bits.skipCodes(2);
  const framesOnly = bits.flag();
  const hasChroma = chromaFormat !== 0 && !separatePlanes;
  return [id, { separatePlanes, hasChroma, frameNumBits, pocType, pocBits, pocDeltas, framesOnly }];
};

const readPicture = (bits: NalReader): readonly [number, Picture] => {
  const id = bits.ue(255);
  const sequenceId = bits.ue(31);
  const cabac = bits.flag();
  const bottomFieldPoc = bits.flag();
  if (bits.ue() > 0) throw new NalError("slice groups (FMO)");
  const refCounts = [bits.ue(REFS_MAX - 1) + 1, bits.ue(REFS_MAX - 1) + 1] as const;
  const weightedPred = bits.flag();
  const weightedBipred = bits.bits(2) === 1;
  bits.skipCodes(3);
  const deblockingControl = bits.flag();
  bits.skip(1);
  const redundantPictures = bits.flag();
  return [
    id,
    {
      sequenceId,
      cabac,
      bottomFieldPoc,
      refCounts,
      weightedPred,
      weightedBipred,
      deblockingControl,
      redundantPictures,
    },
  ];
};

/** `ref_pic_list_modification` of one list, §7.3.3.1. */
const skipListModification = (bits: NalReader): void => {
  if (!bits.flag()) return;
  for (let left = COMMANDS_MAX; left > 0; left -= 1) {
    if (bits.ue(5) === 3) return;
    bits.ue();
  }
  throw new NalError("a reference list with too many changes");
};

/** §7.3.3.2. */
const skipWeights = (bits: NalReader, refCounts: readonly number[], hasChroma: boolean): void => {
  bits.ue(7);
  if (hasChroma) bits.ue(7);
  for (const count of refCounts) {
    for (let left = count; left > 0; left -= 1) {
      if (bits.flag()) bits.skipCodes(2);
      if (hasChroma && bits.flag()) bits.skipCodes(4);
    }
  }
};

/** Arguments of the memory management control operations 0 to 6, §7.3.3.3. */
const MARKING_ARGUMENTS = [0, 1, 1, 2, 1, 0, 1] as const;
const skipMarking = (bits: NalReader, isIdr: boolean): void => {
  if (isIdr) {
    bits.skip(2);
    return;
  }
  if (!bits.flag()) return;
  for (let left = COMMANDS_MAX; left > 0; left -= 1) {
    const operation = bits.ue(6);
    if (operation === 0) return;
    bits.skipCodes(MARKING_ARGUMENTS[operation] ?? 0);
  }
  throw new NalError("too many marking commands");
};

interface Heading {
  readonly unitType: number;
  readonly isReference: boolean;
}

/** Where the picture is in the order of output: from `frame_num` to `redundant_pic_cnt`. */
const skipOrder = (bits: NalReader, sequence: Sequence, picture: Picture & Heading): void => {
  if (sequence.separatePlanes) bits.skip(2);
  bits.skip(sequence.frameNumBits);
  const isField = !sequence.framesOnly && bits.flag();
  if (isField) bits.skip(1);
  if (picture.unitType === IDR_SLICE) bits.ue();
  const bottomField = picture.bottomFieldPoc && !isField;
  if (sequence.pocType === 0) {
    bits.skip(sequence.pocBits);
    if (bottomField) bits.se();
  }
  if (sequence.pocType === 1 && sequence.pocDeltas) bits.skipCodes(bottomField ? 2 : 1);
  if (picture.redundantPictures) bits.ue();
};

const TYPE = { p: 0, b: 1, i: 2, sp: 3, si: 4 } as const;

/** Reads references from the direct flag of B to the marking. */
const skipReferences = (bits: NalReader, type: number, context: Picture & Heading & Sequence): void => {
  const isB = type === TYPE.b;
  const isIntra = type === TYPE.i || type === TYPE.si;
  if (isB) bits.skip(1);
  if (!isIntra) {
    let refCounts = isB ? [...context.refCounts] : [context.refCounts[0]];
    if (bits.flag()) refCounts = refCounts.map(() => bits.ue(REFS_MAX - 1) + 1);
    for (const _ of refCounts) skipListModification(bits);
    if (isB ? context.weightedBipred : context.weightedPred) skipWeights(bits, refCounts, context.hasChroma);
  }
  if (context.isReference) skipMarking(bits, context.unitType === IDR_SLICE);
  if (context.cabac && !isIntra) bits.ue(2);
};

/** Slices of H.264; data partitions and layers of extensions stay clear as a whole. */
export const avcSlices = (): SliceReader => {
  const sequences = new Map<number, Sequence>();
  const pictures = new Map<number, Picture>();

  const readSlice = (bits: NalReader, heading: Heading): void => {
    bits.ue();
    const type = bits.ue(9) % 5;
    const picture = pictures.get(bits.ue(255));
    const sequence = picture && sequences.get(picture.sequenceId);
    if (!sequence) throw new NalError("a slice without its parameter sets");
    skipOrder(bits, sequence, { ...picture, ...heading });
    skipReferences(bits, type, { ...picture, ...heading, ...sequence });
    bits.se();
    if (type === TYPE.sp) bits.skip(1);
    if (type === TYPE.sp || type === TYPE.si) bits.se();
    if (picture.deblockingControl && bits.ue(2) !== 1) bits.skipCodes(2);
  };

  const clearBytes = (bytes: Uint8Array, start: number, end: number): number => {
    const header = bytes[start] ?? 0;
    const unitType = header & 0x1f;
    const bits = new NalReader(bytes, start + 1, end);
    if (unitType === SPS) learn(sequences, () => readSequence(bits));
    if (unitType === PPS) learn(pictures, () => readPicture(bits));
    if (unitType !== SLICE && unitType !== IDR_SLICE) return 0;
    readSlice(bits, { unitType, isReference: (header & 0x60) !== 0 });
    return bits.position - start;
  };
  return { clearBytes };
};

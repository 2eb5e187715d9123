/** Where the fragments of a file are (ISO/IEC 14496-12 §8.8, §8.16): told by `sidx` or `mfra`, or found one by one. */
import { BoxView, boxesIn, boxHeader, damaged, unsupported } from "./box-view.ts";
import { MovieError, type RangeReader } from "./movie.ts";
import { type FileBox, FileWalk } from "./top-level.ts";

const MIB = 1024 * 1024;
const MOOF_BYTES_MAX = 64 * MIB;
/** Of all fragments: 24 bytes a sample, twice the samples that are taken. */
const MOOFS_BYTES_MAX = 256 * MIB;
const INDEX_BYTES_MAX = 16 * MIB;
/** As many as `sidx` can tell; a longer `mfra` is not believed. */
const PLACES_MAX = 65_536;
/** Boxes of a file: 27 hours in fragments of 2 s, each with `styp` and `sidx`. */
const BOXES_MAX = 200_000;
/** Parts that are read side by side: what a distant source answers slowly, it answers at once. */
const LANES = 8;
/** Read with the header of a fragment, so that most fragments take one read: twice the one before. */
const AHEAD_BYTES_MIN = 2 * 1024;
const AHEAD_BYTES_MAX = 64 * 1024;

export interface Fragment {
  readonly moof: BoxView;
  /** Where its first byte is in the file. */
  readonly offset: number;
}

/** What all parts of a file together may still read. */
class Budget {
  #boxes = BOXES_MAX;
  #bytes = MOOFS_BYTES_MAX;
  box(): void {
    this.#boxes -= 1;
    if (this.#boxes < 0) unsupported(`it has more than ${BOXES_MAX} boxes`);
  }
  moof(bytes: number): void {
    this.#bytes -= bytes;
    if (bytes > MOOF_BYTES_MAX || this.#bytes < 0) unsupported("its fragments have too many bytes of tables");
  }
}

const viewOf = (type: string, bytes: Buffer): BoxView =>
  new BoxView(type, bytes, boxHeader(bytes, 0)?.headerBytes ?? 8);

interface Walk {
  readonly reader: RangeReader;
  readonly budget: Budget;
  readonly onFragment: (fragment: Fragment) => void;
}

/** The fragments between two places, one behind the other; the last box must end at the second. */
const walkPart = async ({ reader, budget, onFragment }: Walk, [from, to]: Part): Promise<void> => {
  const walk = new FileWalk(reader);
  let ahead = AHEAD_BYTES_MIN;
  let offset = from;
  while (offset + 8 <= to) {
    budget.box();
    const box = walk.holds(offset) ? walk.boxHere(offset) : await walk.boxAt(offset, ahead); // most take no turn
    if (box.type === "moof") {
      budget.moof(box.sizeBytes);
      onFragment({ moof: viewOf("moof", walk.wholeHere(box) ?? (await walk.whole(box))), offset });
      ahead = Math.min(AHEAD_BYTES_MAX, Math.max(AHEAD_BYTES_MIN, 2 * box.sizeBytes));
    }
    offset += box.sizeBytes;
  }
  if (offset > to) damaged("a box reaches over the place where a fragment is said to begin");
};

/** Places at which `sidx` says that fragments begin (§8.16.3); none where it leads to further indexes. */
const sidxOffsets = (sidx: BoxView, end: number): number[] => {
  const wide = sidx.version > 0;
  let at = wide ? 28 : 20;
  let offset = end + (wide ? sidx.u64(20) : sidx.u32(16));
  const count = sidx.u16(at + 2);
  const entries = sidx.table(at + 4, count, 12);
  const offsets: number[] = [];
  for (at = 0; at < entries.byteLength; at += 12) {
    const reference = entries.getUint32(at);
    if (reference >>> 31 === 1) return [];
    offsets.push(offset);
    offset += reference;
  }
  return offsets;
};

/** Places of `moof` boxes in `tfra` (§8.8.10). */
const tfraOffsets = (tfra: BoxView): number[] => {
  const wide = tfra.version === 1;
  const lengths = tfra.u32(8);
  const numbers = ((lengths >> 4) & 3) + ((lengths >> 2) & 3) + (lengths & 3) + 3;
  const entryBytes = (wide ? 16 : 8) + numbers;
  const count = tfra.u32(12);
  if (count > PLACES_MAX) return [];
  tfra.table(16, count, entryBytes);
  return Array.from({ length: count }, (_, index) => {
    const at = 16 + index * entryBytes;
    return wide ? tfra.u64(at + 8) : tfra.u32(at + 4);
  });
};

const MFRO_BYTES = 16;

/** Places that `mfra` at the end of the file tells (§8.8.9–§8.8.11); none where there is none. */
const mfraOffsets = async (reader: RangeReader): Promise<number[]> => {
  if (reader.sizeBytes < MFRO_BYTES) return [];
  const mfro = await reader.read(reader.sizeBytes - MFRO_BYTES, MFRO_BYTES);
  const size = mfro.readUInt32BE(12);
  if (mfro.toString("latin1", 4, 8) !== "mfro" || size > INDEX_BYTES_MAX || size > reader.sizeBytes || size < 8)
    return [];
  const [mfra] = boxesIn(await reader.read(reader.sizeBytes - size, size), 0, "file");
  if (mfra?.type !== "mfra") return [];
  return mfra
    .children()
    .filter(({ type }) => type === "tfra")
    .flatMap(tfraOffsets);
};

/** The places before the first fragment are looked at one by one: an index may stand there. */
const indexedOffsets = async (reader: RangeReader, from: number): Promise<number[]> => {
  const walk = new FileWalk(reader);
  let offset = from;
  for (let count = 0; offset + 8 <= reader.sizeBytes && count < 16; count += 1) {
    const box: FileBox = await walk.boxAt(offset, AHEAD_BYTES_MIN);
    if (box.type === "moof") break;
    offset += box.sizeBytes;
    if (box.type !== "sidx" || box.sizeBytes > INDEX_BYTES_MAX) continue;
    const offsets = sidxOffsets(viewOf("sidx", await walk.whole(box)), offset);
    if (offsets.length > 1) return offsets;
  }
  return mfraOffsets(reader);
};

/** From one place of a file to another. */
export type Part = readonly [from: number, to: number];

/**
 * The file from `from` on, cut where an index says that fragments begin. What an index says is not known to be true:
 * `readParts` rejects where boxes don't begin and end there.
 */
export const fragmentParts = async (reader: RangeReader, from: number): Promise<Part[]> => {
  const offsets = await indexedOffsets(reader, from).catch((error: unknown) => {
    if (error instanceof MovieError) return [];
    throw error;
  });
  const inside = [...new Set(offsets)].filter((offset) => offset > from && offset < reader.sizeBytes);
  inside.sort((a, b) => a - b);
  return [from, ...inside].map((start, index) => [start, inside[index] ?? reader.sizeBytes] as const);
};

/** Calls `onFragment` for the fragments of all parts, in order; several parts are read at a time. */
export const readParts = async (
  reader: RangeReader,
  parts: readonly Part[],
  onFragment: (fragment: Fragment) => void,
): Promise<void> => {
  const budget = new Budget();
  const [only, ...others] = parts;
  if (only && others.length === 0) return walkPart({ reader, budget, onFragment }, only);
  const read = async (part: Part): Promise<Fragment[]> => {
    const fragments: Fragment[] = [];
    await walkPart({ reader, budget, onFragment: (fragment) => void fragments.push(fragment) }, part);
    return fragments;
  };
  const reading: Promise<Fragment[]>[] = [];
  for (let next = 0; next < parts.length || reading.length > 0; ) {
    for (; reading.length < LANES && next < parts.length; next += 1) {
      const fragments = read(parts[next] ?? [0, 0]);
      fragments.catch(() => {}); // told when its turn comes, or not at all when an earlier one fails
      reading.push(fragments);
    }
    for (const fragment of (await reading.shift()) ?? []) onFragment(fragment);
  }
};

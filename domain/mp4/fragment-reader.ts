/** Reads movie fragments (ISO/IEC 14496-12 §8.8.4–§8.8.12) into sample tables. */
import { type BoxView, damaged } from "./box-view.ts";
import type { Fragment } from "./fragment-index.ts";
import type { SampleCollector } from "./fragmented-table.ts";

const TFHD = {
  baseDataOffset: 0x1,
  description: 0x2,
  duration: 0x8,
  size: 0x10,
  flags: 0x20,
  baseIsMoof: 0x2_0000,
} as const;
const TRUN = {
  dataOffset: 0x1,
  firstFlags: 0x4,
  duration: 0x100,
  size: 0x200,
  flags: 0x400,
  composition: 0x800,
} as const;
/** sample_is_non_sync_sample, or sample_depends_on 1: some muxers set only the latter (§8.8.3.1). */
const NOT_SYNC = 0x101_0000;

/** What samples have where a run does not tell (§8.8.3, §8.8.7). */
export interface Defaults {
  readonly description: number;
  readonly duration: number;
  readonly size: number;
  readonly flags: number;
}
export interface FragmentTrack {
  readonly defaults: Defaults;
  /** Null: a track that is not served. */
  readonly collector: SampleCollector | null;
}

export const NO_DEFAULTS: Defaults = { description: 1, duration: 0, size: 0, flags: 0 };
const NOT_SERVED: FragmentTrack = { defaults: NO_DEFAULTS, collector: null };

/** `trex` (§8.8.3): of which track, and what. */
export const readTrex = (trex: BoxView): [id: number, defaults: Defaults] => [
  trex.u32(4),
  { description: trex.u32(8), duration: trex.u32(12), size: trex.u32(16), flags: trex.u32(20) },
];

interface FragmentHeader {
  readonly defaults: Defaults;
  /** Null: told by the fragment before it. */
  readonly baseOffset: number | null;
}

/** `tfhd` (§8.8.7). */
const readTfhd = (tfhd: BoxView, defaults: Defaults): FragmentHeader => {
  const { flags } = tfhd;
  let at = 8;
  const baseOffset = flags & TFHD.baseDataOffset ? tfhd.u64(at) : null;
  if (baseOffset !== null) at += 8;
  const field = (wanted: number, otherwise: number): number => {
    if (!(flags & wanted)) return otherwise;
    at += 4;
    return tfhd.u32(at - 4);
  };
  const read = {
    description: field(TFHD.description, defaults.description),
    duration: field(TFHD.duration, defaults.duration),
    size: field(TFHD.size, defaults.size),
    flags: field(TFHD.flags, defaults.flags),
  };
  return { defaults: read, baseOffset };
};

interface Run {
  readonly trun: BoxView;
  readonly defaults: Defaults;
  /** Where the data of the fragment are counted from, and where the run before this one ends. */
  readonly base: number;
  readonly at: number;
  readonly collector: SampleCollector | null;
  readonly fileBytes: number;
}

const FIELDS = [TRUN.duration, TRUN.size, TRUN.flags, TRUN.composition];

/** One `trun` (§8.8.8); gives where its data end. */
const readRun = ({ trun, defaults, base, at: before, collector, fileBytes }: Run): number => {
  const { flags } = trun;
  const count = trun.u32(4);
  let head = 8;
  let offset = before;
  if (flags & TRUN.dataOffset) {
    offset = base + trun.i32(head);
    head += 4;
  }
  const firstFlags = flags & TRUN.firstFlags ? trun.u32(head) : null;
  if (firstFlags !== null) head += 4;
  const entryBytes = 4 * FIELDS.filter((field) => flags & field).length;
  const entries = trun.table(head, count, entryBytes);
  if (offset < 0) damaged("trun: data before the file");
  const hasSizes = (flags & TRUN.size) !== 0;
  if (!hasSizes && offset + count * defaults.size > fileBytes) damaged("trun: data behind the end of the file");
  if (!hasSizes && defaults.size === 0 && count > 1) damaged(`trun: ${count} samples without a size`);
  if (!collector && !hasSizes) return offset + count * defaults.size;
  collector?.reserve(count);
  let at = 0;
  const field = (wanted: number, otherwise: number): number => {
    if (!(flags & wanted)) return otherwise;
    at += 4;
    return entries.getUint32(at - 4);
  };
  for (let index = 0; index < count; index += 1) {
    const duration = field(TRUN.duration, defaults.duration);
    const size = field(TRUN.size, defaults.size);
    const sampleFlags = field(TRUN.flags, index === 0 && firstFlags !== null ? firstFlags : defaults.flags);
    const compositionOffset = field(TRUN.composition, 0) | 0; // signed in both versions, in practice
    collector?.add({ duration, size, compositionOffset, isSync: (sampleFlags & NOT_SYNC) === 0, offset });
    offset += size;
  }
  return offset;
};

/** `tfdt` (§8.8.12). */
const decodeTime = (tfdt: BoxView): number => (tfdt.version === 1 ? tfdt.i64(4) : tfdt.u32(4));

export interface FragmentContext {
  readonly tracks: ReadonlyMap<number, FragmentTrack>;
  readonly fileBytes: number;
}

/** Adds the samples of a `moof` that lies at `offset` of the file. */
export const readFragment = ({ moof, offset }: Fragment, { tracks, fileBytes }: FragmentContext): void => {
  let dataEnd = offset; // §8.8.7.1: a first fragment counts from its moof, the next from the end of the data before
  for (const traf of moof.children()) {
    if (traf.type !== "traf") continue;
    const parts = traf.children();
    const tfhd = parts.find(({ type }) => type === "tfhd") ?? damaged("traf without tfhd");
    const { defaults: trex, collector } = tracks.get(tfhd.u32(4)) ?? NOT_SERVED;
    const { defaults, baseOffset } = readTfhd(tfhd, trex);
    const base = baseOffset ?? (tfhd.flags & TFHD.baseIsMoof ? offset : dataEnd);
    const tfdt = parts.find(({ type }) => type === "tfdt");
    if (tfdt) collector?.seek(decodeTime(tfdt));
    let at = base;
    for (const trun of parts) {
      if (trun.type !== "trun") continue;
      collector?.descriptions.add(defaults.description);
      at = readRun({ trun, defaults, base, at, collector, fileBytes });
    }
    dataEnd = at;
  }
};

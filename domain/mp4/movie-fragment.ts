/**
 * One media segment as a movie fragment (ISO/IEC 14496-12 §8.8, ISO/IEC 23000-19 §7.3.2): `styp`, `moof`, `mdat`.
 * The payload is gathered (`gather.ts`): all samples of the first track, then those of the next, one `trun` for each.
 * Written in place, nothing is allocated per sample: 0.05 ms for six seconds.
 */
import { TIME_OFFSET_SECONDS } from "../vod/plan.ts";
import { reorderingTicks } from "./init-segment.ts";
import { MovieError, type Samples, type SampleTable, type Track } from "./movie.ts";

/** Boxes that stand behind the `trun` of a track: `senc`, `saiz`, `saio` (`domain/cenc`). */
export interface TrackFragmentBoxes {
  readonly sizeBytes: number;
  /** Writes them at `at`, in a moof that begins at `moofAt`; gives where they end. */
  write(out: Buffer, at: number, moofAt: number): number;
}

/** Samples of one track in a fragment. */
export interface FragmentTrack {
  readonly track: Track;
  readonly samples: Samples;
  readonly boxes?: TrackFragmentBoxes | undefined;
}

/** What a movie fragment is made of. */
export interface Fragment {
  /** In the order of the init segment, and all of its tracks: they are numbered from 1. */
  readonly tracks: readonly FragmentTrack[];
  /** Of `mfhd`; the segment's number. */
  readonly sequenceNumber: number;
}

/** What a fragment takes, known before any of its media is read. */
export interface FragmentPlan {
  /** `styp`, `moof` and the header of `mdat`. */
  readonly headBytes: number;
  readonly payloadBytes: number;
  readonly totalBytes: number;
  readonly sequenceNumber: number;
  readonly runs: readonly TrackRun[];
}

/** Decisions about one track's `traf`. */
interface TrackRun {
  readonly fragmentTrack: FragmentTrack;
  readonly baseDecodeTime: number;
  readonly headFlags: number;
  readonly runFlags: number;
  /** Of all samples, where `headFlags` says so. */
  readonly duration: number;
  readonly size: number;
  readonly sampleFlags: number;
  readonly payloadBytes: number;
  readonly sizeBytes: number;
}

const TFHD = { duration: 0x8, size: 0x10, flags: 0x20, baseIsMoof: 0x020000 } as const; // §8.8.7
const TRUN = { dataOffset: 0x1, firstFlags: 0x4, duration: 0x100, size: 0x200, flags: 0x400, cto: 0x800 } as const;
// sample_depends_on and sample_is_non_sync_sample, §8.8.3.1
const SYNC_SAMPLE = 0x02000000;
const NON_SYNC_SAMPLE = 0x01010000;

const STYP_BYTES = 24;
const MOOF_BYTES = 24; // with mfhd
const TRAF_BYTES = 8;
const TFHD_BYTES = 16;
const TFDT_BYTES = 20;
const TRUN_BYTES = 20;
const MDAT_BYTES = 8;
const UINT32_MAX = 0xffffffff;
const DATA_OFFSET_MAX = 0x7fffffff; // signed in trun, §8.8.8
const HEAD_BYTES_MAX = 64 * 2 ** 20; // four million samples in one segment

const unsupported = (message: string): never => {
  throw new MovieError("unsupported", message);
};

interface Sums {
  readonly payloadBytes: number;
  readonly evenDuration: boolean;
  readonly evenSize: boolean;
  readonly hasOffsets: boolean;
  readonly syncCount: number;
}

const sumsOf = ({ count, dts, size, sync, compositionOffset }: Samples): Sums => {
  const duration = dts[1]! - dts[0]!;
  const firstSize = size[0]!;
  let [payloadBytes, syncCount, offsets] = [0, 0, 0];
  let [evenDuration, evenSize] = [true, true];
  for (let index = 0; index < count; index += 1) {
    const ticks = dts[index + 1]! - dts[index]!;
    if (ticks !== duration) evenDuration = false;
    if (ticks < 0 || ticks > UINT32_MAX) unsupported("a sample that lasts longer than 32 bits tell");
    if (size[index] !== firstSize) evenSize = false;
    payloadBytes += size[index]!;
    syncCount += sync[index]!;
    offsets |= compositionOffset[index]!;
  }
  return { payloadBytes, evenDuration, evenSize, hasOffsets: offsets !== 0, syncCount };
};

/**
 * Where the samples of a fragment start as sent: with the edit list and the offset of all times in them, and what the
 * init segment's own edit list takes off again. So `tfdt` is when the segment is first shown.
 */
const baseDecodeTimeOf = (track: Track, firstDts: number): number => {
  const { timescale, shift } = track;
  const ticks = Math.round(firstDts + shift + TIME_OFFSET_SECONDS * timescale) + reorderingTicks(track);
  if (ticks < 0 || ticks > Number.MAX_SAFE_INTEGER) unsupported("an edit list that leaves times before zero");
  return ticks;
};

const bitCount = (bits: number): number => {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count += 1;
  return count;
};

const emptyRun = (fragmentTrack: FragmentTrack): TrackRun => ({
  fragmentTrack,
  baseDecodeTime: baseDecodeTimeOf(fragmentTrack.track, fragmentTrack.samples.dts[0] ?? 0),
  headFlags: TFHD.baseIsMoof,
  runFlags: 0,
  duration: 0,
  size: 0,
  sampleFlags: 0,
  payloadBytes: 0,
  sizeBytes: TRAF_BYTES + TFHD_BYTES + TFDT_BYTES,
});

/** Which fields hold for all samples and which are told for each (§8.8.7, §8.8.8). */
const runOf = (fragmentTrack: FragmentTrack): TrackRun => {
  const { track, samples, boxes } = fragmentTrack;
  const { count, dts, size, sync } = samples;
  if (count === 0) return emptyRun(fragmentTrack);
  const sums = sumsOf(samples);
  const onlyFirstSync = count > 1 && sums.syncCount === 1 && sync[0] === 1;
  const evenFlags = onlyFirstSync || sums.syncCount === 0 || sums.syncCount === count;
  const headFlags =
    TFHD.baseIsMoof |
    (evenFlags ? TFHD.flags : 0) |
    (sums.evenDuration ? TFHD.duration : 0) |
    (sums.evenSize ? TFHD.size : 0);
  const runFlags =
    TRUN.dataOffset |
    (onlyFirstSync ? TRUN.firstFlags : 0) |
    (evenFlags ? 0 : TRUN.flags) |
    (sums.evenDuration ? 0 : TRUN.duration) |
    (sums.evenSize ? 0 : TRUN.size) |
    (sums.hasOffsets ? TRUN.cto : 0);
  const headFields = 4 * bitCount(headFlags & (TFHD.flags | TFHD.duration | TFHD.size));
  const perSampleBytes = 4 * bitCount(runFlags & (TRUN.flags | TRUN.duration | TRUN.size | TRUN.cto));
  return {
    fragmentTrack,
    baseDecodeTime: baseDecodeTimeOf(track, dts[0]!),
    headFlags,
    runFlags,
    duration: dts[1]! - dts[0]!,
    size: size[0]!,
    sampleFlags: sums.syncCount === count ? SYNC_SAMPLE : NON_SYNC_SAMPLE,
    payloadBytes: sums.payloadBytes,
    sizeBytes:
      TRAF_BYTES +
      (TFHD_BYTES + headFields) +
      TFDT_BYTES +
      (TRUN_BYTES + (onlyFirstSync ? 4 : 0) + count * perSampleBytes) +
      (boxes?.sizeBytes ?? 0),
  };
};

const mdatHeaderBytes = (payloadBytes: number): number =>
  payloadBytes + MDAT_BYTES > UINT32_MAX ? MDAT_BYTES + 8 : MDAT_BYTES;

/** Sizes and decisions of a fragment. Throws MovieError where one segment can't hold it. */
export const planFragment = ({ tracks, sequenceNumber }: Fragment): FragmentPlan => {
  const runs = tracks.map(runOf);
  const payloadBytes = runs.reduce((sum, run) => sum + run.payloadBytes, 0);
  const moofBytes = runs.reduce((sum, run) => sum + run.sizeBytes, MOOF_BYTES);
  const headBytes = STYP_BYTES + moofBytes + mdatHeaderBytes(payloadBytes);
  if (headBytes > HEAD_BYTES_MAX) unsupported("a segment of millions of samples");
  const lastDataAt = headBytes + payloadBytes - (runs.at(-1)?.payloadBytes ?? 0);
  if (lastDataAt > DATA_OFFSET_MAX) unsupported("a segment of more than 2 GiB in several tracks");
  return { headBytes, payloadBytes, totalBytes: headBytes + payloadBytes, sequenceNumber, runs };
};

const boxHead = (out: Buffer, at: number, head: { readonly size: number; readonly type: string }): number => {
  out.writeUInt32BE(head.size, at);
  out.write(head.type, at + 4, "latin1");
  return at + 8;
};

const writeStyp = (out: Buffer, at: number, trackCount: number): number => {
  const next = boxHead(out, at, { size: STYP_BYTES, type: "styp" });
  // §8.16.2; cmfs is for one track alone (23000-19 §7.2)
  return next + out.write(`msdh\0\0\0\0msdh${trackCount === 1 ? "cmfs" : "iso6"}`, next, "latin1");
};

const writeTfhd = (out: Buffer, start: number, run: TrackRun & { readonly trackId: number }): number => {
  const { headFlags } = run;
  const fields = [
    ...(headFlags & TFHD.duration ? [run.duration] : []),
    ...(headFlags & TFHD.size ? [run.size] : []),
    ...(headFlags & TFHD.flags ? [run.sampleFlags] : []),
  ];
  let at = boxHead(out, start, { size: TFHD_BYTES + 4 * fields.length, type: "tfhd" });
  for (const field of [headFlags, run.trackId, ...fields]) at = out.writeUInt32BE(field, at);
  return at;
};

const writeTfdt = (out: Buffer, start: number, ticks: number): number => {
  let at = boxHead(out, start, { size: TFDT_BYTES, type: "tfdt" });
  at = out.writeUInt32BE(0x01000000, at);
  at = out.writeUInt32BE(Math.floor(ticks / 2 ** 32), at);
  return out.writeUInt32BE(ticks % 2 ** 32, at);
};

/** The table of `trun`: in a DataView, whose writes are inlined; a third of the time of Buffer's. */
const writeSamples = (view: DataView, start: number, { fragmentTrack, runFlags }: TrackRun): number => {
  const { count, dts, size, sync, compositionOffset } = fragmentTrack.samples;
  const withDuration = (runFlags & TRUN.duration) !== 0;
  const withSize = (runFlags & TRUN.size) !== 0;
  const withFlags = (runFlags & TRUN.flags) !== 0;
  const withOffset = (runFlags & TRUN.cto) !== 0;
  let at = start;
  for (let index = 0; index < count; index += 1) {
    if (withDuration) {
      view.setUint32(at, dts[index + 1]! - dts[index]!);
      at += 4;
    }
    if (withSize) {
      view.setUint32(at, size[index]!);
      at += 4;
    }
    if (withFlags) {
      view.setUint32(at, sync[index] === 1 ? SYNC_SAMPLE : NON_SYNC_SAMPLE);
      at += 4;
    }
    if (withOffset) {
      view.setInt32(at, compositionOffset[index]!);
      at += 4;
    }
  }
  return at;
};

const writeTrun = (out: Buffer, start: number, run: TrackRun & { readonly dataOffset: number }): number => {
  let at = start + 8;
  at = out.writeUInt32BE(0x01000000 + run.runFlags, at);
  at = out.writeUInt32BE(run.fragmentTrack.samples.count, at);
  at = out.writeInt32BE(run.dataOffset, at);
  if (run.runFlags & TRUN.firstFlags) at = out.writeUInt32BE(SYNC_SAMPLE, at);
  at = writeSamples(new DataView(out.buffer, out.byteOffset, out.length), at, run);
  boxHead(out, start, { size: at - start, type: "trun" });
  return at;
};

/** Writes everything in front of the payload at `at`; gives where the payload begins, `headBytes` later. */
export const writeFragmentHead = (plan: FragmentPlan, out: Buffer, at: number): number => {
  const moofAt = writeStyp(out, at, plan.runs.length);
  const payloadAt = at + plan.headBytes;
  const moofBytes = plan.headBytes - STYP_BYTES - mdatHeaderBytes(plan.payloadBytes);
  let next = boxHead(out, moofAt, { size: moofBytes, type: "moof" });
  next = boxHead(out, next, { size: 16, type: "mfhd" });
  next = out.writeUInt32BE(0, next);
  next = out.writeUInt32BE(plan.sequenceNumber >>> 0, next);
  let dataOffset = payloadAt - moofAt;
  for (const [index, run] of plan.runs.entries()) {
    next = boxHead(out, next, { size: run.sizeBytes, type: "traf" });
    next = writeTfhd(out, next, { ...run, trackId: index + 1 });
    next = writeTfdt(out, next, run.baseDecodeTime);
    if (run.fragmentTrack.samples.count === 0) continue;
    next = writeTrun(out, next, { ...run, dataOffset });
    next = run.fragmentTrack.boxes?.write(out, next, moofAt) ?? next;
    dataOffset += run.payloadBytes;
  }
  if (mdatHeaderBytes(plan.payloadBytes) === MDAT_BYTES)
    return boxHead(out, next, { size: plan.payloadBytes + MDAT_BYTES, type: "mdat" });
  next = boxHead(out, next, { size: 1, type: "mdat" }); // §4.2.2: largesize
  out.writeBigUInt64BE(BigInt(plan.payloadBytes + MDAT_BYTES + 8), next);
  return next + 8;
};

/**
 * One key frame alone, for an I-frame playlist: it is shown from its presentation time to `endPts`, the next one's,
 * both before the edit list. It is decoded as long before as the first picture of the track is, so that `tfdt` tells
 * when it is shown, as in other segments.
 */
export const keyFrameSamples = (table: SampleTable, sample: number, endPts: number): Samples => {
  const pts = table.ptsOf(sample);
  const reordering = Math.min(reorderingTicks({ table }), pts);
  return {
    ...table.samples(sample, sample + 1),
    dts: Float64Array.of(pts - reordering, Math.max(pts, endPts) - reordering),
    compositionOffset: Int32Array.of(reordering),
  };
};

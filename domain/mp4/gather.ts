/**
 * Where a fragment's payload is in the file, and how it is brought together: the file's bytes come as one range (or as
 * windows of it), the samples are copied out of it in maximal contiguous runs. One copy costs less than a `trun` for
 * each run and the bytes of other tracks in between.
 */
import { MovieError, type Samples } from "./movie.ts";

/** A piece of the file in memory. */
export interface FileBytes {
  readonly bytes: Buffer;
  /** Where its first byte is in the file. */
  readonly fileOffset: number;
}

/** Where samples are copied to, and which. */
export interface GatherTarget {
  readonly out: Buffer;
  readonly at: number;
  /** Samples counted from the first one of `samples`; all where absent. */
  readonly first?: number;
  readonly end?: number;
}

const copied = (from: FileBytes, to: GatherTarget, run: { readonly offset: number; readonly end: number }): number => {
  const bytes = run.end - run.offset;
  if (bytes === 0) return to.at; // wherever the table says that it is
  const start = run.offset - from.fileOffset;
  if (start < 0 || from.bytes.copy(to.out, to.at, start, start + bytes) !== bytes)
    throw new Error(`bug: ${bytes} bytes from ${run.offset} of the file are not all there, or have no room`);
  return to.at + bytes;
};

/** Copies samples one behind the other; gives where they end in `out`. */
export const gather = (samples: Samples, from: FileBytes, to: GatherTarget): number => {
  const { size, offset } = samples;
  const { out, first = 0, end = samples.count } = to;
  let at = to.at;
  for (let index = first; index < end; ) {
    const runOffset = offset[index]!;
    let runEnd = runOffset + size[index]!;
    index += 1;
    while (index < end && offset[index] === runEnd) {
      runEnd += size[index]!;
      index += 1;
    }
    at = copied(from, { out, at }, { offset: runOffset, end: runEnd });
  }
  return at;
};

/** One read of the file, and which part of the payload comes out of it. */
export interface PayloadStep {
  /** The range of the file that is read: from `lo` up to `hi`, exclusive. */
  readonly lo: number;
  readonly hi: number;
  readonly payloadBytes: number;
  readonly from: SamplePosition;
  /** Exclusive. */
  readonly to: SamplePosition;
  /** A piece of the sample at `from`, which is greater than a window: counted from the sample's first byte. */
  readonly piece: { readonly first: number; readonly end: number } | null;
}
/** A sample of a fragment. */
export interface SamplePosition {
  /** 0-based track of the fragment. */
  readonly part: number;
  /** 0-based, counted from the first one of its `Samples`. */
  readonly sample: number;
}

/** How much of the file a step may take. */
export interface StepLimits {
  /** Neither the range of a step nor its payload is longer. */
  readonly windowBytes: number;
  /** Foreign bytes between samples up to this many are read along; beyond it, a new step begins. */
  readonly gapBytes: number;
  /**
   * Samples are never cut into pieces: one greater than a window is refused (MovieError). Each is in a step, also where
   * none has a byte.
   */
  readonly wholeSamples?: boolean;
}

class OpenStep {
  lo = 0;
  hi = 0;
  payloadBytes = 0;
  from: SamplePosition = { part: 0, sample: 0 };

  /** Takes one more sample in, if the limits allow. */
  take(offset: number, size: number, { windowBytes, gapBytes }: StepLimits): boolean {
    const end = offset + size;
    if (this.payloadBytes === 0) {
      if (size > windowBytes) return false;
      [this.lo, this.hi, this.payloadBytes] = [offset, end, size];
      return true;
    }
    const lo = Math.min(this.lo, offset);
    const hi = Math.max(this.hi, end);
    if (offset - this.hi > gapBytes || this.lo - end > gapBytes) return false;
    if (hi - lo > windowBytes || this.payloadBytes + size > windowBytes) return false;
    [this.lo, this.hi, this.payloadBytes] = [lo, hi, this.payloadBytes + size];
    return true;
  }

  close(to: SamplePosition): PayloadStep {
    const { lo, hi, payloadBytes, from } = this;
    this.payloadBytes = 0;
    this.from = to;
    return { lo, hi, payloadBytes, from, to, piece: null };
  }
}

function* piecesOf(samples: Samples, from: SamplePosition, { windowBytes, wholeSamples }: StepLimits) {
  const [offset, size] = [samples.offset[from.sample]!, samples.size[from.sample]!];
  if (wholeSamples) throw new MovieError("unsupported", `a sample of ${size} bytes`);
  const to = { part: from.part, sample: from.sample + 1 };
  for (let first = 0; first < size; first += windowBytes) {
    const end = Math.min(size, first + windowBytes);
    yield { lo: offset + first, hi: offset + end, payloadBytes: end - first, from, to, piece: { first, end } };
  }
}

/**
 * The reads that make up the payload of a fragment, in its order. With a window as great as the range that holds all of
 * it, that is one; with smaller ones memory stays bounded, whatever the segment's size.
 */
export function* payloadSteps(parts: readonly Samples[], limits: StepLimits): Generator<PayloadStep> {
  const open = new OpenStep();
  let isEmpty = true;
  for (const [part, samples] of parts.entries()) {
    for (let sample = 0; sample < samples.count; sample += 1) {
      const [offset, size] = [samples.offset[sample]!, samples.size[sample]!];
      if (size === 0) continue;
      isEmpty = false;
      if (open.take(offset, size, limits)) continue;
      const here = { part, sample };
      if (open.payloadBytes > 0) yield open.close(here);
      if (open.take(offset, size, limits)) continue;
      yield* piecesOf(samples, here, limits);
      open.from = { part, sample: sample + 1 };
    }
  }
  if (open.payloadBytes > 0 || (isEmpty && limits.wholeSamples)) yield open.close({ part: parts.length, sample: 0 });
}

/** Samples of one track that a step has: from `first` up to `end`, counted from the first one of its `Samples`. */
export interface StepPart {
  readonly part: number;
  readonly first: number;
  readonly end: number;
}

/** The whole samples of a step, in its order; null for a step that is a piece of one. */
export const stepParts = (parts: readonly Samples[], { from, to, piece }: PayloadStep): readonly StepPart[] | null =>
  piece === null
    ? parts.slice(from.part, to.part + 1).map((samples, index) => ({
        part: from.part + index,
        first: index === 0 ? from.sample : 0,
        end: from.part + index === to.part ? to.sample : samples.count,
      }))
    : null;

/** Copies what a step has read (`bytes` begins at its `lo`) behind each other; gives where it ends in `out`. */
export const gatherStep = (parts: readonly Samples[], step: PayloadStep, target: FileBytes & GatherTarget): number => {
  const { out } = target;
  if (step.piece) {
    const offset = parts[step.from.part]!.offset[step.from.sample]!;
    return copied(target, target, { offset: offset + step.piece.first, end: offset + step.piece.end });
  }
  let { at } = target;
  for (const { part, first, end } of stepParts(parts, step) ?? [])
    at = gather(parts[part]!, target, { out, at, first, end });
  return at;
};

/** Size of the greatest sample of a fragment: steps of whole samples need windows of it. */
export const largestSampleBytes = (parts: readonly Samples[]): number =>
  parts.reduce((most, { size }) => size.reduce((sum, bytes) => Math.max(sum, bytes), most), 0);

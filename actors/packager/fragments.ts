/**
 * fMP4 segments out of a file: which samples, and how they are brought together (`domain/mp4/movie-fragment.ts`) and
 * encrypted (`domain/cenc/protected-fragment.ts`).
 */
import { type FinishedProtection, ProtectedFragment } from "../../domain/cenc/protected-fragment.ts";
import type { Protection } from "../../domain/cenc/protection.ts";
import {
  type FileBytes,
  gatherStep,
  largestSampleBytes,
  type PayloadStep,
  payloadSteps,
  stepParts,
} from "../../domain/mp4/gather.ts";
import { MovieError, type Samples, type Track } from "../../domain/mp4/movie.ts";
import { type FragmentPlan, planFragment, writeFragmentHead } from "../../domain/mp4/movie-fragment.ts";
import type { TsMemory } from "../../domain/ts/memory.ts";
import { TS_SCRATCH_BYTES } from "../../domain/ts/source-window.ts";
import { firstSampleIv } from "../../lib/crypto/content-keys.ts";
import { encryptSamples, type SampleKey } from "../../lib/crypto/sample-cipher.ts";
import type { FileProtection, StreamChoice } from "./protection.ts";
import type { PacketRoom, ReadRange, SegmentMaking, SegmentRecipe } from "./workshop.ts";

/** Foreign bytes up to this are read along: one longer read costs less than two. */
const GAP_BYTES = 64 * 2 ** 10;

/** Steps are so much smaller than where they are written: whole-segment encryption adds to them. */
const HEADROOM_BYTES = 64;
/** And they fit into a slot, which has no room for headers of TS. */
const STEP_MARGIN_BYTES = TS_SCRATCH_BYTES + HEADROOM_BYTES;

/** The samples of one track in one segment. */
export interface SamplesPart {
  readonly track: Track;
  readonly samples: Samples;
}

export interface FragmentOptions {
  /** In the order of their init segment. */
  readonly parts: readonly SamplesPart[];
  readonly sequenceNumber: number;
  readonly protection: FileProtection | null;
  readonly stream: Pick<StreamChoice, "container" | "tracks">;
}

/**
 * scanning → head → payload → done. Scanning is for encryption alone: the head tells which bytes are protected, which
 * the media must be read for.
 */
type Stage = "scanning" | "head" | "payload" | "done";

interface ReadStep {
  readonly step: PayloadStep;
  readonly from: FileBytes;
}

/** What of a fragment is encrypted, and with what. */
interface Encryption {
  readonly fragment: ProtectedFragment;
  readonly key: SampleKey;
}

class FragmentMaking implements SegmentMaking {
  readonly #samples: readonly Samples[];
  readonly #sequenceNumber: number;
  /** Null: it stays clear. */
  readonly #encryption: Encryption | null;
  #scanned: FinishedProtection | null = null;
  #stage: Stage;
  #steps: Generator<PayloadStep> | null = null;
  /** What was asked for last and is not used up. */
  #step: PayloadStep | null = null;
  #hasSource = false;
  #head: Buffer = Buffer.alloc(0);

  /** Of a clear fragment, whose plan needs none of its media, or of one that is encrypted. */
  constructor({ parts, sequenceNumber }: FragmentOptions, how: FragmentPlan | Encryption) {
    this.#samples = parts.map(({ samples }) => samples);
    this.#sequenceNumber = sequenceNumber;
    this.#encryption = "key" in how ? how : null;
    this.#stage = "key" in how ? "scanning" : "head";
    if (!("key" in how)) this.#makeHead(how);
  }

  get isDone(): boolean {
    return this.#stage === "done";
  }

  get needsSource(): boolean {
    return (this.#stage === "scanning" || this.#stage === "payload") && !this.#hasSource;
  }

  nextSource({ byteLength }: { readonly byteLength: number }): readonly ReadRange[] {
    this.#step ??= this.#nextStep(byteLength - STEP_MARGIN_BYTES);
    const { lo, hi } = this.#step ?? { lo: 0, hi: 0 };
    this.#hasSource = true;
    return hi > lo ? [{ at: 0, fileOffset: lo, lengthBytes: hi - lo }] : [];
  }

  releaseSource(): void {
    this.#hasSource = false;
  }

  fill(memory: TsMemory, areaAt: number, out: PacketRoom): number {
    if (this.#stage === "head") return this.#fillHead(memory, out);
    const step = this.#step;
    if (step === null) return this.#endOfSteps(memory, out);
    const from = { bytes: memory.bytes.subarray(areaAt, areaAt + step.hi - step.lo), fileOffset: step.lo };
    const isScanning = this.#stage === "scanning";
    if (isScanning) this.#encryption?.fragment.scanStep(step, from);
    else if (step.payloadBytes > out.capacity) return 0;
    const made = isScanning ? 0 : this.#gather(memory, out, { step, from });
    this.#step = null;
    this.#hasSource = false;
    return made;
  }

  #gather({ bytes: memory }: TsMemory, out: PacketRoom, { step, from }: ReadStep): number {
    const end = gatherStep(this.#samples, step, { ...from, out: memory, at: out.at });
    if (this.#encryption) this.#encrypt(memory, out.at, { step, key: this.#encryption.key });
    return end - out.at;
  }

  #encrypt(buffer: Buffer, from: number, { step, key }: { readonly step: PayloadStep; readonly key: SampleKey }): void {
    let at = from;
    for (const { part, first, end } of stepParts(this.#samples, step) ?? []) {
      const [samples, sizes] = [this.#scanned?.samples[part], this.#samples[part]?.size];
      if (!samples || !sizes) throw new Error("bug: samples that are to be encrypted and were not scanned");
      at = encryptSamples(samples, key, { buffer, at, first, end, sizes });
    }
  }

  /** Steps are of one size while a stage lasts: that of the area it was begun with. */
  #nextStep(areaBytes: number): PayloadStep | null {
    const wholeSamples = this.#encryption !== null;
    this.#steps ??= payloadSteps(this.#samples, { windowBytes: areaBytes, gapBytes: GAP_BYTES, wholeSamples });
    const { value, done } = this.#steps.next();
    return done ? null : value;
  }

  #endOfSteps(memory: TsMemory, out: PacketRoom): number {
    this.#hasSource = false;
    this.#steps = null;
    if (this.#stage === "payload" || !this.#encryption) {
      this.#stage = "done";
      return 0;
    }
    this.#scanned = this.#encryption.fragment.finish();
    this.#makeHead(planFragment({ tracks: this.#scanned.tracks, sequenceNumber: this.#sequenceNumber }));
    this.#stage = "head";
    return this.#fillHead(memory, out);
  }

  #makeHead(plan: FragmentPlan): void {
    this.#head = Buffer.allocUnsafe(plan.headBytes);
    writeFragmentHead(plan, this.#head, 0);
  }

  #fillHead(memory: TsMemory, out: PacketRoom): number {
    const bytes = this.#head.copy(memory.bytes, out.at, 0, out.capacity);
    this.#head = this.#head.subarray(bytes);
    if (this.#head.length === 0) this.#stage = "payload";
    return bytes;
  }
}

/** What of the file is in a segment, in bytes. */
export const sourceBytesOf = (parts: readonly SamplesPart[]): number => {
  let bytes = 0;
  for (const { samples } of parts)
    for (let index = 0; index < samples.count; index += 1) bytes += samples.size[index] ?? 0;
  return bytes;
};

/** IVs are counted through the whole track, so that no segment has those of another. */
const encryptionOf = (parts: readonly SamplesPart[], { common, protection, stream }: Encrypted): Encryption => {
  const label = protection.labelOf(stream);
  const clear = parts.map((part) => {
    return { ...part, trackIv: firstSampleIv(protection.key, `${label}\n${part.track.id}`) };
  });
  return { fragment: new ProtectedFragment(clear, common.scheme), key: protection.sampleKey };
};

interface Encrypted extends Pick<FragmentOptions, "stream"> {
  readonly common: Protection;
  readonly protection: FileProtection;
}

/** Which bytes are protected is told before the first of them is sent: all of the segment is read twice. */
const PROTECTED_BYTES_MAX = 256 * 2 ** 20;
const PROTECTED_SAMPLES_MAX = 250_000;

/** Of tracks in the order of their init segment. MovieError for a segment that is too large to be encrypted. */
export const fragmentRecipe = (options: FragmentOptions): SegmentRecipe => {
  const { parts, sequenceNumber, protection, stream } = options;
  const common = protection?.common ?? null;
  const sourceBytes = sourceBytesOf(parts);
  if (common === null || protection === null) {
    const plan = planFragment({ tracks: parts, sequenceNumber });
    return {
      exactBytes: plan.totalBytes,
      sourceBytes,
      sourceStepBytes: 0,
      madeStepBytes: 0,
      isInFileOrder: false,
      open: () => new FragmentMaking(options, plan),
    };
  }
  const sampleCount = parts.reduce((sum, { samples }) => sum + samples.count, 0);
  if (sourceBytes > PROTECTED_BYTES_MAX || sampleCount > PROTECTED_SAMPLES_MAX) {
    throw new MovieError("unsupported", `encryption of a segment of ${sampleCount} samples, ${sourceBytes} bytes`);
  }
  const stepBytes = largestSampleBytes(parts.map(({ samples }) => samples)) + HEADROOM_BYTES;
  return {
    exactBytes: null,
    sourceBytes,
    sourceStepBytes: stepBytes,
    madeStepBytes: stepBytes,
    isInFileOrder: false,
    open: () => new FragmentMaking(options, encryptionOf(parts, { common, protection, stream })),
  };
};

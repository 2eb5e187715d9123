/** Encryption of one track of a fragment (ISO/IEC 23001-7): which bytes, and then those bytes. */
import { type ProtectedSamples, sampleEncryptionBoxes } from "../../domain/cenc/fragment-boxes.ts";
import { isProtected, type Protection } from "../../domain/cenc/protection.ts";
import { SubsampleScan } from "../../domain/cenc/subsamples.ts";
import type { FileBytes, PayloadStep } from "../../domain/mp4/gather.ts";
import type { TrackFragmentBoxes } from "../../domain/mp4/movie-fragment.ts";
import { firstSampleIv } from "../../lib/crypto/content-keys.ts";
import { encryptSamples } from "../../lib/crypto/sample-cipher.ts";
import type { SamplesPart } from "./fragments.ts";
import type { FileProtection, StreamChoice } from "./protection.ts";

export interface ProtectedTrackOptions {
  readonly part: SamplesPart;
  /** 0-based place of the track in the fragment. */
  readonly index: number;
  readonly protection: FileProtection;
  readonly common: Protection;
  readonly stream: Pick<StreamChoice, "container" | "tracks">;
}

export class ProtectedTrack {
  readonly #options: ProtectedTrackOptions;
  readonly #scan: SubsampleScan | null;
  #samples: ProtectedSamples | null = null;

  constructor(options: ProtectedTrackOptions) {
    this.#options = options;
    const { codec } = options.part.track;
    isProtected(codec); // refuses video whose headers are not known
    this.#scan =
      codec.kind === "video" ? new SubsampleScan(codec, options.common.scheme, options.part.samples.count) : null;
  }

  /** The samples of this track among those that were read, from the first step on in order. */
  scan(step: PayloadStep, from: FileBytes): void {
    const [first, end] = this.#within(step);
    if (first < end) this.#scan?.scan(this.#options.part.samples, from, { first, end });
  }

  /** Once all samples were scanned; `undefined` of a track that stays clear. */
  boxes(): TrackFragmentBoxes | undefined {
    return sampleEncryptionBoxes(this.#protectedSamples());
  }

  /** Encrypts those of a step, which lie from `at` on; gives where they end. */
  encrypt(buffer: Buffer, at: number, step: PayloadStep): number {
    const [first, end] = this.#within(step);
    if (first >= end) return at;
    const { protection, part } = this.#options;
    return encryptSamples(this.#protectedSamples(), protection.sampleKey, {
      buffer,
      at,
      first,
      end,
      sizes: part.samples.size,
    });
  }

  #protectedSamples(): ProtectedSamples {
    const { part, common, protection, stream } = this.#options;
    this.#samples ??= {
      scheme: common.scheme,
      count: part.samples.count,
      firstIv: this.#firstIv(protection, stream),
      subsamples: this.#scan?.finish() ?? null,
    };
    return this.#samples;
  }

  /** IVs are counted through the whole track, so that no segment has those of another. */
  #firstIv(protection: FileProtection, stream: Pick<StreamChoice, "container" | "tracks">): bigint {
    const { track, samples } = this.#options.part;
    const label = `${protection.labelOf(stream)}\n${track.id}`;
    return BigInt.asUintN(64, firstSampleIv(protection.key, label) + BigInt(samples.first));
  }

  #within({ from, to }: PayloadStep): readonly [first: number, end: number] {
    const { index, part } = this.#options;
    const { count } = part.samples;
    const first = from.part < index ? 0 : from.part === index ? from.sample : count;
    const end = to.part > index ? count : to.part === index ? to.sample : 0;
    return [first, end];
  }
}

/**
 * A fragment whose samples are encrypted. Its head tells where, so its media is read before its size is known: all of
 * it in one range, or window by window and then once more for the payload.
 *
 *   const fragment = new ProtectedFragment(parts, scheme);
 *   fragment.scan({ bytes, fileOffset }); // or scanStep for each step of payloadSteps with wholeSamples
 *   const { tracks, samples } = fragment.finish(); // for planFragment, and for lib/crypto/sample-cipher.ts
 */
import { type FileBytes, type PayloadStep, stepParts } from "../mp4/gather.ts";
import type { Samples, Track } from "../mp4/movie.ts";
import type { FragmentTrack } from "../mp4/movie-fragment.ts";
import { type ProtectedSamples, sampleEncryptionBoxes } from "./fragment-boxes.ts";
import { isProtected, type ProtectionScheme } from "./protection.ts";
import { SubsampleScan } from "./subsamples.ts";

/** One track of a fragment that is to be protected. */
export interface ClearPart {
  readonly track: Track;
  readonly samples: Samples;
  /** `cenc`: IV of sample 0 of the track. */
  readonly trackIv: bigint;
}

/** What a fragment needs once its samples were scanned, in the order of its parts. */
export interface FinishedProtection {
  readonly tracks: readonly FragmentTrack[];
  /** What is encrypted of each track; null for those that stay clear. */
  readonly samples: readonly (ProtectedSamples | null)[];
}

/** Finds what is to be encrypted in a fragment (ISO/IEC 23001-7 §9.5). */
export class ProtectedFragment {
  readonly #parts: readonly ClearPart[];
  readonly #scheme: ProtectionScheme;
  /** Null for tracks whose samples are protected as a whole, or not at all. */
  readonly #scans: readonly (SubsampleScan | null)[];

  /** MovieError for codecs that can't be protected. */
  constructor(parts: readonly ClearPart[], scheme: ProtectionScheme) {
    this.#parts = parts;
    this.#scheme = scheme;
    this.#scans = parts.map(({ track: { codec }, samples }) =>
      isProtected(codec) && codec.kind === "video" ? new SubsampleScan(codec, scheme, samples.count) : null,
    );
  }

  /** All samples, which are all in `from`. */
  scan(from: FileBytes): void {
    for (const [index, { samples }] of this.#parts.entries()) this.#scans[index]?.scan(samples, from);
  }

  /** The samples of the next step, whose range is in `from`. */
  scanStep(step: PayloadStep, from: FileBytes): void {
    const parts = stepParts(
      this.#parts.map(({ samples }) => samples),
      step,
    );
    if (!parts) throw new Error("bug: a piece of a sample can't be scanned");
    for (const { part, first, end } of parts) this.#scans[part]?.scan(this.#parts[part]!.samples, from, { first, end });
  }

  finish(): FinishedProtection {
    const protectedSamples = this.#parts.map(({ track, samples, trackIv }, index) =>
      isProtected(track.codec)
        ? {
            scheme: this.#scheme,
            count: samples.count,
            firstIv: trackIv + BigInt(samples.first),
            subsamples: this.#scans[index]?.finish() ?? null,
          }
        : null,
    );
    return {
      tracks: this.#parts.map(({ track, samples }, index) => {
        const one = protectedSamples[index];
        return { track, samples, boxes: one ? sampleEncryptionBoxes(one) : undefined };
      }),
      samples: protectedSamples,
    };
  }
}

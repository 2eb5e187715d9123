/** Encrypts gathered samples where they lie (ISO/IEC 23001-7 §10.1, §10.4). */
import { createCipheriv } from "node:crypto";
import { type ProtectedSamples, sampleIv } from "../../domain/cenc/fragment-boxes.ts";
import { CBCS_PATTERN } from "../../domain/cenc/protection.ts";

export interface SampleKey {
  /** 16 bytes each. */
  readonly key: Buffer;
  /** Of `cbcs`. */
  readonly constantIv: Buffer;
}

export interface SampleBytes {
  readonly buffer: Buffer;
  /** Where the first of them begins in `buffer`; they lie one behind the other. */
  readonly at: number;
  /** Samples that lie there, counted from the first one of the fragment; all where absent. */
  readonly first?: number;
  readonly end?: number;
  /** Sizes of all samples of the fragment. */
  readonly sizes: Uint32Array;
}

const BLOCK_BYTES = 16;
const PIECE_BYTES = 64 * 1024; // as in segment-cipher.ts
const PATTERN_BYTES = (CBCS_PATTERN.cryptBlocks + CBCS_PATTERN.skipBlocks) * BLOCK_BYTES;

/** Calls back with each protected part of a sample, or with all of it. */
const eachPart = (
  { subsamples }: ProtectedSamples,
  sample: { readonly index: number; readonly at: number; readonly size: number },
  part: (at: number, end: number) => void,
): void => {
  const { index, at, size } = sample;
  if (!subsamples) {
    part(at, at + size);
    return;
  }
  const { starts, clearBytes, protectedBytes } = subsamples;
  let next = at;
  for (let entry = starts[index]!; entry < starts[index + 1]!; entry += 1) {
    next += clearBytes[entry]!;
    if (protectedBytes[entry]! > 0) part(next, next + protectedBytes[entry]!);
    next += protectedBytes[entry]!;
  }
  if (next !== at + size) throw new Error("bug: subsamples of another sample");
};

const inPlace = (cipher: { update(bytes: Buffer): Buffer }, buffer: Buffer, [at, end]: readonly [number, number]) => {
  for (let next = at; next < end; next += PIECE_BYTES)
    cipher.update(buffer.subarray(next, Math.min(end, next + PIECE_BYTES))).copy(buffer, next);
};

/** One key stream through all protected parts of a sample; it begins at block 0 of the sample's IV. */
const counterMode = ({ key }: SampleKey, iv: bigint) => {
  const counter = Buffer.alloc(BLOCK_BYTES);
  counter.writeBigUInt64BE(iv);
  return createCipheriv("aes-128-ctr", key, counter);
};

/** The encrypted blocks of a part, brought together: CBC chains them over the clear ones between (§9.6.1). */
const patternBlocks = Buffer.alloc(PIECE_BYTES);

const cbcPattern = ({ key, constantIv }: SampleKey, buffer: Buffer, [at, end]: readonly [number, number]): void => {
  const cipher = createCipheriv("aes-128-cbc", key, constantIv);
  const last = end - BLOCK_BYTES;
  let done = at;
  while (done <= last) {
    let bytes = 0;
    let next = done;
    for (; next <= last && bytes < PIECE_BYTES; next += PATTERN_BYTES)
      bytes += buffer.copy(patternBlocks, bytes, next, next + BLOCK_BYTES);
    const encrypted = cipher.update(patternBlocks.subarray(0, bytes));
    for (let from = 0, to = done; from < bytes; from += BLOCK_BYTES, to += PATTERN_BYTES)
      encrypted.copy(buffer, to, from, from + BLOCK_BYTES);
    done = next;
  }
};

const cbcWhole = ({ key, constantIv }: SampleKey, buffer: Buffer, [at, end]: readonly [number, number]): void => {
  const whole = end - ((end - at) % BLOCK_BYTES); // the rest stays clear, §10.4.2
  if (whole > at) inPlace(createCipheriv("aes-128-cbc", key, constantIv), buffer, [at, whole]);
};

/** Encrypts the samples of one track of a fragment, or those of a window of it; gives where they end. */
export const encryptSamples = (samples: ProtectedSamples, key: SampleKey, bytes: SampleBytes): number => {
  const { buffer, sizes, first = 0, end = samples.count } = bytes;
  const isCenc = samples.scheme === "cenc";
  const cbc = samples.subsamples ? cbcPattern : cbcWhole;
  let at = bytes.at;
  for (let index = first; index < end; index += 1) {
    const size = sizes[index]!;
    const cipher = isCenc ? counterMode(key, sampleIv(samples.firstIv, index)) : null;
    eachPart(samples, { index, at, size }, (from, to) => {
      if (cipher) inPlace(cipher, buffer, [from, to]);
      else cbc(key, buffer, [from, to]);
    });
    at += size;
  }
  return at;
};

/** Encrypts gathered samples where they lie (ISO/IEC 23001-7 §10.1, §10.4). */
import { createCipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { type ProtectedSamples, sampleIv } from "../../domain/cenc/fragment-boxes.ts";
import { CBCS_PATTERN } from "../../domain/cenc/protection.ts";

/** A key as ciphers take it: one is begun for each sample, which takes 1.6 µs, and 10 µs from a Buffer. */
export interface SampleKey {
  readonly secret: KeyObject;
  /** Of `cbcs`. */
  readonly constantIv: Buffer;
}

/** 16 bytes each. */
export const sampleKey = (key: Buffer, constantIv: Buffer): SampleKey => ({
  secret: createSecretKey(key),
  constantIv,
});

/** Where gathered samples of one track lie. */
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
const counterMode = ({ secret }: SampleKey, iv: bigint) => {
  const counter = Buffer.alloc(BLOCK_BYTES);
  counter.writeBigUInt64BE(iv);
  return createCipheriv("aes-128-ctr", secret, counter);
};

/** The encrypted blocks of a part, brought together: CBC chains them over the clear ones between (§9.6.1). */
const patternBlocks = Buffer.alloc(PIECE_BYTES);

interface BlockRun {
  readonly at: number;
  /** From the start of one block to that of the next. */
  readonly stride: number;
}
const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Copies blocks from one run to another: two moves of 64 bits each, six times as fast as Buffer.copy. */
const moveBlocks = (views: readonly [DataView, DataView], runs: readonly [BlockRun, BlockRun], count: number): void => {
  const [source, target] = views;
  let [from, to] = [runs[0].at, runs[1].at];
  for (let left = count; left > 0; left -= 1) {
    target.setBigUint64(to, source.getBigUint64(from));
    target.setBigUint64(to + 8, source.getBigUint64(from + 8));
    from += runs[0].stride;
    to += runs[1].stride;
  }
};

const cbcPattern = (key: SampleKey, buffer: Buffer, [at, end]: readonly [number, number]): void => {
  const cipher = createCipheriv("aes-128-cbc", key.secret, key.constantIv);
  const view = viewOf(buffer);
  const dense = { at: 0, stride: BLOCK_BYTES };
  const blocks = Math.floor((end - at - BLOCK_BYTES) / PATTERN_BYTES) + 1;
  for (let done = 0; done < blocks; ) {
    const count = Math.min(blocks - done, PIECE_BYTES / BLOCK_BYTES);
    const spread = { at: at + done * PATTERN_BYTES, stride: PATTERN_BYTES };
    moveBlocks([view, viewOf(patternBlocks)], [spread, dense], count);
    const encrypted = cipher.update(patternBlocks.subarray(0, count * BLOCK_BYTES));
    moveBlocks([viewOf(encrypted), view], [dense, spread], count);
    done += count;
  }
};

const cbcWhole = (key: SampleKey, buffer: Buffer, [at, end]: readonly [number, number]): void => {
  const whole = end - ((end - at) % BLOCK_BYTES); // the rest stays clear, §10.4.2
  if (whole > at) inPlace(createCipheriv("aes-128-cbc", key.secret, key.constantIv), buffer, [at, whole]);
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

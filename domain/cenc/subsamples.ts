/** Which bytes of a sample of NAL units are protected (ISO/IEC 23001-7 §9.5): data of slices, never their headers. */
import type { FileBytes } from "../mp4/gather.ts";
import { MovieError, type Samples, type VideoCodec } from "../mp4/movie.ts";
import { NalError } from "./nal-reader.ts";
import type { ProtectionScheme } from "./protection.ts";
import { type SliceReader, sliceReader } from "./slice.ts";

/**
 * Clear bytes of a slice whose header can't be read (slice groups, screen content, damage): more than the headers that
 * encoders write have, and what players need in the clear is in them.
 */
export const UNREAD_CLEAR_BYTES = 256;
/** One entry of a sample's size in `saiz` is a byte (14496-12 §8.7.8): 2 of the count, 8 of the IV, 6 each. */
const ENTRIES_MAX = 40;
const CLEAR_BYTES_MAX = 0xffff;
const BLOCK_BYTES = 16;

/** Subsamples of the samples of one fragment, in their order. */
export interface Subsamples {
  /** Sample n has the entries from `starts[n]` up to `starts[n + 1]`. */
  readonly starts: Uint32Array;
  readonly clearBytes: Uint16Array;
  /** Follow the clear bytes of the same entry. */
  readonly protectedBytes: Uint32Array;
}

/** One sample's NAL units, in arrays that are used again. */
class Units {
  readonly sizes: number[] = [];
  /** Bytes at the end that may be protected. */
  readonly bodies: number[] = [];
}

/**
 * Finds the subsamples of a fragment's samples, in order, as their bytes come: out of what is read of the file, before
 * it is gathered, because the head of a fragment tells them.
 */
export class SubsampleScan {
  readonly #codec: VideoCodec;
  readonly #scheme: ProtectionScheme;
  readonly #slices: SliceReader;
  readonly #units = new Units();
  readonly #starts: Uint32Array;
  #clear: Uint16Array;
  #protected: Uint32Array;
  #samples = 0;
  #entries = 0;

  constructor(codec: VideoCodec, scheme: ProtectionScheme, sampleCount: number) {
    this.#codec = codec;
    this.#scheme = scheme;
    this.#slices = sliceReader(codec);
    this.#starts = new Uint32Array(sampleCount + 1);
    this.#clear = new Uint16Array(sampleCount * 2 + ENTRIES_MAX);
    this.#protected = new Uint32Array(sampleCount * 2 + ENTRIES_MAX);
  }

  /** The next samples: from `first` up to `end`, counted from the first one of `samples`. */
  scan(samples: Samples, from: FileBytes, { first = 0, end = samples.count } = {}): void {
    for (let index = first; index < end; index += 1) {
      const size = samples.size[index]!;
      // Wherever the table says that nothing is.
      const start = size === 0 ? 0 : samples.offset[index]! - from.fileOffset;
      if (start < 0 || start + size > from.bytes.length) throw new Error("bug: a sample that was not read");
      this.#readUnits(from.bytes, start, start + size);
      this.#addSample(size);
    }
  }

  /** All of them, once the last sample was scanned. */
  finish(): Subsamples {
    if (this.#samples + 1 !== this.#starts.length) throw new Error("bug: samples are missing in a scan");
    return {
      starts: this.#starts,
      clearBytes: this.#clear.subarray(0, this.#entries),
      protectedBytes: this.#protected.subarray(0, this.#entries),
    };
  }

  #readUnits(bytes: Buffer, start: number, end: number): void {
    const { sizes, bodies } = this.#units;
    const lengthBytes = this.#codec.nalLengthBytes;
    sizes.length = 0;
    bodies.length = 0;
    for (let at = start; at + lengthBytes <= end; ) {
      const unitAt = at + lengthBytes;
      const unitEnd = unitAt + bytes.readUIntBE(at, lengthBytes);
      if (unitEnd > end) return; // a damaged sample: what is left stays clear
      sizes.push(unitEnd - at);
      bodies.push(this.#bodyBytes(bytes, unitAt, unitEnd));
      at = unitEnd;
    }
  }

  #bodyBytes(bytes: Buffer, start: number, end: number): number {
    let clear = UNREAD_CLEAR_BYTES;
    try {
      clear = this.#slices.clearBytes(bytes, start, end);
    } catch (error) {
      if (!(error instanceof NalError)) throw error;
    }
    const body = clear === 0 ? 0 : Math.max(0, end - start - clear);
    // Whole blocks only: §9.5.2.3; cbcs leaves a last part of a block alone by itself (§10.4).
    return this.#scheme === "cenc" ? body - (body % BLOCK_BYTES) : body;
  }

  /** Where slices are too many for the sample's entry in `saiz`, small ones stay clear. */
  #addSample(size: number): void {
    for (let minBytes = BLOCK_BYTES; minBytes <= 2 ** 31; minBytes *= 2) {
      const entries = this.#write(size, minBytes);
      if (entries > ENTRIES_MAX) continue;
      this.#entries += entries;
      this.#samples += 1;
      this.#starts[this.#samples] = this.#entries;
      return;
    }
    throw new MovieError("unsupported", "encryption of a picture with megabytes of metadata");
  }

  /** Writes the sample's entries behind those that stay; gives how many, at most one too many. */
  #write(size: number, minBytes: number): number {
    const { sizes, bodies } = this.#units;
    this.#reserve();
    let [entries, clear, seen] = [0, 0, 0];
    const add = (protectedBytes: number): void => {
      for (; clear > CLEAR_BYTES_MAX && entries <= ENTRIES_MAX; clear -= CLEAR_BYTES_MAX, entries += 1)
        this.#set(entries, CLEAR_BYTES_MAX, 0);
      this.#set(entries, clear, protectedBytes);
      clear = 0;
      entries += 1;
    };
    for (let index = 0; index < sizes.length && entries <= ENTRIES_MAX; index += 1) {
      const [unit, body] = [sizes[index]!, bodies[index]!];
      seen += unit;
      clear += unit;
      if (body < minBytes) continue;
      clear -= body;
      add(body);
    }
    clear += size - seen;
    if (clear > 0 && entries <= ENTRIES_MAX) add(0);
    return entries;
  }

  #set(entry: number, clear: number, protectedBytes: number): void {
    this.#clear[this.#entries + entry] = clear;
    this.#protected[this.#entries + entry] = protectedBytes;
  }

  /** Room for one more sample. */
  #reserve(): void {
    const wanted = this.#entries + ENTRIES_MAX + 2;
    if (wanted <= this.#clear.length) return;
    const [clear, protectedBytes] = [this.#clear, this.#protected];
    this.#clear = new Uint16Array(wanted * 2);
    this.#protected = new Uint32Array(wanted * 2);
    this.#clear.set(clear);
    this.#protected.set(protectedBytes);
  }
}

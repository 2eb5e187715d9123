/** A media segment, and how one is made chunk by chunk. */
import { buildChunk, lengthenLastSample } from "../mp4/chunk.ts";
import type { Sample } from "../mp4/fragment.ts";
import type { Units } from "./units.ts";

export interface Segment {
  readonly number: number;
  /** First decode time, in the track's timescale. */
  readonly start: number;
  /** Wall clock of the start, fixed when the segment is begun. */
  readonly programDateTimeMs: number;
  /** CMAF chunks; together they are the segment. */
  readonly chunks: readonly Buffer[];
  /** In the track's timescale. */
  readonly duration: number;
  readonly byteLength: number;
  /** Some of it is slate. */
  readonly hasSlate: boolean;
}

interface Begin {
  readonly units: Units;
  readonly number: number;
  readonly start: number;
  readonly programDateTimeMs: number;
  /** Of the movie fragment header; differs between origins. */
  readonly nextSequenceNumber: () => number;
}

/** Takes samples that follow each other without a hole. A chunk is copied together once, when it is full. */
export class SegmentBuilder {
  readonly number: number;
  readonly #begin: Begin;
  readonly #chunks: Buffer[] = [];
  #pending: Sample[] = [];
  #pendingIsSlate = false;
  #pendingBytes = 0;
  #chunkBytes = 0;
  #hasSlate = false;
  #end: number;

  constructor(begin: Begin) {
    this.#begin = begin;
    this.number = begin.number;
    this.#end = begin.start;
  }

  get start(): number {
    return this.#begin.start;
  }
  get end(): number {
    return this.#end;
  }
  get byteLength(): number {
    return this.#chunkBytes + this.#pendingBytes;
  }
  get isEmpty(): boolean {
    return this.#chunks.length === 0 && this.#pending.length === 0;
  }
  /** The next sample would lie in the next segment. */
  get isComplete(): boolean {
    const { units } = this.#begin;
    return units.numberOf(this.#end) > this.number;
  }

  add(sample: Sample, isSlate: boolean): void {
    const { units } = this.#begin;
    if (this.#pendingIsSlate !== isSlate) this.#closeChunk(); // a returning picture begins a chunk with its key frame
    this.#pendingIsSlate = isSlate;
    this.#pending.push(sample);
    this.#pendingBytes += sample.data.length;
    this.#end = sample.dts + sample.duration;
    const partStart = this.#pending[0]?.dts ?? sample.dts;
    if (units.partOf(this.#end, this.number) > units.partOf(partStart, this.number)) this.#closeChunk();
  }

  /** Shows the last frame until `end`, which may lie before its end now as well. */
  lengthenTo(end: number): void {
    const by = end - this.#end;
    const last = this.#pending.at(-1);
    const chunk = this.#chunks.at(-1);
    // Nobody has been given a chunk of an unfinished segment: its last duration may still be written anew.
    if (last) this.#pending[this.#pending.length - 1] = { ...last, duration: last.duration + by };
    else if (chunk) lengthenLastSample(chunk, by);
    this.#end = end;
  }

  finish(): Segment {
    this.#closeChunk();
    const { start, programDateTimeMs } = this.#begin;
    return {
      number: this.number,
      start,
      programDateTimeMs,
      chunks: this.#chunks,
      duration: this.#end - start,
      byteLength: this.#chunkBytes,
      hasSlate: this.#hasSlate,
    };
  }

  #closeChunk(): void {
    const [first] = this.#pending;
    if (!first) return;
    const chunk = buildChunk(this.#pending, {
      sequenceNumber: this.#begin.nextSequenceNumber(),
      kind: this.#begin.units.kind,
      baseDts: first.dts,
      first: this.#chunks.length === 0,
    });
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    this.#hasSlate ||= this.#pendingIsSlate;
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}

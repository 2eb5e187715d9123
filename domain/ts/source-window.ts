/** Which part of a segment's media is in memory, and where. */
import { MovieError } from "../mp4/movie.ts";
import { growth } from "./access-unit.ts";
import { Extents, type SourceRange } from "./extents.ts";
import { MuxOrder, type SegmentSamples } from "./order.ts";
import { keepsSize } from "./packet-count.ts";
import type { TsProgram } from "./program.ts";
import { PARAMETER_SET_BYTES_MAX } from "./video-stream.ts";

/** At the end of each source area, behind what is read of the file: parameter sets or 64 KiB of audio, and headers. */
export const TS_SCRATCH_BYTES = PARAMETER_SET_BYTES_MAX + 68 * 1024;
const GAP_BYTES = 64 * 1024;

/** What a sample needs besides its own size, as a share of it. */
const growthIn = ({ video }: TsProgram): number => (video && !keepsSize(video) ? growth(video) : 0);

/** What an area needs besides `TS_SCRATCH_BYTES` so that samples of up to so many bytes have room in it. */
export const areaBytesFor = (program: TsProgram, sampleBytes: number): number =>
  Math.ceil(sampleBytes * (1 + growthIn(program))) + 1; // of rounding

/** How much of the file may be in memory at once. */
export interface SourceRoom {
  /** Of the area: `TS_SCRATCH_BYTES` of it are not for the file. */
  readonly byteLength: number;
  /** No more is taken once there is this much to read; all that has room where absent. */
  readonly wantedBytes?: number;
  /** Foreign bytes between samples up to this many are read along rather than asked around; infinite: one range. */
  readonly gapBytes?: number;
}

/** Goes ahead of the writer through the events of a segment, and takes as many in as a source area has room for. */
export class SourceWindow {
  /** Events that are taken in and not yet written. */
  eventCount = 0;
  isAtEnd = false;
  /** Address of the area. */
  areaAt = 0;
  readonly #plan: MuxOrder;
  readonly #samples: SegmentSamples;
  readonly #growth: number;
  readonly #extents = new Extents();
  /** The plan's event is not taken in yet. */
  #isAhead = false;
  #unitsEnd = 0;
  #readBytes = 0;
  #scratch = 0;

  constructor(program: TsProgram, samples: SegmentSamples) {
    this.#plan = new MuxOrder(program, samples);
    this.#samples = samples;
    this.#growth = growthIn(program);
  }

  /** Free for headers: `TS_SCRATCH_BYTES` at the end of the area. */
  get scratchAt(): number {
    return this.areaAt + this.#scratch;
  }
  /** Free for a sample that grows: behind what was read. */
  get expansionAt(): number {
    return this.areaAt + this.#readBytes;
  }

  /** What is to be read for the next events, as many as there is room for. */
  take({ byteLength, wantedBytes = byteLength, gapBytes = GAP_BYTES }: SourceRoom): SourceRange[] {
    this.#scratch = byteLength - TS_SCRATCH_BYTES;
    const room = Math.floor(this.#scratch / (1 + this.#growth));
    const wanted = { bytesMax: Math.min(room, wantedBytes), gapBytes };
    this.#begin();
    while (!this.isAtEnd) {
      if (!this.#isAhead) this.isAtEnd = this.#plan.next() === "end";
      const fits = this.isAtEnd || this.#fits(wanted) || (this.eventCount === 0 && this.#fitsAlone(room));
      this.#isAhead = !fits;
      if (!fits) break;
      if (!this.isAtEnd) this.eventCount += 1;
    }
    if (this.eventCount === 0 && !this.isAtEnd)
      throw new MovieError("unsupported", `a sample that does not fit into ${room} bytes`);
    this.#readBytes = this.#extents.bytes;
    return this.#extents.place();
  }

  #begin(): void {
    this.#extents.clear();
    this.#unitsEnd = 0;
  }

  #fits(limits: { readonly bytesMax: number; readonly gapBytes: number }): boolean {
    const { kind, sample, sampleEnd } = this.#plan;
    const samples = kind === "video" ? this.#samples.video : this.#samples.audio;
    if (kind === "clock" || !samples) return true;
    const { offset, size } = samples;
    // Start codes are put in where lengths were: a sample must not be read twice out of one window.
    if (kind === "video" && offset[sample]! < this.#unitsEnd) return false;
    for (let index = sample; index < sampleEnd; index += 1) {
      if (!this.#extents.add(offset[index]!, offset[index]! + size[index]!, limits)) return false;
    }
    if (kind === "video") this.#unitsEnd = offset[sample]! + size[sample]!;
    return true;
  }

  /** Without what lies between its parts, so that there is progress whatever the gaps are. */
  #fitsAlone(bytesMax: number): boolean {
    this.#begin();
    return this.#fits({ bytesMax, gapBytes: 0 });
  }

  addressOf(offset: number): number {
    return this.areaAt + this.#extents.addressOf(offset);
  }

  /** Begins again behind what the writer has done; `repeats`: with the event that it is at. */
  rewind(order: MuxOrder, { repeats }: { readonly repeats: boolean }): void {
    this.#plan.follow(order);
    this.#isAhead = repeats;
    this.eventCount = 0;
    this.isAtEnd = false;
  }
}

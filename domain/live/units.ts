/**
 * The grid in one track's timescale. Segment boundaries are fractions of whole numbers: nothing is ever accumulated.
 */
import { type Grid, TICKS_PER_SECOND } from "./grid.ts";

const divisorOf = (a: number, b: number): number => (b === 0 ? a : divisorOf(b, a % b));
/** Units; audio frames don't lie on the grid, rounding must not move one across it. */
const AUDIO_EPSILON = 2;
/** Samples per AAC frame. */
const AUDIO_FRAME = 1024;

export class Units {
  readonly kind: "video" | "audio";
  readonly timescale: number;
  /** Nominal length of a frame; a fraction at rates such as 24000/1001. */
  readonly frame: number;
  /** How far before a boundary a sample may begin and still belong behind it: half a frame of video. */
  readonly epsilon: number;
  readonly #gop: number;
  readonly #part: number;
  /** Segment length as a fraction in its lowest terms. */
  readonly #segmentNum: number;
  readonly #segmentDen: number;

  constructor(grid: Grid, kind: "video" | "audio", timescale: number) {
    const { num, den } = grid.frameRate;
    const divisor = divisorOf(grid.segmentTicks * timescale, TICKS_PER_SECOND);
    this.kind = kind;
    this.timescale = timescale;
    this.frame = kind === "video" ? (timescale * den) / num : AUDIO_FRAME;
    this.epsilon = kind === "video" ? this.frame / 2 : AUDIO_EPSILON;
    this.#gop = (grid.gopTicks * timescale) / TICKS_PER_SECOND;
    this.#part = (grid.partTicks * timescale) / TICKS_PER_SECOND;
    this.#segmentNum = (grid.segmentTicks * timescale) / divisor;
    this.#segmentDen = TICKS_PER_SECOND / divisor;
  }

  get segment(): number {
    return this.#segmentNum / this.#segmentDen;
  }
  /** Where a segment begins. */
  boundary(segmentNumber: number): number {
    return (segmentNumber * this.#segmentNum) / this.#segmentDen;
  }
  /** The segment that a sample with this decode time belongs to. */
  numberOf(dts: number): number {
    return Math.floor(((dts + this.epsilon) * this.#segmentDen) / this.#segmentNum);
  }
  /** 0-based, within the segment. */
  partOf(dts: number, segmentNumber: number): number {
    return Math.floor((dts - this.boundary(segmentNumber) + this.epsilon) / this.#part);
  }
  /** Begins (up to half a frame, or one of audio) where its segment does. */
  isAtBoundary(dts: number): boolean {
    const slack = this.kind === "video" ? this.epsilon : this.frame + this.epsilon;
    return dts - this.boundary(this.numberOf(dts)) <= slack;
  }
  /** On a slot for a key frame, up to half a frame. */
  isOnGop(dts: number): boolean {
    const into = dts - this.boundary(this.numberOf(dts)) + this.epsilon;
    return into - Math.floor(into / this.#gop) * this.#gop <= this.frame;
  }
  /** The grid's next frame after a decode time, rounded to a unit. */
  nextFrame(dts: number): number {
    const boundary = this.boundary(this.numberOf(dts));
    const index = Math.round((dts - boundary) / this.frame) + 1;
    return Math.round(boundary + index * this.frame);
  }
  fromTicks(ticks: number): number {
    return (ticks * this.timescale) / TICKS_PER_SECOND;
  }
  toTicks(units: number): number {
    return (units * TICKS_PER_SECOND) / this.timescale;
  }
  fromMs(ms: number): number {
    return (ms * this.timescale) / 1000;
  }
}

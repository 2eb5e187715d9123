/** Audio frames in groups, each of which becomes one PES packet. */
import type { Samples } from "../mp4/movie.ts";
import type { AudioStream } from "./audio-stream.ts";
import { TICKS_PER_SECOND, ticksOf } from "./clock.ts";

const FRAMES_MAX = 32;
/** PES_packet_length has 16 bits. */
const BYTES_MAX = 65_000;
/** One PTS for the group: the other frames' times follow from their length, and must not be later than this. */
const GAP_TICKS = TICKS_PER_SECOND / 500;

/** Index behind the last sample that has bytes: those without are not sent. */
export const filledEnd = (samples: Samples): number => {
  let end = samples.count;
  while (end > 0 && samples.size[end - 1] === 0) end -= 1;
  return end;
};

/** Of one segment; samples are counted from its first one. */
export class AudioGroups {
  readonly end: number;
  readonly #stream: AudioStream;
  readonly #samples: Samples;
  /** Of one frame. */
  readonly frameTicks: number;
  readonly #framesMax: number;

  constructor(stream: AudioStream, samples: Samples, secondsMax: number) {
    this.#stream = stream;
    this.#samples = samples;
    this.end = filledEnd(samples);
    const meanTicks = (this.timeOf(samples.count) - this.timeOf(0)) / Math.max(1, samples.count);
    this.frameTicks = stream.frameTicks ?? meanTicks;
    const frames = Math.floor((secondsMax * TICKS_PER_SECOND) / this.frameTicks);
    this.#framesMax = Math.max(1, Math.min(FRAMES_MAX, frames));
  }

  /** The first frame from here on that has bytes; `end` where there is none. */
  from(index: number): number {
    let next = index;
    while (next < this.end && this.#samples.size[next] === 0) next += 1;
    return Math.min(next, this.end);
  }

  /** In ticks; behind the last frame: when it ends. */
  timeOf(index: number): number {
    const { dts, compositionOffset, count } = this.#samples;
    return ticksOf(this.#stream.clock, dts[index]! + (index < count ? compositionOffset[index]! : 0));
  }

  /** Of a frame with its header. */
  frameBytes(index: number): number {
    const { frameHeader, frameBytesMax } = this.#stream;
    return frameHeader.length + Math.min(this.#samples.size[index]!, frameBytesMax);
  }

  /** Where the group that begins with a frame ends: at a gap, too, and so that the last one is not much shorter. */
  groupEnd(first: number): number {
    const left = this.end - first;
    const framesMax = this.#framesMax;
    const frames = left > framesMax && left < 2 * framesMax ? Math.ceil(left / 2) : Math.min(left, framesMax);
    const start = this.timeOf(first);
    let bytes = this.frameBytes(first);
    let end = first + 1;
    for (; end < first + frames && this.#samples.size[end]! > 0; end += 1) {
      bytes += this.frameBytes(end);
      if (bytes > BYTES_MAX) break;
      const late = this.timeOf(end) - start - (end - first) * this.frameTicks;
      // Some writers put two frames at one time and none at the next: frames that overlap follow each other.
      if (late > GAP_TICKS || late < -this.frameTicks - GAP_TICKS) break;
    }
    return end;
  }

  groupBytes(first: number, end: number): number {
    let bytes = 0;
    for (let index = first; index < end; index += 1) bytes += this.frameBytes(index);
    return bytes;
  }
}

/**
 * What ffmpeg tells about its input on stderr (`-loglevel level+info`): the only probe that does not steal the source's
 * packets.
 */

export interface FrameRate {
  readonly num: number;
  readonly den: number;
}
export interface SourceInfo {
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
  readonly width: number | null;
  readonly height: number | null;
  /** Null where probing missed it. */
  readonly frameRate: FrameRate | null;
  readonly interlaced: boolean;
  /** Of a file; null for a live source. */
  readonly durationMs: number | null;
}

const FRAMES_PER_SECOND_MIN = 5;
const FRAMES_PER_SECOND_MAX = 120;
/** Rates that ffmpeg prints rounded to two digits. */
const NTSC_BASES = [24, 30, 48, 60, 120];

/** `29.97` is 30000/1001; other rates are taken to a hundredth. Null: no rate that a picture has. */
export const frameRateOf = (framesPerSecond: number): FrameRate | null => {
  if (!(framesPerSecond >= FRAMES_PER_SECOND_MIN && framesPerSecond <= FRAMES_PER_SECOND_MAX)) return null;
  if (Number.isInteger(framesPerSecond)) return { num: framesPerSecond, den: 1 };
  const ntsc = NTSC_BASES.find((base) => Math.abs((base * 1000) / 1001 - framesPerSecond) < 0.011);
  if (ntsc !== undefined) return { num: ntsc * 1000, den: 1001 };
  const hundredths = Math.round(framesPerSecond * 100);
  const divisor = [100, 50, 25, 20, 10, 5, 4, 2, 1].find((n) => hundredths % n === 0 && 100 % n === 0) ?? 1;
  return { num: hundredths / divisor, den: 100 / divisor };
};

const videoOf = (line: string): Omit<SourceInfo, "hasAudio" | "durationMs"> => {
  const [, width, height] = /, (\d{2,5})x(\d{2,5})\b/.exec(line) ?? [];
  // `fps` is the measured mean, `tbr` a guess from the fields: of an interlaced 25 fps source it says 50.
  const rate = /, ([\d.]+) fps\b/.exec(line)?.[1] ?? /, ([\d.]+) tbr\b/.exec(line)?.[1];
  return {
    hasVideo: true,
    width: width ? Number(width) : null,
    height: height ? Number(height) : null,
    frameRate: rate === undefined ? null : frameRateOf(Number(rate)),
    interlaced: /\b(?:top first|bottom first|top coded first|bottom coded first)\b/.test(line),
  };
};

const END_OF_INPUT =
  /Stream mapping:|Output #0,|matches no streams|Cannot find a matching stream|At least one output file must/;

/** Reads the lines between `Input #0` and the stream mapping; `info` is there once they are all read. */
export class SourceInfoReader {
  #reading = false;
  #found: SourceInfo = {
    hasVideo: false,
    hasAudio: false,
    width: null,
    height: null,
    frameRate: null,
    interlaced: false,
    durationMs: null,
  };
  info: SourceInfo | null = null;

  /** True when this line completed the information. */
  push(line: string): boolean {
    if (this.info !== null) return false;
    if (/^(?:\[info\] )?Input #0,/.test(line)) this.#reading = true;
    else if (this.#reading && END_OF_INPUT.test(line)) {
      this.info = this.#found;
      return true;
    } else if (this.#reading && /Stream #0:\d+/.test(line)) this.#stream(line);
    else if (this.#reading) this.#duration(line);
    return false;
  }
  #duration(line: string): void {
    const [, hours, minutes, seconds] = /^(?:\[info\] )? {2}Duration: (\d+):(\d\d):(\d\d\.\d+)/.exec(line) ?? [];
    if (seconds === undefined) return;
    const durationMs = Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000);
    this.#found = { ...this.#found, durationMs };
  }
  #stream(line: string): void {
    if (/: Audio: /.test(line)) this.#found = { ...this.#found, hasAudio: true };
    else if (/: Video: /.test(line) && !this.#found.hasVideo) {
      this.#found = { ...this.#found, ...videoOf(line) };
    }
  }
}

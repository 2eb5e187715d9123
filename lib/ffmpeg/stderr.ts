/** ffmpeg's stderr as lines, and how many of them the log gets: joining a stream mid-GOP prints hundreds at once. */

const LINE_LENGTH_MAX = 2000;

/** Cuts bytes into lines; a line over 2,000 characters is cut off. ffmpeg ends progress lines with `\r`. */
export class LineSplitter {
  #rest = "";
  readonly #onLine: (line: string) => void;
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }
  push(text: string): void {
    const lines = (this.#rest + text).split(/[\r\n]+/);
    this.#rest = (lines.pop() ?? "").slice(0, LINE_LENGTH_MAX);
    for (const line of lines) if (line.trim() !== "") this.#onLine(line.slice(0, LINE_LENGTH_MAX));
  }
}

const BURST_LINES = 20;
const LINES_PER_SECOND = 1;

/** Lets 20 lines through at once and one per second after that; tells how many were left out before a line. */
export class LineLimiter {
  #tokens = BURST_LINES;
  #lastMs = 0;
  #left = 0;
  /** Null: leave the line out. `left`: how many were left out since the last one that was let through. */
  take(nowMs: number): { readonly left: number } | null {
    this.#tokens = Math.min(BURST_LINES, this.#tokens + ((nowMs - this.#lastMs) / 1000) * LINES_PER_SECOND);
    this.#lastMs = nowMs;
    if (this.#tokens < 1) {
      this.#left += 1;
      return null;
    }
    this.#tokens -= 1;
    const left = this.#left;
    this.#left = 0;
    return { left };
  }
}

/** Addresses of sources carry passwords and stream keys: whatever stands after a `?` or as user info is cut out. */
export const withoutSecrets = (line: string): string =>
  line
    .replace(/([a-z]+:\/\/)[^\s/@'"]*@/gi, "$1…@")
    .replace(/([a-z]+:\/\/[^\s?'"]*)\?[^\s'"]*/gi, "$1?…")
    .replace(/(rtmps?:\/\/[^\s'"]*\/)[^\s'"/]+/gi, "$1…");

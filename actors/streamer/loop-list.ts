/** A loop as lists for ffmpeg's concat demuxer: from a GOP of the loop to its end, then the whole loop for a year. */

export interface LoopClip {
  /** Base name: lists lie in the folder of their clips. */
  readonly fileName: string;
  readonly gopCount: number;
}

const HOUR_GOPS_MIN = 3_600; // a list of an hour or more, of which a year's list has so many:
const YEAR_HOURS = 8_760; // ffmpeg ends after that and is started again

const entry = (fileName: string, seconds: number, inpointSeconds: number): string[] => [
  `file ${fileName}`,
  ...(inpointSeconds > 0 ? [`inpoint ${inpointSeconds.toFixed(6)}`] : []),
  // Told, since the demuxer's own estimate comes from the longest track and would shift what follows.
  `duration ${(seconds - inpointSeconds).toFixed(6)}`,
];
const list = (lines: readonly string[]): string => `ffconcat version 1.0\n${lines.join("\n")}\n`;

export interface LoopLists {
  /** What ffmpeg opens. */
  readonly top: string;
  /** What `top` names `hourName`. */
  readonly hour: string;
}

/**
 * `gopSeconds` × any count is exact in microseconds: a GOP lasts 1 s, or 1.001 s at 30000/1001 and its like.
 * `startGop` counts from the loop's begin and is less than its number of GOPs.
 */
export const loopLists = (
  clips: readonly LoopClip[],
  { gopSeconds, startGop, hourName }: { gopSeconds: number; startGop: number; hourName: string },
): LoopLists => {
  const whole = clips.flatMap(({ fileName, gopCount }) => entry(fileName, gopCount * gopSeconds, 0));
  const cycleGops = clips.reduce((sum, { gopCount }) => sum + gopCount, 0);
  const cycles = Math.max(1, Math.ceil(HOUR_GOPS_MIN / cycleGops));
  const first: string[] = [];
  let passed = 0;
  for (const { fileName, gopCount } of clips) {
    const skipped = Math.min(gopCount, Math.max(0, startGop - passed));
    if (skipped < gopCount) first.push(...entry(fileName, gopCount * gopSeconds, skipped * gopSeconds));
    passed += gopCount;
  }
  const hour = entry(hourName, cycles * cycleGops * gopSeconds, 0);
  return {
    top: list([...first, ...Array.from({ length: YEAR_HOURS }, () => hour).flat()]),
    hour: list(Array.from({ length: cycles }, () => whole).flat()),
  };
};

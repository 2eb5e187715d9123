/**
 * Which renditions a channel gets. A ladder never upscales in either dimension, has even sizes and at least one rung.
 */

export interface LadderRung {
  /** `v0` is the largest. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly videoKbps: number;
}
/** The part of a transcode configuration that decides the ladder (P-11). */
export interface LadderChoice {
  readonly profile?: "auto" | "hd" | "sd" | "low" | undefined;
  readonly ladder?:
    | readonly {
        readonly width?: number | undefined;
        readonly height: number;
        readonly videoKbps: number;
      }[]
    | undefined;
}
export interface Machine {
  /** Processor cores that may be used. */
  readonly cores: number;
}
interface Size {
  readonly width: number;
  readonly height: number;
}

const KBPS_MIN = 50;
const SIDE_MIN = 2;
/** Until ffmpeg has told what the source has. */
const UNKNOWN_SOURCE: Size = { width: 1920, height: 1080 };

/** Peak kbit/s by picture height at 25 frames/s, veryfast. */
const KBPS_BY_HEIGHT: readonly (readonly [heightMax: number, kbps: number])[] = [
  [144, 200],
  [180, 300],
  [240, 450],
  [270, 550],
  [360, 900],
  [480, 1400],
  [576, 1800],
  [720, 3000],
  [1080, 5500],
  [1440, 9000],
];
const KBPS_MAX = 16_000;
const kbpsOf = (height: number): number => KBPS_BY_HEIGHT.find(([heightMax]) => height <= heightMax)?.[1] ?? KBPS_MAX;

const PROFILES = {
  hd: [1080, 720, 480, 360],
  sd: [480, 360],
  low: [360, 180],
} as const;

/** Encoding 1080/720/480/360 takes 1.25 cores (veryfast, 25 frames/s), 720/360 about 0.6. */
const autoHeights = (cores: number): readonly number[] => {
  if (cores >= 8) return [1080, 720, 480, 360];
  if (cores >= 4) return [720, 480, 360];
  return [720, 360];
};

const even = (length: number): number => Math.max(SIDE_MIN, 2 * Math.floor(length / 2 + 1e-9));

/** The source scaled to a height; never larger than the source. */
const scaledTo = (height: number, source: Size): Size => {
  const scale = Math.min(1, height / source.height);
  return { width: even(source.width * scale), height: even(source.height * scale) };
};

/** A rung of a profile that is larger than the source becomes the source's size once, with half that size below it. */
const profileSizes = (heights: readonly number[], source: Size): Size[] => {
  const fitting = heights.filter((height) => height <= source.height);
  if (fitting.length === heights.length) return fitting.map((height) => scaledTo(height, source));
  const smaller = fitting.filter((height) => height < source.height * 0.8);
  const below = smaller.length > 0 || source.height < 240 ? smaller : [source.height / 2];
  return [source.height, ...below].slice(0, heights.length).map((height) => scaledTo(height, source));
};

const inlineRung = (
  wanted: { width?: number | undefined; height: number; videoKbps: number },
  source: Size,
): Omit<LadderRung, "name"> => {
  const size =
    wanted.width === undefined
      ? scaledTo(wanted.height, source)
      : { width: even(Math.min(wanted.width, source.width)), height: even(Math.min(wanted.height, source.height)) };
  return { ...size, videoKbps: Math.max(KBPS_MIN, Math.round(wanted.videoKbps)) };
};

/** Rungs of one size: the one with the most bits stays. */
const named = (rungs: readonly Omit<LadderRung, "name">[]): LadderRung[] => {
  const sorted = [...rungs].sort((a, b) => b.width * b.height - a.width * a.height || b.videoKbps - a.videoKbps);
  const unique = sorted.filter(
    (rung, i) => !sorted.slice(0, i).some(({ width, height }) => width === rung.width && height === rung.height),
  );
  return unique.map((rung, i) => ({ name: `v${i}`, ...rung }));
};

/**
 * The rungs of a channel, largest first. `source` is null until it is known. An inline ladder wins over a profile; a
 * rung that is larger than the source is cut down to it.
 */
export const ladderFor = (choice: LadderChoice, source: Size | null, machine: Machine): LadderRung[] => {
  const size = source ?? UNKNOWN_SOURCE;
  if (choice.ladder && choice.ladder.length > 0) return named(choice.ladder.map((rung) => inlineRung(rung, size)));
  const profile = choice.profile ?? "auto";
  const heights = profile === "auto" ? autoHeights(machine.cores) : PROFILES[profile];
  return named(profileSizes(heights, size).map((rung) => ({ ...rung, videoKbps: kbpsOf(rung.height) })));
};

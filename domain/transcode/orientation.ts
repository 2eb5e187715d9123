/** How a picture has to be turned to be upright: the display matrix of ISO/IEC 14496-12 §8.3.2. */
import type { SideData } from "./probed.ts";

/** One of the eight ways in which a picture can lie. */
export interface Orientation {
  /** Clockwise degrees that make it upright. */
  readonly turn: 0 | 90 | 180 | 270;
  /** Mirrored left to right before it is turned. */
  readonly isMirrored: boolean;
}

export const UPRIGHT: Orientation = { turn: 0, isMirrored: false };

/** The six hexadecimal-numbered lines that ffprobe prints, as the matrix `a b / c d`. */
const matrixOf = (text: string): readonly [number, number, number, number] | null => {
  const rows = [...text.matchAll(/^[0-9a-f]{8}:\s+(-?\d+)\s+(-?\d+)\s+-?\d+/gm)].map(([, x, y]) => [
    Number(x),
    Number(y),
  ]);
  const [[a, b] = [], [c, d] = []] = rows;
  return a === undefined || b === undefined || c === undefined || d === undefined ? null : [a, b, c, d];
};

/**
 * A turn by an odd angle is taken to the nearest quarter. The matrix maps a point (x, y) to (ax + cy, bx + dy), with y
 * downwards; a mirrored one has a negative determinant.
 */
export const orientationOf = (sideData: readonly SideData[]): Orientation => {
  const text = sideData.find(({ displaymatrix }) => displaymatrix !== undefined)?.displaymatrix;
  const matrix = text === undefined ? null : matrixOf(text);
  if (matrix === null) return UPRIGHT;
  const [a, b, c, d] = matrix;
  const isMirrored = a * d - b * c < 0;
  // Where the x axis ends up; of a mirrored picture it points the other way.
  const [x, y] = isMirrored ? [-a, -b] : [a, b];
  const degrees = (Math.atan2(y, x) * 180) / Math.PI;
  const turn = ((((Math.round(degrees / 90) % 4) + 4) % 4) * 90) as Orientation["turn"];
  return { turn, isMirrored };
};

/** ffmpeg's filters that make it upright (C-35: `-noautorotate`, then transpose). */
export const turningFilters = ({ turn, isMirrored }: Orientation): string[] => [
  ...(isMirrored ? ["hflip"] : []),
  ...(turn === 90 ? ["transpose=clock"] : []),
  ...(turn === 180 ? ["hflip", "vflip"] : []),
  ...(turn === 270 ? ["transpose=cclock"] : []),
];

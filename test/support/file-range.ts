import type { Samples } from "../../domain/mp4/movie.ts";

/** The range of the file that holds all samples of a fragment; null when it has none. */
export const fileRange = (parts: readonly Samples[]): { readonly lo: number; readonly hi: number } | null => {
  let lo = Number.POSITIVE_INFINITY;
  let hi = 0;
  for (const { count, offset, size } of parts) {
    for (let index = 0; index < count; index += 1) {
      if (size[index] === 0) continue;
      lo = Math.min(lo, offset[index]!);
      hi = Math.max(hi, offset[index]! + size[index]!);
    }
  }
  return hi === 0 ? null : { lo, hi };
};

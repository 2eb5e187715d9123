/** How many transcodes run side by side: bursts queue, so that a machine never runs out of memory (V-07). */

const SLOTS_OTHERWISE = 2;
const SMALL_BYTES = 4 * 2 ** 30;

export interface Memory {
  readonly totalBytes: number;
  /** Of the container; 0 where there is no limit. */
  readonly limitBytes: number;
}

export const slotsFor = (configured: number | undefined | null, { totalBytes, limitBytes }: Memory): number => {
  if (configured != null) return configured;
  const bytes = limitBytes > 0 ? Math.min(totalBytes, limitBytes) : totalBytes;
  return bytes <= SMALL_BYTES ? 1 : SLOTS_OTHERWISE;
};

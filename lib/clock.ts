/** Wall clock, handed in from outside so that tests move time instead of sleeping. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
}
export const systemClock: Clock = { nowMs: () => Date.now() };

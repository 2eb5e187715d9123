/** Is this machine's clock right? Names of live media come from it: nodes must agree. */
import { bad, type Finding, ok, warn } from "./finding.ts";

const WARN_MS = 100; // origins of one channel count as equal within this
const FAIL_MS = 1_000; // beyond it an origin's stream time is taken for a jump
const OLDEST_BELIEVABLE = Date.UTC(2026, 0, 1);

/** How far another clock is ahead of ours: its reading came between two readings of ours. */
export const offsetOf = (beforeMs: number, theirsMs: number, afterMs: number): number =>
  Math.round(theirsMs - (beforeMs + afterMs) / 2);

/** An offset against a named other clock as a finding; `spreadMs` is the uncertainty of the reading. */
export const judgeClock = (against: string, offsetMs: number, spreadMs: number): Finding => {
  const distance = Math.max(0, Math.abs(offsetMs) - spreadMs);
  const text = `${Math.abs(offsetMs)} ms ${offsetMs >= 0 ? "behind" : "ahead of"} ${against}`;
  const todo = "Keep the clocks of all nodes right with NTP (chrony, systemd-timesyncd).";
  if (distance > FAIL_MS) return bad("clock", text, todo);
  return distance > WARN_MS ? warn("clock", text, todo) : ok("clock", text);
};

/** Where there is no other clock to compare with. */
export const checkClockAlone = (nowMs: number): Finding =>
  nowMs < OLDEST_BELIEVABLE
    ? bad("clock", `says ${new Date(nowMs).toISOString()}`, "Set the clock; certificates and live media need it.")
    : ok("clock", `says ${new Date(nowMs).toISOString()}; no other node to compare with`);

/** How a job that failed goes on. */
import { codeOf, ERRORS, messageOf } from "../../contracts/errors.ts";
import type { Reason } from "./job.store.ts";

// 1, 2, 4, 8 … s: with 5 attempts what fails for good is dead after a quarter of a minute, and what is broken for a
// moment gets over it.
const FAILED_PAUSE_MS = 1_000;
const FAILED_PAUSE_MAX_MS = 60_000;
// What is away comes back without telling; nobody waits longer than this for it.
const AWAY_PAUSE_MS = 500;
const AWAY_PAUSE_MAX_MS = 30_000;
/** Jobs that failed together do not come back together. */
const JITTER = 0.25;
const ERROR_CHARACTERS_MAX = 2_000;

export type Verdict =
  | { readonly next: "dead" }
  /** `counts`: it costs an attempt. `waits`: for something that is away. */
  | { readonly next: "again"; readonly pauseMs: number; readonly counts: boolean; readonly waits: boolean };

/** Something outside of the job is away: the database, the object store, the bus. */
export const isAway = (error: unknown): boolean => {
  const code = codeOf(error);
  return code !== undefined && ERRORS[code].retry && (ERRORS[code].status === 503 || code === "DEADLINE_PASSED");
};

const pauseMs = (baseMs: number, maxMs: number, nth: number, random: number): number =>
  Math.round(Math.min(maxMs / (1 + JITTER), baseMs * 2 ** (nth - 1)) * (1 - JITTER + 2 * JITTER * random));

/** `random`: 0 to 1. */
export const verdictOn = (
  error: unknown,
  job: {
    readonly attempt: number;
    readonly attemptsMax: number;
    readonly waitCount: number;
    /** It has waited for as long as a job may. */
    readonly isLate?: boolean;
  },
  random: number,
): Verdict => {
  if (isAway(error)) {
    if (job.isLate) return { next: "dead" };
    const pause = pauseMs(AWAY_PAUSE_MS, AWAY_PAUSE_MAX_MS, job.waitCount + 1, random);
    return { next: "again", pauseMs: pause, counts: false, waits: true };
  }
  const code = codeOf(error);
  if (code !== undefined && !ERRORS[code].retry) return { next: "dead" };
  if (job.attempt >= job.attemptsMax) return { next: "dead" };
  const pause = pauseMs(FAILED_PAUSE_MS, FAILED_PAUSE_MAX_MS, job.attempt, random);
  return { next: "again", pauseMs: pause, counts: true, waits: false };
};

/** What people read. What is not of the catalogue is a bug, and its words may hold what is nobody's business. */
export const reasonOf = (error: unknown): Reason => {
  const code = codeOf(error);
  if (code === undefined) return { code: "INTERNAL", message: messageOf("INTERNAL") };
  const message = error instanceof Error ? error.message : messageOf(code);
  return { code, message: message.slice(0, ERROR_CHARACTERS_MAX) };
};

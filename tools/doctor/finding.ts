/** What a check of the machine says: one line, and what to do where something is wrong. */
export interface Finding {
  readonly state: "ok" | "warn" | "fail";
  /** What was looked at: `port 8080`, `ffmpeg`. */
  readonly subject: string;
  readonly text: string;
  /** Present unless the state is ok. */
  readonly todo?: string;
}

/** Nothing to do. */
export const ok = (subject: string, text: string): Finding => ({ state: "ok", subject, text });
/** It works, but not as well as it could. */
export const warn = (subject: string, text: string, todo: string): Finding => ({ state: "warn", subject, text, todo });
/** It won't work like this. */
export const bad = (subject: string, text: string, todo: string): Finding => ({ state: "fail", subject, text, todo });

const PROBE_DEADLINE_MS = 5_000;

/** The promise's value, or a rejection after 5 s: no check hangs. */
export const inTime = async <T>(promise: Promise<T>): Promise<T> => {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer in ${PROBE_DEADLINE_MS} ms`)), PROBE_DEADLINE_MS);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};

/** A message of an error of any shape; aggregate errors (of connect) tell their first. */
export const reasonOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
};

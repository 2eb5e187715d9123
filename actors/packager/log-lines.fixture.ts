/** A log whose lines a test can look at. */
import pino from "pino";
import type { Log, LogLevel } from "../../lib/log/log.ts";

export interface LoggedLines {
  readonly log: Log;
  readonly lines: Readonly<Record<string, unknown>>[];
}

export const linesInto = (level: LogLevel): LoggedLines => {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level, base: {} }, { write: (text: string) => void lines.push(JSON.parse(text)) });
  return { log, lines };
};

import { once } from "node:events";
import pino from "pino";
import pretty from "pino-pretty";

export type Log = pino.Logger;
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const settingsOf = ({ level, nodeId }: { level: LogLevel; nodeId?: string }): pino.LoggerOptions => ({
  level,
  base: nodeId === undefined ? {} : { nodeId },
  timestamp: pino.stdTimeFunctions.isoTime,
  redact: { paths: ["authorization", "*.authorization", "credential", "*.credential", "secret", "*.secret"] },
});

/**
 * Structured log on stdout: `json` is one object a line, `pretty` a line for people. Never logs secrets: these keys are
 * cut out.
 */
export const makeLog = (options: { level: LogLevel; format: "json" | "pretty"; nodeId?: string }): Log => {
  const settings = settingsOf(options);
  if (options.format === "json") return pino(settings);
  return pino(settings, pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "pid,hostname,nodeId" }));
};

export interface FileLog {
  readonly log: Log;
  /** Writes what is left. */
  close(): Promise<void>;
}

/** The same log in a file, one JSON object a line, appended to. Rejects when the file can't be opened. */
export const openFileLog = async (path: string, options: { level: LogLevel; nodeId?: string }): Promise<FileLog> => {
  const file = pino.destination({ dest: path, append: true, mkdir: true, sync: false });
  await once(file, "ready");
  file.on("error", () => {}); // a full disk loses lines, not the process
  return {
    log: pino(settingsOf(options), file),
    async close() {
      file.end();
      await once(file, "close");
    },
  };
};

/** For tests: says nothing. */
export const quietLog: Log = pino({ level: "silent" });

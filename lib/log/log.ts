import pino from "pino";
import pretty from "pino-pretty";

export type Log = pino.Logger;
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Structured log on stdout: `json` is one object a line, `pretty` a line for people. Never logs secrets: these keys are
 * cut out.
 */
export const makeLog = (options: { level: LogLevel; format: "json" | "pretty"; nodeId?: string }): Log => {
  const settings: pino.LoggerOptions = {
    level: options.level,
    base: options.nodeId === undefined ? {} : { nodeId: options.nodeId },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: ["authorization", "*.authorization", "credential", "*.credential", "secret", "*.secret"] },
  };
  if (options.format === "json") return pino(settings);
  return pino(settings, pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "pid,hostname,nodeId" }));
};

/** For tests: says nothing. */
export const quietLog: Log = pino({ level: "silent" });

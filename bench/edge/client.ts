/** The viewers of client.c: compiled where it is measured, kept by the hash of its source. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { findProgram, serverDir } from "../../test/support/server-process.ts";
import type { Cleanup } from "../live.fixture.ts";

const CACHE = path.join(import.meta.dirname, "../../node_modules/.cache/castellan-bench");
const SOURCE = path.join(import.meta.dirname, "client.c");
const LATE_MS = 30_000;

/** The compiled client. Throws without a C compiler. */
const compiled = (): string => {
  const program = path.join(
    CACHE,
    `edge-${createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 16)}`,
  );
  if (existsSync(program)) return program;
  if (findProgram("cc") === undefined) throw new Error("needs cc");
  mkdirSync(CACHE, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  execFileSync("cc", ["-O2", "-o", unfinished, SOURCE]);
  renameSync(unfinished, program);
  return program;
};

export interface LoadResult {
  readonly answers: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly failures: number;
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}
export interface HerdResult {
  /** Viewers that got all bytes. */
  readonly whole: number;
  readonly firstP50Ms: number;
  readonly firstP99Ms: number;
  readonly doneP50Ms: number;
  readonly doneP99Ms: number;
  readonly bytes: number;
}
export interface SlowResult {
  readonly answers: number;
  readonly bytes: number;
  readonly failures: number;
}

interface Words {
  readonly kind: "load" | "herd" | "slow";
  readonly port: number;
  readonly connections: number;
  /** load: warm-up and sample; herd: spread and deadline; slow: bytes per second and for how long. */
  readonly numbers: readonly [number, number];
  readonly forMs: number;
  readonly paths: readonly string[];
  /** When its warm-up is over, and its sample. */
  readonly onStart?: () => void;
  readonly onEnd?: () => void;
}

export interface Client {
  load(on: Omit<Words, "kind" | "numbers" | "forMs"> & { warmMs: number; sampleMs: number }): Promise<LoadResult>;
  herd(on: { port: number; connections: number; deadlineMs: number; path: string }): Promise<HerdResult>;
  slow(on: Omit<Words, "kind" | "numbers"> & { bytesPerSecond: number }): Promise<SlowResult>;
}

/** Its last line; throws when it fails or is late. */
const run = (program: string, words: Words, pathsFile: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { kind, port, connections, numbers, paths, onStart, onEnd } = words;
    writeFileSync(pathsFile, `${paths.join("\n")}\n`);
    const args = ["-c", "1", program, kind, port, connections, ...numbers, pathsFile].map(String);
    const child = spawn("taskset", args, { stdio: ["ignore", "pipe", "inherit"] });
    const late = setTimeout(() => child.kill("SIGKILL"), words.forMs + LATE_MS);
    let last = "";
    createInterface(child.stdout).on("line", (line) => {
      last = line;
      if (line === "start") onStart?.();
      if (line === "end") onEnd?.();
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(late);
      if (code === 0) resolve(JSON.parse(last));
      else reject(new Error(`the client's ${kind} on port ${port} ended with ${code}`));
    });
  });

export const openClient = (cleanup: Cleanup): Client => {
  const program = compiled();
  const pathsFile = path.join(serverDir(cleanup, "bench-paths"), "paths");
  // Each kind prints the figures of its type as its last line.
  return {
    load: async ({ warmMs, sampleMs, ...on }) =>
      (await run(
        program,
        { ...on, kind: "load", numbers: [warmMs, sampleMs], forMs: warmMs + sampleMs },
        pathsFile,
      )) as LoadResult,
    herd: async ({ port, connections, deadlineMs, path: one }) => {
      const words = { port, connections, paths: [one], forMs: deadlineMs };
      return (await run(program, { ...words, kind: "herd", numbers: [0, deadlineMs] }, pathsFile)) as HerdResult;
    },
    slow: async ({ bytesPerSecond, ...on }) =>
      (await run(program, { ...on, kind: "slow", numbers: [bytesPerSecond, on.forMs] }, pathsFile)) as SlowResult,
  };
};

/** Starts origin.ts on the clients' core and tells it how to misbehave. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Cleanup } from "../live.fixture.ts";
import type { Counts, Mode } from "./origin.ts";

const CONTROL_MS = 5_000;

export interface Origin {
  readonly port: number;
  readonly pid: number;
  /** What it does with all requests from now on; `version` changes the bytes of `/ttl1/`. */
  tell(order: { readonly mode?: Mode; readonly version?: number }): Promise<void>;
  /** What was asked and sent since it started, of one path or of all. */
  counts(path?: string): Promise<Counts>;
}

/** Throws when it does not start. */
export const startOrigin = async (cleanup: Cleanup): Promise<Origin> => {
  const file = path.join(import.meta.dirname, "origin.ts");
  const child = spawn("taskset", ["-c", "1", process.execPath, file], { stdio: ["ignore", "pipe", "inherit"] });
  cleanup.after(async () => void child.kill());
  const [said] = await once(child.stdout, "data", { signal: AbortSignal.timeout(CONTROL_MS) });
  const { port, controlPort } = JSON.parse(String(said));
  const control = async (target: string, body?: object): Promise<Counts> => {
    const sent = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const answer = await fetch(`http://127.0.0.1:${controlPort}${target}`, {
      ...sent,
      signal: AbortSignal.timeout(CONTROL_MS),
    });
    return (await answer.json()) as Counts; // origin.ts answers so
  };
  return {
    port,
    pid: child.pid ?? 0,
    tell: async (order) => void (await control("/", order)),
    counts: (of) => control(`/counts${of === undefined ? "" : `?path=${encodeURIComponent(of)}`}`),
  };
};

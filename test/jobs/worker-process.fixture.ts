import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { type Scene, until } from "./jobs.fixture.ts";
import type { WorkerSettings } from "./worker-process.ts";

const FILE = join(import.meta.dirname, "worker-process.ts");

export interface WorkerProcess {
  readonly child: ChildProcess;
  /** A line that starts with these words. */
  says(...words: readonly string[]): Promise<string>;
  /** Sends a signal and waits for its end. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** Starts one and waits until it takes jobs; killed with the test. */
export async function workerProcess(t: TestContext, settings: WorkerSettings): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [FILE, JSON.stringify(settings)], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout! }).on("line", (line) => lines.push(line));
  const says = (...words: readonly string[]) => {
    const start = words.join(" ");
    return until(`"${start}" of ${settings.nodeId}`, () => lines.find((line) => `${line} `.startsWith(`${start} `)));
  };
  await says("ready");
  return {
    child,
    says,
    end: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}

/** Where the jobs of such processes leave their marks. */
export const makeEffects = ({ db }: Pick<Scene, "db">) =>
  db.asOwner(`create table effect (job_id uuid not null, epoch int not null, node_id text not null)`);

export const effectsOf = async ({ db }: Pick<Scene, "db">) =>
  (
    await db.asOwner<{ jobId: string; epoch: number; nodeId: string }>(
      `select job_id as "jobId", epoch, node_id as "nodeId" from effect order by job_id, epoch`,
    )
  ).rows;

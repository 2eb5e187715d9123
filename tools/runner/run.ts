/** One run of one kind of tests: its database, its processes, its last words. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { startTestServer } from "../../test/support/postgres.ts";
import { Leftovers } from "./leftovers.ts";
import { PLANS, selectFiles, type TestKind, wantsDatabase } from "./select.ts";
import type { Summary } from "./summary.ts";

const SLOW_FILE_MS = 5_000;
const SLOW_FILES_SHOWN = 5;

/** What to run, and where. */
export interface Run {
  readonly root: string;
  readonly kind: TestKind;
  /** Parts of paths; empty for all files of the kind. */
  readonly named: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
  /** Where node's own report goes: this process's stdout unless told. */
  readonly stdout?: "inherit" | "ignore";
  /** How long what was started may need to end after its parent. */
  readonly graceMs?: number;
}

interface Ended {
  readonly status: number;
  readonly left: readonly string[];
}

/** Runs node's test runner in a session of its own, so that everything that it starts can be found again. */
const runNode = async (args: readonly string[], { root, env, stdout, graceMs }: Run): Promise<Ended> => {
  const stdio = ["inherit", stdout ?? "inherit", "inherit"] as const;
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: [...stdio], detached: true });
  const leftovers = new Leftovers(child.pid ?? 0);
  const pass = (signal: NodeJS.Signals): void => void process.kill(-(child.pid ?? 0), signal);
  process.on("SIGINT", pass).on("SIGTERM", pass);
  const [status] = (await once(child, "exit")) as [number | null];
  process.off("SIGINT", pass).off("SIGTERM", pass);
  return { status: status ?? 1, left: await leftovers.end(graceMs) };
};

const reportArgs = (summaryFile: string): string[] => [
  "--test-reporter=spec",
  "--test-reporter-destination=stdout",
  `--test-reporter=${join(import.meta.dirname, "summary.ts")}`,
  `--test-reporter-destination=${summaryFile}`,
];

/** What is wrong with a run, a line each. In CI a test that is skipped for want of a server counts as failed. */
const troubles = (summary: Summary, left: readonly string[], inCi: boolean): string[] => {
  const unmet = summary.skips.filter((skip) => /skipped: needs /.test(skip));
  return [
    ...(summary.failed + summary.cancelled > 0 ? [`${summary.failed + summary.cancelled} failed`] : []),
    ...left.map((name) => `left running (killed now): ${name}`),
    ...(inCi ? unmet.map((skip) => `must not be skipped in CI: ${skip}`) : []),
  ];
};

const runFiles = async (run: Run, files: readonly string[], scratch: string): Promise<number> => {
  const { root, kind, say } = run;
  const shared = files.some((file) => wantsDatabase(readFileSync(join(root, file), "utf8")));
  const server = shared ? await startTestServer() : undefined;
  const summaryFile = join(scratch, "summary.json");
  const { concurrency, timeoutMs } = PLANS[kind];
  const limits = [`--test-concurrency=${concurrency}`, `--test-timeout=${timeoutMs}`];
  const { NODE_TEST_CONTEXT: _, ...env } = run.env; // or a run inside of a test would report to that test
  try {
    const startedMs = performance.now();
    const args = ["--test", ...limits, ...reportArgs(summaryFile), ...files];
    const ended = await runNode(args, { ...run, env: server ? { ...env, TEST_DATABASE_URL: server.url } : env });
    const summary = JSON.parse(readFileSync(summaryFile, "utf8")) as Summary;
    const wrong = troubles(summary, ended.left, Boolean(env.CI));
    for (const trouble of wrong) say(`✖ ${trouble}`);
    const slow = summary.files.filter(({ tookMs }) => tookMs >= SLOW_FILE_MS).slice(0, SLOW_FILES_SHOWN);
    for (const { file, tookMs } of slow) say(`  ${(tookMs / 1000).toFixed(1)} s  ${relative(root, file)}`);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const { passed, failed, cancelled, skipped } = summary;
    const counts = `${passed} passed, ${failed + cancelled} failed, ${skipped} skipped`;
    say(`\n${kind} tests: ${files.length} files, ${counts}, ${seconds} s`);
    return wrong.length > 0 ? 1 : ended.status;
  } finally {
    await server?.stop();
  }
};

/** Runs the files that are asked for; the exit status. Nothing to run is fine unless files were named. */
export const runTests = async (run: Run): Promise<number> => {
  const { root, kind, named, say } = run;
  const files = selectFiles(root, kind, named);
  if (files.length === 0) {
    say(`no ${kind} test file${named.length > 0 ? ` has ${named.join(" or ")} in its path` : ""}`);
    return named.length > 0 ? 1 : 0;
  }
  const scratch = mkdtempSync(join(tmpdir(), "castellan-run-"));
  try {
    return await runFiles(run, files, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

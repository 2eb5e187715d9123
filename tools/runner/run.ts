/** One run of one kind of tests: its database, its processes, its last words. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
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

interface Round {
  readonly summary: Summary;
  /** What is wrong, a line each. */
  readonly wrong: readonly string[];
  readonly status: number;
}

/** One run of node's test runner over some files. */
const runRound = async (run: Run, files: readonly string[], scratch: string): Promise<Round> => {
  const summaryFile = join(scratch, "summary.json");
  const args = ["--test", `--test-timeout=${PLANS[run.kind].timeoutMs}`, ...reportArgs(summaryFile)];
  const ended = await runNode([...args, `--test-concurrency=${PLANS[run.kind].concurrency}`, ...files], run);
  const summary = JSON.parse(readFileSync(summaryFile, "utf8")) as Summary;
  const wrong = troubles(summary, ended.left, Boolean(run.env.CI));
  for (const trouble of wrong) run.say(`✖ ${trouble}`);
  return { summary, wrong, status: wrong.length > 0 ? 1 : ended.status };
};

/**
 * Tests wait for real processes, and a machine that is busy with others may not give them their turn. Where few files
 * fail, they are run again one at a time, and must pass each time. They are named as unsteady: a test to be mended.
 */
const UNSTEADY_FILES_MAX = 2;
const ROUNDS_ALONE = 2;

const SEEDED = /SEED\b|randomInt|Math\.random|seed: Date\.now/;
const IMPORTED = /from "(\.\.?\/[^"]+\.ts)"/g;

/** A suite does nothing by itself, and a test with seeds would draw others: what one has found is no matter of load. */
const isRepeatable = (file: string): boolean => {
  if (!file.endsWith(".test.ts")) return false;
  const text = readFileSync(file, "utf8");
  const imported = [...text.matchAll(IMPORTED)].map(([, path = ""]) => join(dirname(file), path));
  const scenes = imported.filter((path) => /\.(suite|fixture)\.ts$|\/suite[^/]*\.ts$/.test(path));
  return [text, ...scenes.map((path) => readFileSync(path, "utf8"))].every((one) => !SEEDED.test(one));
};

/** Files that failed beside others and pass alone; null: the run has failed. */
const unsteadyFiles = async (run: Run, { summary, wrong }: Round, scratch: string): Promise<string[] | null> => {
  const { failedFiles, failed, cancelled } = summary;
  const isTestsAlone = wrong.length === 1 && failed + cancelled > 0;
  const isBesideOthers = PLANS[run.kind].concurrency > 1 && summary.files.length > 1;
  if (failedFiles === null || !isTestsAlone || !isBesideOthers || !failedFiles.every(isRepeatable)) return null;
  if (failedFiles.length === 0 || failedFiles.length > UNSTEADY_FILES_MAX) return null;
  for (const file of failedFiles) {
    for (let round = 1; round <= ROUNDS_ALONE; round += 1) {
      run.say(`\nagain, alone (${round} of ${ROUNDS_ALONE}): ${relative(run.root, file)}`);
      if ((await runRound(run, [file], scratch)).status !== 0) return null;
    }
  }
  return failedFiles.map((file) => relative(run.root, file));
};

const runFiles = async (run: Run, files: readonly string[], scratch: string): Promise<number> => {
  const { root, kind, say } = run;
  const shared = files.some((file) => wantsDatabase(readFileSync(join(root, file), "utf8")));
  const server = shared ? await startTestServer() : undefined;
  const { NODE_TEST_CONTEXT: _, ...env } = run.env; // or a run inside of a test would report to that test
  const within: Run = { ...run, env: server ? { ...env, TEST_DATABASE_URL: server.url } : env };
  try {
    const startedMs = performance.now();
    const round = await runRound(within, files, scratch);
    const { passed, failed, cancelled, skipped } = round.summary;
    const slow = round.summary.files.filter(({ tookMs }) => tookMs >= SLOW_FILE_MS).slice(0, SLOW_FILES_SHOWN);
    for (const { file, tookMs } of slow) say(`  ${(tookMs / 1000).toFixed(1)} s  ${relative(root, file)}`);
    const unsteady = round.status === 0 ? [] : await unsteadyFiles(within, round, scratch);
    for (const file of unsteady ?? [])
      say(`⚠ unsteady: ${file} failed beside others and passed ${ROUNDS_ALONE} times alone`);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const counts = `${passed} passed, ${failed + cancelled} failed, ${skipped} skipped`;
    say(`\n${kind} tests: ${files.length} files, ${counts}, ${seconds} s`);
    return unsteady === null ? 1 : 0;
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

/** Which test files belong to which kind of run: told by their names, and for `unit` by what they use. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const KINDS = ["fast", "unit", "servers", "browser", "long"] as const;
export type TestKind = (typeof KINDS)[number];

/** How a kind is run. */
export interface Plan {
  readonly describes: string;
  /** Test files side by side. */
  readonly concurrency: number;
  /** For one test, and for the rest of a file that waits for it. */
  readonly timeoutMs: number;
}

/**
 * Two cores are the smallest machine. Many tests wait for processes, deadlines and real time, so that one file more
 * than there are cores takes a third off the whole; with more of them deadlines begin to lie.
 */
export const PLANS: Readonly<Record<TestKind, Plan>> = {
  fast: { describes: "all that needs only the npm packages", concurrency: 3, timeoutMs: 300_000 },
  unit: { describes: "the fast ones without a database or processes", concurrency: 2, timeoutMs: 60_000 },
  servers: { describes: "with NATS, PostgreSQL and system tools", concurrency: 2, timeoutMs: 600_000 },
  browser: { describes: "with Chromium", concurrency: 2, timeoutMs: 600_000 },
  long: { describes: "simulated days and many rounds", concurrency: 1, timeoutMs: 3_600_000 },
};

const SKIPPED_FOLDERS = new Set(["node_modules", "data"]);

/** Every test file below a folder, as paths relative to it, in order. */
export const testFiles = (root: string): string[] => {
  const found: string[] = [];
  const walk = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const at = join(dir, entry.name);
      if (entry.isDirectory() && !entry.name.startsWith(".") && !SKIPPED_FOLDERS.has(entry.name)) walk(at);
      else if (entry.isFile() && entry.name.endsWith(".test.ts")) found.push(relative(root, at));
    }
  };
  walk(root);
  return found.sort();
};

const SPECIAL = /\.(servers|browser|long)\.test\.ts$/;

/** The kind that a file's name says; plain ones are `fast`. */
export const kindOf = (file: string): TestKind => (SPECIAL.exec(file)?.[1] as TestKind | undefined) ?? "fast";

/** Whether a test file starts a database or processes: all of those helpers live in one folder. */
const usesSupport = (file: string, text: string): boolean =>
  file.startsWith("test/support/") || /^(import|\}).* from "[^"]*support\/[^"]*"/m.test(text);

/** Whether it wants the database server that a run shares. */
export const wantsDatabase = (text: string): boolean =>
  /^(import|\}).*testDatabase.* from "[^"]*\/database\.ts"/m.test(text);

/** The files of a run. With `named`, only those whose path contains one of these texts. */
export const selectFiles = (root: string, kind: TestKind, named: readonly string[]): string[] =>
  testFiles(root)
    .filter((file) => kindOf(file) === (kind === "unit" ? "fast" : kind))
    .filter((file) => named.length === 0 || named.some((text) => file.includes(text.replace(/^\.\//, ""))))
    .filter((file) => kind !== "unit" || !usesSupport(file, readFileSync(join(root, file), "utf8")));

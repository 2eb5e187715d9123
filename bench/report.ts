/** Prints what a benchmark found and appends it to bench/RESULTS.md: both sides of each ratio, machine and commit. */
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import path from "node:path";

const RESULTS = path.join(import.meta.dirname, "RESULTS.md");

export interface Row {
  readonly what: string;
  readonly value: string;
  /** What it is held against: a peer or a limit measured in the same run. */
  readonly against?: string;
  readonly goal?: string;
}

const commit = (): string => {
  try {
    const dirty = execFileSync("git", ["status", "--porcelain"], { encoding: "utf8" }).trim() ? "+" : "";
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim() + dirty;
  } catch {
    return "unknown";
  }
};

export const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim() ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;

export const report = (title: string, rows: readonly Row[]): void => {
  const lines = [
    `## ${title}`,
    "",
    `${new Date().toISOString().slice(0, 10)}, commit ${commit()}, ${machine()}`,
    "",
    "| what | measured | against | goal |",
    "|---|---|---|---|",
    ...rows.map(({ what, value, against = "", goal = "" }) => `| ${what} | ${value} | ${against} | ${goal} |`),
    "",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (process.env.BENCH_KEEP === "off") return;
  if (!existsSync(RESULTS)) writeFileSync(RESULTS, "# Benchmark results\n\nNewest last. `npm run bench` appends.\n\n");
  appendFileSync(RESULTS, `${lines.join("\n")}\n`);
};

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};
export const median = (values: readonly number[]): number => quantile(values, 0.5);

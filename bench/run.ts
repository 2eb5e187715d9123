/**
 * `npm run bench [name …]`: runs the benchmarks one after the other; each prints its ratios and adds them to
 * RESULTS.md.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";

const HERE = import.meta.dirname;
const NOT_BENCHMARKS = ["run", "report"];
const known = readdirSync(HERE)
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".fixture.ts"))
  .map((file) => path.basename(file, ".ts"))
  .filter((name) => !NOT_BENCHMARKS.includes(name));

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`no such benchmark: ${unknown.join(", ")}; there are ${known.join(", ")}\n`);
  process.exit(64);
}
for (const name of wanted.length > 0 ? wanted : known) {
  const { status } = spawnSync(process.execPath, [path.join(HERE, `${name}.ts`)], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}

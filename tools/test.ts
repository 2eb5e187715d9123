/** Runs the tests: `node tools/test.ts fast|unit|servers|browser|long [part of a file's path…]`. */
import { resolve } from "node:path";
import { runTests } from "./runner/run.ts";
import { KINDS, PLANS } from "./runner/select.ts";

const EXIT_USAGE = 64;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const main = async ([word, ...named]: readonly string[]): Promise<number> => {
  const kind = KINDS.find((one) => one === word);
  if (kind) return runTests({ root: resolve(import.meta.dirname, ".."), kind, named, env: process.env, say });
  say("node tools/test.ts KIND [part of a file's path…]");
  for (const one of KINDS) say(`  ${one.padEnd(8)} ${PLANS[one].describes}`);
  return EXIT_USAGE;
};

process.exitCode = await main(process.argv.slice(2));

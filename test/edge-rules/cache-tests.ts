/** Sums up the results of the public suite (cache-tests.md): `node test/edge-rules/cache-tests.ts results.json`. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** As the suite describes its checks; `kind` is "required" when absent. */
interface Check {
  readonly id: string;
  readonly kind?: string;
  readonly browser_only?: boolean;
}
interface Suite {
  readonly tests: readonly Check[];
}
interface Module<T> {
  readonly default: T;
}
type Results = Readonly<Record<string, true | readonly [kind: string, message: string]>>;
type Judge = (suites: readonly Suite[], id: string, results: Results) => readonly string[];

const PASSED = "✅";
const HELD = "Y";

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const main = async ([file]: readonly string[]): Promise<number> => {
  const dir = process.env.CACHE_TESTS_DIR;
  if (file === undefined || dir === undefined) {
    say("CACHE_TESTS_DIR=… node test/edge-rules/cache-tests.ts results.json");
    return 64;
  }
  const load = async <T>(path: string): Promise<T> => import(pathToFileURL(join(resolve(dir), path)).href);
  const { default: suites } = await load<Module<readonly Suite[]>>("tests/index.mjs");
  const { determineTestResult } = await load<{ determineTestResult: Judge }>("test-engine/lib/results.mjs");
  const results: Results = JSON.parse(await readFile(file, "utf8"));
  const sums = new Map<string, { passed: number; all: number }>();
  for (const { id, kind = "required" } of suites.flatMap(({ tests }) => tests.filter((one) => !one.browser_only))) {
    const symbol = determineTestResult(suites, id, results)[2];
    const passed = symbol === PASSED || symbol === HELD;
    const sum = sums.get(kind) ?? { passed: 0, all: 0 };
    sums.set(kind, { passed: sum.passed + Number(passed), all: sum.all + 1 });
    if (!passed && kind !== "check") say(`${kind}: ${id}: ${JSON.stringify(results[id])}`);
  }
  for (const [kind, { all, passed }] of sums) say(`${kind}: ${passed} of ${all}`);
  return 0;
};

process.exitCode = await main(process.argv.slice(2));

/**
 * The edge as it is shipped against Debian's nginx, Varnish, Traffic Server and hitch, each on CPU 0, viewers and
 * origin on CPU 1, in a network namespace of its own. Needs root, cc, wrk and openssl; a peer that is not there is not
 * shown. BENCH_ONLY names figures (`hit-2k,herd`) and BENCH_PEERS peers (`nginx,Varnish,ATS`, or none); BENCH_ROUNDS,
 * BENCH_SAMPLE_MS and BENCH_CUTS make a run shorter, BENCH_KEEP=off keeps nothing.
 */
import { CUT } from "./edge/cut.ts";
import { DISK } from "./edge/disk.ts";
import { DOWN } from "./edge/down.ts";
import { HERD } from "./edge/herd.ts";
import { HITS } from "./edge/hits.ts";
import { enterNamespace } from "./edge/namespace.ts";
import { SLOW_CLIENTS } from "./edge/slow-clients.ts";
import { type Figure, openStage, type Stage } from "./edge/stage.ts";
import { TAIL } from "./edge/tail.ts";
import { TLS } from "./edge/tls.ts";
import { congestionControl } from "./http-load.fixture.ts";
import { Cleanup } from "./live.fixture.ts";
import { type Row, report } from "./report.ts";

const EXIT_USAGE = 64;
const EXIT_BROKEN_OFF = 130;
const FIGURES: readonly Figure[] = [...HITS, ...TLS, ...HERD, ...CUT, ...DOWN, ...TAIL, ...DISK, ...SLOW_CLIENTS];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Those of BENCH_ONLY, all without it. Ends the process when it names another. */
const chosen = (): readonly Figure[] => {
  const names = process.env.BENCH_ONLY?.split(",");
  if (!names) return FIGURES;
  const unknown = names.filter((name) => !FIGURES.some((figure) => figure.name === name));
  if (unknown.length === 0) return FIGURES.filter(({ name }) => names.includes(name));
  say(`no such figure: ${unknown.join(", ")}; there are ${FIGURES.map(({ name }) => name).join(", ")}`);
  process.exit(EXIT_USAGE);
};

/** A figure that fails is a row that says so, and the others go on. */
const rowsOf = async (figure: Figure, stage: Stage): Promise<Row[]> => {
  say(`${new Date().toISOString().slice(11, 19)} ${figure.name}`);
  try {
    return await figure.rows(stage);
  } catch (error) {
    process.exitCode = 1;
    return [{ what: figure.name, value: `not shown: ${error instanceof Error ? error.message : error}` }];
  }
};

const main = async (cleanup: Cleanup): Promise<void> => {
  const figures = chosen();
  const stage = await openStage(cleanup);
  for (const group of new Set(figures.map((figure) => figure.group))) {
    const rows: Row[] = [];
    for (const figure of figures.filter((one) => one.group === group)) rows.push(...(await rowsOf(figure, stage)));
    report(`The edge: ${group}, one core, loopback (the sender pays for receiving, too), ${congestionControl()}`, rows);
  }
};

const obstacle = enterNamespace();
if (obstacle !== undefined) say(`skipped: ${obstacle}`);
else {
  const cleanup = new Cleanup();
  // Servers must not outlive a run that is broken off.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void cleanup.run().finally(() => process.exit(EXIT_BROKEN_OFF)));
  }
  await main(cleanup).finally(() => cleanup.run());
}

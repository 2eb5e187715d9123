/** An origin that is down while an object is stale: how soon the stale one comes, and the new one once it is back. */
import { setTimeout as pause } from "node:timers/promises";
import { median, type Row } from "../report.ts";
import { ask, isWhole } from "./ask.ts";
import { SHORT_LIVED_BYTES } from "./bodies.ts";
import { OURS, ROUNDS } from "./measure.ts";
import type { Mode } from "./origin.ts";
import type { CacheServer } from "./server.ts";
import type { Figure, Stage } from "./stage.ts";

const STALE_AFTER_MS = 1_300;
/** How long the origin is down, and how often a viewer asks meanwhile. */
const DOWN_MS = 2_000;
const ASK_EVERY_MS = 100;
const ANSWER_MS = 5_000;
const LOOK_EVERY_MS = 20;
/** Who is not fresh by then is told so. */
const FRESH_MS = 15_000;

const MODES: readonly { readonly mode: Mode; readonly label: string }[] = [
  { mode: "error", label: "answers 503" },
  { mode: "refused", label: "refuses connections" },
  { mode: "hang", label: "accepts and hangs" },
];

interface Outage {
  /** Answers while it was down; those that were not the stale object count as `failed`. */
  readonly staleMs: readonly number[];
  readonly failed: number;
  readonly freshMs: number;
}

let version = 0;

const outageOf = async (
  { origin }: Stage,
  { port }: CacheServer,
  on: { path: string; mode: Mode },
): Promise<Outage> => {
  const { path, mode } = on;
  // A connection each time: nginx keeps the next request of one waiting until its background fetch has ended.
  const viewer = { port, path, deadlineMs: ANSWER_MS };
  version += 1;
  const old = version;
  await origin.tell({ mode: "ok", version: old });
  await ask(viewer);
  const first = await ask(viewer);
  if (!isWhole(first, path, SHORT_LIVED_BYTES, old)) throw new Error(`${path} was not answered: ${first.status}`);
  await pause(STALE_AFTER_MS);
  await origin.tell({ mode });
  const staleMs: number[] = [];
  let failed = 0;
  for (const until = performance.now() + DOWN_MS; performance.now() < until; ) {
    const answer = await ask(viewer);
    staleMs.push(answer.totalMs);
    if (!isWhole(answer, path, SHORT_LIVED_BYTES, old)) failed += 1;
    await pause(ASK_EVERY_MS);
  }
  version += 1;
  await origin.tell({ mode: "ok", version });
  const backAt = performance.now();
  const since = (): number => performance.now() - backAt;
  while (since() < FRESH_MS && !isWhole(await ask(viewer), path, SHORT_LIVED_BYTES, version))
    await pause(LOOK_EVERY_MS);
  return { staleMs, failed, freshMs: since() };
};

const told = (outages: readonly Outage[]): string => {
  const all = outages.flatMap(({ staleMs }) => staleMs);
  const failed = outages.reduce((sum, one) => sum + one.failed, 0);
  const fresh = Math.max(...outages.map(({ freshMs }) => freshMs));
  const when =
    fresh >= FRESH_MS ? `not fresh within ${FRESH_MS / 1000} s` : `fresh after ${fresh.toFixed(0)} ms at worst`;
  const stale = `stale in ${median(all).toFixed(1)} ms, worst ${Math.max(...all).toFixed(1)} ms`;
  return `${stale}, ${failed} of ${all.length} failed, ${when}`;
};

const rows = async (stage: Stage): Promise<Row[]> => {
  const result: Row[] = [];
  for (const { mode, label } of MODES) {
    const outages = new Map<string, Outage[]>(stage.servers.map(({ name }) => [name, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const server of stage.servers) {
        const path = `/ttl1/${server.name}-${mode}-${round}`;
        outages.get(server.name)?.push(await outageOf(stage, server, { path, mode }));
      }
    }
    const tell = (name: string): string => {
      const known = outages.get(name);
      return known ? told(known) : "not shown";
    };
    for (const peer of ["nginx", "Varnish", "ATS"]) {
      const what = `origin ${label} for ${DOWN_MS / 1000} s, object stale, ${ROUNDS} rounds`;
      result.push({ what, value: tell(OURS), against: `${peer}: ${tell(peer)}`, goal: "stale ≤ 5 ms, fresh ≤ 1 s" });
    }
  }
  return result;
};

export const DOWN: readonly Figure[] = [{ name: "down", group: "origin failures", rows }];

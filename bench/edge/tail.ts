/** The last 100 KB of an object that another viewer has begun to fill from its front. */
import { setTimeout as pause } from "node:timers/promises";
import { median, type Row } from "../report.ts";
import { type Answer, ask, isWhole } from "./ask.ts";
import { bodyOf, SLOW_BYTES } from "./bodies.ts";
import { OURS, ROUNDS } from "./measure.ts";
import type { Figure, Stage } from "./stage.ts";

const TAIL_BYTES = 100_000;
const BEGUN_MS = 150;
/** What is assembled or written behind the answers is there by then. */
const SETTLED_MS = 200;

interface Tail {
  readonly firstMs: number;
  readonly isRight: boolean;
  /** Asked again, tail and whole: no more of the origin. */
  readonly isKept: boolean;
  readonly originRequests: number;
  readonly originBytes: number;
}

const isTail = ({ status, body, isBroken }: Answer, path: string): boolean =>
  status === 206 && !isBroken && body.equals(bodyOf(path, SLOW_BYTES).subarray(-TAIL_BYTES));

const tailOf = async ({ origin }: Stage, port: number, path: string): Promise<Tail> => {
  const range = `bytes=-${TAIL_BYTES}`;
  const front = ask({ port, path });
  await pause(BEGUN_MS);
  const tail = await ask({ port, path, range });
  const whole = await front;
  await pause(SETTLED_MS);
  const before = await origin.counts(path);
  const again = [await ask({ port, path, range }), await ask({ port, path })] as const;
  const after = await origin.counts(path);
  const areSame = isTail(again[0], path) && isWhole(again[1], path, SLOW_BYTES);
  return {
    firstMs: tail.firstMs,
    isRight: isTail(tail, path) && isWhole(whole, path, SLOW_BYTES),
    isKept: areSame && after.requests === before.requests,
    originRequests: before.requests,
    originBytes: before.bytes,
  };
};

const told = (tails: readonly Tail[]): string => {
  const count = (test: (tail: Tail) => boolean): number => tails.filter(test).length;
  const firsts = tails.map(({ firstMs }) => firstMs);
  const bytes = (median(tails.map(({ originBytes }) => originBytes)) / SLOW_BYTES) * 100;
  return [
    `first byte ${median(firsts).toFixed(0)} ms, worst ${Math.max(...firsts).toFixed(0)} ms`,
    `right ${count(({ isRight }) => isRight)} of ${tails.length}`,
    `kept ${count(({ isKept }) => isKept)} of ${tails.length}`,
    `${median(tails.map(({ originRequests }) => originRequests))} origin requests, ${bytes.toFixed(0)} % of its bytes`,
  ].join(", ");
};

const rows = async (stage: Stage): Promise<Row[]> => {
  const tails = new Map<string, Tail[]>(stage.servers.map(({ name }) => [name, []]));
  const trips: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, port } of stage.servers) {
      tails.get(name)?.push(await tailOf(stage, port, `/slow/tail-${name}-${round}`));
    }
    trips.push((await ask({ port: stage.origin.port, path: "/slow/trip", range: `bytes=-${TAIL_BYTES}` })).firstMs);
  }
  const tell = (name: string): string => {
    const known = tails.get(name);
    return known ? told(known) : "not shown";
  };
  const goal = `first byte ≤ ${(median(trips) + 10).toFixed(0)} ms (the origin's own ${median(trips).toFixed(0)} ms + 10), kept`;
  const what = `last 100 KB of 4 MiB, ${BEGUN_MS} ms after another viewer began at the front, ${ROUNDS} rounds`;
  return ["nginx", "Varnish", "ATS"].map((name) => ({
    what,
    value: tell(OURS),
    against: `${name}: ${tell(name)}`,
    goal,
  }));
};

export const TAIL: readonly Figure[] = [{ name: "tail", group: "tail range", rows }];

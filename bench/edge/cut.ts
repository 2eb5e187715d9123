/** An origin that breaks off at a random byte: whole, visibly broken, or an answer that only looks whole. */
import type { Row } from "../report.ts";
import { ask, isWhole } from "./ask.ts";
import { CUT_BYTES } from "./bodies.ts";
import { OURS } from "./measure.ts";
import type { CacheServer } from "./server.ts";
import type { Figure, Stage } from "./stage.ts";

const CUTS = Number(process.env.BENCH_CUTS ?? 200);
const AT_ONCE = 10;
/** What the origin says of its object: only a strong ETag allows to go on where it broke off. */
const KINDS = ["strong-length", "strong-chunked", "weak-length", "weak-chunked"];
const ENDS = ["fin", "rst"];

/** Mulberry32: the same cuts for each server and each run with the seed. */
const randomOf = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

interface Outcome {
  whole: number;
  broken: number;
  /** Ended as a whole answer does, and was not. */
  lies: number;
  /** The same when it was asked again later: what had been kept. */
  laterLies: number;
}

const SEED = 5;

const outcomeOf = async ({ name, port }: CacheServer): Promise<Outcome> => {
  const random = randomOf(SEED);
  const outcome: Outcome = { whole: 0, broken: 0, lies: 0, laterLies: 0 };
  const one = async (index: number, at: number): Promise<void> => {
    const path = `/cut/${KINDS[index % KINDS.length]}/${at}/${ENDS[Math.floor(index / KINDS.length) % 2]}/${name}-${index}`;
    const answer = await ask({ port, path });
    if (isWhole(answer, path, CUT_BYTES)) outcome.whole += 1;
    else if (answer.isBroken || answer.status !== 200) outcome.broken += 1;
    else outcome.lies += 1;
    const later = await ask({ port, path });
    if (later.status === 200 && !later.isBroken && !isWhole(later, path, CUT_BYTES)) outcome.laterLies += 1;
  };
  for (let index = 0; index < CUTS; index += AT_ONCE) {
    const cuts = Array.from({ length: Math.min(AT_ONCE, CUTS - index) }, () => Math.floor(random() * CUT_BYTES));
    await Promise.all(cuts.map((at, more) => one(index + more, at)));
  }
  return outcome;
};

const told = ({ whole, broken, lies, laterLies }: Outcome): string =>
  `${lies + laterLies} look whole and are not (${laterLies} of them later), ${whole} whole, ${broken} broken off visibly`;

const rows = async ({ servers }: Stage): Promise<Row[]> => {
  const outcomes = new Map<string, Outcome>();
  for (const server of servers) outcomes.set(server.name, await outcomeOf(server));
  const own = outcomes.get(OURS);
  const what = `origin cut at a random byte of 1 MiB, ${CUTS} times (seed ${SEED}), half of them with a strong ETag`;
  return ["nginx", "Varnish", "ATS"].map((name) => {
    const theirs = outcomes.get(name);
    const against = `${name}: ${theirs ? told(theirs) : "not shown"}`;
    return { what, value: own ? told(own) : "not shown", against, goal: "0 look whole and are not" };
  });
};

export const CUT: readonly Figure[] = [{ name: "cut", group: "origin failures", rows }];

import { randomInt } from "node:crypto";
import { test } from "node:test";
import { againstOrigins, againstViewers } from "./noise.fixture.ts";

const CASES = Number(process.env.FUZZ_CASES ?? 100_000);
const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
const shown = (statuses: ReadonlyMap<number, number>): string => JSON.stringify(Object.fromEntries(statuses));

test("whatever an origin answers, for very long, its viewers get an answer or an end", async (t) => {
  t.diagnostic(`FUZZ_SEED=${seed}`);
  t.diagnostic(shown(await againstOrigins(t, { seed, cases: CASES / 2 })));
});

test("whatever viewers send, for very long, nothing hangs and nothing is the edge's fault", async (t) => {
  t.diagnostic(`FUZZ_SEED=${seed}`);
  t.diagnostic(shown(await againstViewers(t, { seed, cases: CASES / 2 })));
});

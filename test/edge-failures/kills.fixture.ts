/** An edge that is killed while it fills, again and again: what it serves and what it has counted afterwards. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../support/platform.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { countedFor } from "./counted.ts";
import { FaultyOrigin, headOf, rangeOf } from "./faulty-origin.ts";
import { type EdgeProcess, startEdgeProcess } from "./process.ts";
import { bytesOf, folder, oneSite } from "./scene.ts";
import { view } from "./viewer.ts";

const HOST = "cdn.example";
const VIEWERS = 6;
const OBJECTS = 30;
const PIECE_BYTES = 50_000;

const bodyOf = (path: string): Buffer => bytesOf(path, 500 + (Number(path.split("/").at(-1)) % 7) * 90_000);

const slowOrigin = (t: TestContext): Promise<FaultyOrigin> =>
  FaultyOrigin.open(t, async (asked) => {
    const { socket, target } = asked;
    const body = bodyOf(target);
    const range = rangeOf(asked, body.length);
    const { from, to } = range ?? { from: 0, to: body.length };
    const part = range ? [`Content-Range: bytes ${from}-${to - 1}/${body.length}`] : [];
    const status = range ? "206 Partial Content" : "200 OK";
    socket.write(headOf(status, `Content-Length: ${to - from}`, "Cache-Control: max-age=600", 'ETag: "a"', ...part));
    for (let at = from; at < to && !socket.destroyed; at += PIECE_BYTES) {
      socket.write(body.subarray(at, Math.min(to, at + PIECE_BYTES)));
      await pause(2);
    }
  });

interface Load {
  /** When each whole answer was there, in order. */
  readonly doneAtMs: number[];
  readonly askedCount: number;
}

/** Viewers until the edge is killed; each answer that looks whole is what the origin has. */
const loadUntilKilled = async (
  edge: EdgeProcess,
  round: number,
  random: Random,
): Promise<Load & { killedAtMs: number }> => {
  const doneAtMs: number[] = [];
  let [killedAtMs, askedCount] = [Number.POSITIVE_INFINITY, 0];
  const viewer = async (): Promise<void> => {
    while (killedAtMs === Number.POSITIVE_INFINITY) {
      const path = `/${random.int(3) === 0 ? random.int(round + 1) : round}/${random.int(OBJECTS)}`;
      askedCount += 1;
      const got = await view(edge.port, path, { host: HOST }).catch(() => undefined); // it was killed
      if (got?.looksWhole) {
        doneAtMs.push(performance.now());
        assert.equal(got.status, 200, got.head);
        assert.ok(got.body.equals(bodyOf(path)), `${path} has other bytes`);
      } else assert.ok(killedAtMs < Number.POSITIVE_INFINITY, `${path} was cut though the edge was up`);
    }
  };
  const viewers = Array.from({ length: VIEWERS }, viewer);
  await pause(200 + random.int(1_000));
  const ended = once(edge.node.child, "exit");
  killedAtMs = performance.now();
  edge.node.kill("SIGKILL");
  await Promise.all([ended, ...viewers]);
  return { doneAtMs, askedCount, killedAtMs };
};

/** What is there after a kill: every byte right, whoever has it. */
const viewAll = async (port: number, rounds: number): Promise<number> => {
  let hits = 0;
  for (let n = 0; n < OBJECTS; n += 1) {
    const path = `/${rounds - 1}/${n}`;
    const got = await view(port, path, { host: HOST });
    assert.deepEqual([got.status, got.looksWhole], [200, true], path);
    assert.ok(got.body.equals(bodyOf(path)), `${path} has other bytes`);
    if (/; hit/.test(got.field("cache-status") ?? "")) hits += 1;
  }
  return hits;
};

/** Rounds of load, kill, start, look; gives what kills cost of the accounts at most, in ms, and hits after them. */
export const surviveKills = async (
  t: TestContext,
  { rounds, seed, threads }: { rounds: number; seed: number; threads: number },
): Promise<{ readonly lostMsMax: number; readonly hits: number }> => {
  const random = seeded(seed);
  const origin = await slowOrigin(t);
  const config = oneSite(origin.url, {}, HOST);
  const dataDir = await folder(t);
  const options = { dataDir, env: { EDGE_THREADS: String(threads), LOG_LEVEL: "error" } };
  let [lostMsMax, hits, before] = [0, 0, 0];
  let edge = await startEdgeProcess(t, config, options);
  for (let round = 0; round < rounds; round += 1) {
    const { doneAtMs, askedCount, killedAtMs } = await loadUntilKilled(edge, round, random);
    edge = await startEdgeProcess(t, config, options);
    const counted = (await countedFor(edge.port, HOST)).requests - before;
    const firstLost = doneAtMs[counted] ?? killedAtMs;
    lostMsMax = Math.max(lostMsMax, killedAtMs - firstLost);
    assert.ok(counted <= askedCount, `${counted} counted, ${askedCount} asked`);
    hits += await viewAll(edge.port, round + 1);
    const expected = before + counted + OBJECTS;
    before = await until("what was looked at to be counted", async () => {
      const { requests } = await countedFor(edge.port, HOST);
      return requests >= expected ? requests : undefined;
    });
    assert.equal(before, expected);
  }
  await edge.node.stop();
  return { lostMsMax, hits };
};

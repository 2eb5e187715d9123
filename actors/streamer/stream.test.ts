import assert from "node:assert/strict";
import { test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import type { StartIngest } from "./ingest.ts";
import type { SourceOpener } from "./source.ts";
import { Stream } from "./stream.ts";
import { specOf } from "./streamers.fixture.ts";

const URL = "http://192.0.2.1/a.ts";
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A stream whose ffmpeg ends at once, under a clock of the test's own. */
const deadSource = () => {
  let nowMs = 1_000_000;
  let runs = 0;
  const startIngest: StartIngest = (_, events) => {
    runs += 1;
    setImmediate(() => events.onEnd("connection refused"));
    return { stop: async () => {}, kill: async () => {} };
  };
  const source = { kind: "http", url: URL };
  const opener = { check: async () => ({ source, address: null }), networkInput: () => ({ args: [], env: {} }) };
  const stream = new Stream(
    {
      clock: { nowMs: () => nowMs },
      machine: { cores: 2, preset: "ultrafast" },
      opener: opener as unknown as SourceOpener, // all of it that a network source needs
      makeSlate: () => Promise.reject(new Error("no slate here")),
      ...{ log: quietLog, ringBytesMax: 2 ** 22, startIngest, changed: () => {}, keep: () => {} },
    },
    {
      ...{ spec: specOf({ url: URL }), leaseEpoch: 1, posted: null },
      ...{ learned: null, anchor: null, ownAnchor: null },
    },
  );
  const pass = async (ms: number, each?: () => void): Promise<void> => {
    for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 100) {
      stream.tick({ isLate: false });
      each?.();
      for (let n = 0; n < 6; n += 1) await turn();
    }
  };
  return { stream, pass, runs: () => runs };
};

test("a source that is dead is tried every 10 s, and again and again being restarted does not undo that", async () => {
  const { stream, pass, runs } = deadSource();
  stream.start();
  await pass(20_000);
  assert.equal(stream.state, "failed");
  const before = runs();
  await pass(60_000);
  assert.ok(runs() - before <= 7, `${runs() - before} runs in a minute`);
  let asked = 0;
  await pass(60_000, () => {
    if (stream.state !== "failed" || asked++ % 100 !== 0) return;
    stream.restart(); // every 10 s
  });
  assert.ok(runs() - before <= 7 + 14, `${runs() - before} runs in two minutes`);
  await stream.stop();
});

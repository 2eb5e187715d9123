import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { restartStream, setAnchor, stopStream } from "../../contracts/streamer.ts";
import { sendTo } from "../../lib/actor/contract.ts";
import type { Ingest, StartIngest } from "./ingest.ts";
import {
  KEYS,
  specOf,
  startWorld,
  TENANT_ID,
  tempDir,
  until,
  type World,
  type WorldOptions,
} from "./streamers.fixture.ts";

const UDP = "udp://239.255.77.43:47112";
const silent: StartIngest = (): Ingest => ({ stop: async () => {}, kill: async () => {} });
const world = (t: Parameters<typeof startWorld>[0], options: WorldOptions = {}) =>
  startWorld(t, { startIngest: silent, ...options });
const META = { tenantId: TENANT_ID, tenant: "default" };
const REF = { ordinal: 0, tenant: "default", streamId: "test.stream" };
const stop = ({ broker }: World, leaseEpoch: number) =>
  sendTo(broker, "node-1", stopStream, { ...REF, leaseEpoch }, META);
const restart = ({ broker }: World, leaseEpoch: number) =>
  sendTo(broker, "node-1", restartStream, { ...REF, leaseEpoch }, META);
const anchorOf = (anchorEpoch: number) => ({
  ...{ offsetTicks: 900_000, residualMs: 5, firstSegmentNumber: 1, frameRateNum: 25, frameRateDen: 1 },
  anchorEpoch,
});
const anchor = ({ broker }: World, leaseEpoch: number, anchorEpoch: number) =>
  sendTo(broker, "node-1", setAnchor, { ...REF, leaseEpoch, anchor: anchorOf(anchorEpoch) }, META);

test("the same command twice changes nothing; another spec replaces the stream", async (t) => {
  const started = await world(t);
  assert.deepEqual(await started.start({ url: UDP }), { state: "starting", changed: true });
  assert.deepEqual(await started.start({ url: UDP }), { state: "starting", changed: false });
  assert.equal((await started.start({ url: `${UDP}?fifo_size=1000` })).changed, true);
  await until("a report of one stream", () => started.reported.at(-1)?.streams.length === 1);
});

test("a command with a lower epoch is refused, whatever it is, also after a restart of the node", async (t) => {
  const dataDir = await tempDir(t);
  const first = await world(t, { dataDir });
  await first.start({ url: UDP }, { leaseEpoch: 5 });
  await anchor(first, 7, 1);
  const stale = { code: "STALE_EPOCH", data: { leaseEpoch: 6, highestEpoch: 7 } };
  const refusesOld = async (at: World): Promise<void> => {
    await assert.rejects(at.start({ url: UDP }, { leaseEpoch: 6 }), stale);
    await assert.rejects(stop(at, 6), stale);
    await assert.rejects(restart(at, 6), stale);
    await assert.rejects(anchor(at, 6, 2), stale);
  };
  await refusesOld(first);
  await first.stop();
  const second = await world(t, { dataDir });
  await refusesOld(second);
  assert.deepEqual(await stop(second, 8), { stopped: true });
  assert.deepEqual(await stop(second, 8), { stopped: false });
  await second.stop();
  const third = await world(t, { dataDir });
  // The epoch of a stream that is gone is remembered too.
  await assert.rejects(third.start({ url: UDP }, { leaseEpoch: 7 }), { code: "STALE_EPOCH" });
});

test("an epoch that has been heard is remembered even where its command failed", async (t) => {
  const dataDir = await tempDir(t);
  const first = await world(t, { dataDir });
  await assert.rejects(first.start({ url: "pl:///nothing" }, { leaseEpoch: 9 }), { code: "PLAYLIST_NOT_FOUND" });
  await first.stop();
  const second = await world(t, { dataDir });
  await assert.rejects(second.start({ url: UDP }, { leaseEpoch: 8 }), { code: "STALE_EPOCH" });
});

test("epochs of streams that are gone are bounded in number, however long others have run", async (t) => {
  const dataDir = await tempDir(t);
  const first = await world(t, { dataDir });
  await first.start({ url: UDP }, { leaseEpoch: 1 });
  await first.stop();
  const file = path.join(dataDir, "run/streamer-0.json");
  const kept = JSON.parse(await readFile(file, "utf8"));
  const gone = Array.from({ length: 9_999 }, (_, index) => [`default/gone${index}.stream`, 1]);
  await writeFile(file, JSON.stringify({ ...kept, leaseEpochs: [...kept.leaseEpochs, ...gone] }));
  const second = await world(t, { dataDir });
  const last = { ...REF, streamId: "last.stream", leaseEpoch: 2 };
  await sendTo(second.broker, "node-1", stopStream, last, META);
  const { leaseEpochs } = JSON.parse(await readFile(file, "utf8"));
  assert.equal(leaseEpochs.length, 10_000);
  assert.deepEqual(
    [leaseEpochs[0], leaseEpochs.at(-1)],
    [
      ["default/test.stream", 1],
      ["default/last.stream", 2],
    ],
  );
});

test("a restarted node takes up what it was told, with the anchor that it had, without bus or database", async (t) => {
  const dataDir = await tempDir(t);
  const first = await world(t, { dataDir, anchors: "ignored" });
  await first.start({ url: UDP });
  await anchor(first, 1, 4);
  const body = JSON.stringify({ url: UDP });
  const headers = { authorization: `Bearer ${KEYS.full}` };
  await fetch(`${first.bases[0]}/api/streams/posted.stream`, { method: "POST", body, headers });
  await first.stop();
  const second = await world(t, { dataDir, anchors: "ignored" });
  const report = await until("a report", () => second.report("test.stream"));
  assert.deepEqual([report.anchorEpoch, report.leaseEpoch, report.startCount > 0], [4, 1, true]);
  assert.deepEqual([second.report("posted.stream")?.channelId, second.report("test.stream")?.channelId], [null, 7]);
  assert.equal((await second.start({ url: UDP })).changed, false);
});

test("what can't be run is refused before anything is kept", async (t) => {
  const started = await world(t, { streamsMax: 1 });
  const refusals: readonly [string, string][] = [
    ["file:///etc/passwd", "SOURCE_URL_REFUSED"],
    ["pl:///../x", "SOURCE_URL_REFUSED"],
    ["pl:///nothing", "PLAYLIST_NOT_FOUND"],
  ];
  for (const [url, code] of refusals) await assert.rejects(started.start({ url }), { code }, url);
  await assert.rejects(started.start({ url: "http://10.0.0.1/x.ts", trusted: false }), { code: "SOURCE_URL_REFUSED" });
  await assert.rejects(started.start({ url: UDP, payload: { url: UDP, chunkDuration: "x" } }), { code: "BAD_INPUT" });
  await started.start({ url: UDP });
  await assert.rejects(started.start({ url: UDP, streamId: "b.stream" }), { code: "STREAMER_FULL" });
  await assert.rejects(started.start({ url: UDP }, { ordinal: 3 }), { code: "STREAMER_FULL" });
  await assert.rejects(restart({ ...started }, 0), { code: "STALE_EPOCH" });
  await stop(started, 1);
  await assert.rejects(restart(started, 1), { code: "STREAM_NOT_FOUND" });
  await assert.rejects(anchor(started, 1, 1), { code: "STREAM_NOT_FOUND" });
  await until("a report without streams", () => started.reported.at(-1)?.streams.length === 0 || undefined);
});

test("reports carry what supervisors and registries need; the last one says that the node drains", async (t) => {
  const started = await world(t, { streamers: 2, streamsMax: 3 });
  await started.start({ url: UDP }, { ordinal: 1, leaseEpoch: 9 });
  const report = await until("a report of the stream", () => started.report("test.stream", 1));
  assert.deepEqual(
    { ...report, startCount: 0 },
    {
      ...{ tenant: "default", streamId: "test.stream", channelId: 7, state: "starting", leaseEpoch: 9 },
      ...{ anchorEpoch: null, firstSegmentNumber: null, lastSegmentNumber: null, startCount: 0 },
      ...{ anchorProposal: null, residualMs: null, initHashes: report.initHashes, message: null },
    },
  );
  const { streams: _, ...about } = started.reported.findLast(({ ordinal }) => ordinal === 1) ?? { streams: [] };
  const [, baseUrl = ""] = started.bases;
  assert.deepEqual(about, {
    ...{ nodeId: "node-1", ordinal: 1, name: "node-1/1", baseUrl, publicUrl: baseUrl },
    ...{ streamsMax: 3, draining: false },
  });
  await started.stop();
  assert.equal(started.reported.at(-1)?.draining, true);
});

test("a stream that is known but shows nothing yet answers 503, an unknown one 404", async (t) => {
  const started = await world(t);
  await started.start({ url: UDP });
  const status = async (streamId: string) =>
    (await fetch(`${started.bases[0]}/live/default/${streamId}/master.m3u8`)).status;
  assert.deepEqual([await status("test.stream"), await status("other.stream")], [503, 404]);
  assert.deepEqual((await fetch(`${started.bases[0]}/nothing`)).status, 404);
});

test("a spec of the fixture is one of the contract", () => {
  assert.equal(specOf({ url: UDP }).payload.url, UDP);
});

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Snapshot } from "../../contracts/fleet.ts";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { channelOf, edgeUnderTest, FOLDER, get } from "../../test/origin/edge.ts";
import { mediaStandIn } from "../../test/origin/stand-in.ts";
import { tempDir, until } from "../../test/support/platform.ts";
import { Fleet } from "./fleet.ts";
import { snapshotPath, writeSnapshot } from "./snapshot-file.ts";

const snapshotOf = (version: number, channels = [channelOf([{ url: "http://a:1" }])]): Snapshot => ({
  version,
  madeAt: new Date(0).toISOString(),
  channels,
});

describe("what the edge knows of channels", () => {
  const scene = async (t: TestContext) => {
    const path = snapshotPath(await tempDir(t));
    const asked: number[] = [];
    let answer: () => Promise<Snapshot | null> = async () => null;
    let nowMs = 0;
    const make = (): Fleet => {
      const ask = (haveVersion: number) => {
        asked.push(haveVersion);
        return answer();
      };
      const fleet = new Fleet({ path, ask, log: quietLog, clock: systemClock, nowMs: () => nowMs });
      t.after(() => fleet.stop());
      return fleet;
    };
    return {
      path,
      asked,
      make,
      answerWith: (next: () => Promise<Snapshot | null>) => {
        answer = next;
      },
      pass: (ms: number) => {
        nowMs += ms;
      },
    };
  };

  test("never goes back to an older snapshot", async (t) => {
    const { make, answerWith } = await scene(t);
    const fleet = make();
    answerWith(async () => snapshotOf(7));
    await fleet.start();
    answerWith(async () => snapshotOf(6, []));
    await fleet.refresh();
    assert.equal(fleet.version, 7);
    assert.ok(fleet.find("acme", "one.stream"));
  });

  test("is kept on disk, and read from there when nobody answers", async (t) => {
    const { make, answerWith, asked, path } = await scene(t);
    answerWith(async () => snapshotOf(7));
    const first = make();
    await first.start();
    await first.stop();
    assert.deepEqual(await readdir(dirname(path)), ["snapshot.json"]);
    answerWith(() => Promise.reject(new Error("no bus")));
    const second = make();
    await second.start();
    assert.equal(second.version, 7);
    assert.ok(second.find("acme", "one.stream"));
    await until("the question", () => (asked.length === 2 ? true : undefined));
    assert.deepEqual(asked, [0, 7]);
  });

  test("starts with nothing when the file is damaged, and mends it", async (t) => {
    const { make, answerWith, path } = await scene(t);
    await writeSnapshot(path, snapshotOf(9));
    await writeFile(path, (await readFile(path, "utf8")).slice(0, 50));
    answerWith(async () => snapshotOf(3));
    const fleet = make();
    await fleet.start();
    assert.equal(fleet.version, 3);
    await fleet.stop();
    assert.equal(JSON.parse(await readFile(path, "utf8")).version, 3);
  });

  test("goes on without a disk", async (t) => {
    const { make, answerWith, path } = await scene(t);
    await writeSnapshot(path, snapshotOf(1));
    await writeFile(`${dirname(path)}/not-a-folder`, "");
    const fleet = new Fleet({
      path: `${dirname(path)}/not-a-folder/snapshot.json`,
      ask: async () => snapshotOf(4),
      ...{ log: quietLog, clock: systemClock, nowMs: () => 0 },
    });
    answerWith(async () => null);
    await fleet.start();
    assert.equal(fleet.version, 4);
    await fleet.stop();
    await make().start();
  });

  test("is asked for again when a hint comes while a question is under way", async (t) => {
    const { make, answerWith, asked } = await scene(t);
    const fleet = make();
    await fleet.start();
    let answerFirst = (_: Snapshot): void => {};
    answerWith(
      () =>
        new Promise((resolve) => {
          answerFirst = resolve;
        }),
    );
    const refreshing = fleet.refresh();
    fleet.hinted(5);
    answerWith(async () => snapshotOf(5));
    answerFirst(snapshotOf(4));
    await refreshing;
    await until("the newer one", () => (fleet.version === 5 ? true : undefined));
    const questions = asked.length;
    fleet.hinted(5);
    assert.equal(asked.length, questions, "a hint of what it has is no reason to ask");
  });

  test("is waited for where a channel is not known, but not for ever", async (t) => {
    const { make, answerWith, pass } = await scene(t);
    const fleet = make();
    await fleet.start();
    pass(10_000);
    answerWith(async () => snapshotOf(7));
    await fleet.missed();
    assert.ok(fleet.find("acme", "one.stream"));
    pass(10_000);
    let settle = () => {};
    answerWith(() => new Promise((resolve) => (settle = () => resolve(null))));
    await fleet.missed();
    settle();
  });

  test("is asked for again, within a second, where it was asked for just before there was the channel", async (t) => {
    const { make, answerWith } = await scene(t);
    const fleet = make();
    await fleet.start();
    answerWith(async () => snapshotOf(7));
    await fleet.missed();
    assert.ok(fleet.find("acme", "one.stream"));
  });

  test("is asked for once a second at most for channels that it does not know", async (t) => {
    const { make, asked, pass } = await scene(t);
    const fleet = make();
    await fleet.start();
    pass(10_000);
    for (let count = 0; count < 5; count += 1) void fleet.missed();
    assert.equal(asked.length, 2);
    await until("the answer", async () => {
      await fleet.refresh();
      return true;
    });
    pass(1_000);
    void fleet.missed();
    assert.ok(asked.length >= 3);
  });
});

describe("an edge", () => {
  const MASTER = `${FOLDER}/master.m3u8`;

  test("that starts with neither bus nor database serves what it knew", async (t) => {
    const origin = await mediaStandIn(t);
    origin.items.set(MASTER, { body: "#EXTM3U\n" });
    const dataDir = await tempDir(t);
    const before = await edgeUnderTest(t, { channels: [channelOf([origin])], dataDir });
    assert.equal((await get(`${before.url}${MASTER}`)).status, 200);
    await before.edge.stop(0);
    const after = await edgeUnderTest(t, { dataDir, fleetAnswers: false });
    assert.equal((await get(`${after.url}/readyz`)).status, 200);
    assert.equal((await get(`${after.url}${MASTER}`)).status, 200);
    assert.equal((await get(`${after.url}/live/acme/other.stream/master.m3u8`)).status, 404);
  });

  test("that loses the bus goes on, and hears of new channels when it is back", async (t) => {
    const origin = await mediaStandIn(t);
    origin.items.set(MASTER, { body: "#EXTM3U\n" });
    const other = MASTER.replace("one.stream", "two.stream");
    origin.items.set(other, { body: "#EXTM3U\n" });
    const { url, setChannels, fleetAnswers, pass } = await edgeUnderTest(t, { channels: [channelOf([origin])] });
    fleetAnswers(false);
    const two = channelOf([origin], { streamId: "two.stream" });
    const channels = [
      channelOf([origin]),
      { ...two, origins: two.origins.map((place) => ({ ...place, base: place.base.replace("one.", "two.") })) },
    ];
    setChannels(channels);
    pass(5_000);
    assert.equal((await get(`${url}${MASTER}`)).status, 200);
    assert.equal((await get(`${url}${other}`)).status, 404);
    fleetAnswers(true);
    await until("the new channel", async () => {
      pass(1_000);
      return (await get(`${url}${other}`)).status === 200 ? true : undefined;
    });
  });

  test("that has never heard of any channel says so, and is not ready", async (t) => {
    const { url } = await edgeUnderTest(t, { fleetAnswers: false });
    const { status, headers } = await get(`${url}${MASTER}`);
    assert.equal(status, 503);
    assert.equal(headers["retry-after"], "1");
    assert.equal((await get(`${url}/readyz`)).status, 503);
    assert.equal((await get(`${url}/livez`)).status, 200);
  });

  test("forgets a channel that is deleted as soon as it hears of it", async (t) => {
    const origin = await mediaStandIn(t);
    origin.items.set(MASTER, { body: "#EXTM3U\n" });
    const { url, setChannels } = await edgeUnderTest(t, { channels: [channelOf([origin])] });
    assert.equal((await get(`${url}${MASTER}`)).status, 200);
    setChannels([]);
    await until("a 404", async () => ((await get(`${url}${MASTER}`)).status === 404 ? true : undefined));
  });
});

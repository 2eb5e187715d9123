import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { liveSourceArguments } from "../../lib/demo/frame-counter.ts";
import { counterOf, listedNumbers } from "../../test/support/frames.ts";
import { CHEAP, ffmpeg, KEYS, playable, putClip, startWorld, tempDir, until } from "./streamers.fixture.ts";

const SIZE = { width: 160, height: 90 };
const PICTURE = { width: 320, height: 180, rate: "25" };
const ALLOW = ["127.0.0.0/8"];

/** Ports below those that the system gives out by itself; a UDP port can't be asked for and kept. */
let lastPort = 20_000 + (process.pid % 10_000);
const freePort = (): number => {
  lastPort += 1;
  return lastPort;
};

/** Runs ffmpeg with our live source again and again until the test ends: a listener may not be there yet. */
const send = (t: TestContext, target: string, tail: readonly string[] = ["-f", "mpegts", target]): void => {
  let child: ChildProcess | undefined;
  let isOver = false;
  const run = (): void => {
    const args = [...liveSourceArguments(target, PICTURE).slice(0, -3), ...tail];
    child = spawn(ffmpeg.path, args, { stdio: "ignore" });
    child.once("exit", () => {
      if (!isOver) setTimeout(run, 200);
    });
  };
  run();
  t.after(() => {
    isOver = true;
    child?.kill("SIGKILL");
  });
};

/** The picture of a source arrives: two following segments have a counter. */
const assertShown = async (base: string): Promise<void> => {
  const [number] = (await listedNumbers(base)).slice(-1);
  assert.ok(number);
  const first = await counterOf(base, number, SIZE);
  await until("the next segment", async () => (await listedNumbers(base)).includes(number + 1));
  const second = await counterOf(base, number + 1, SIZE);
  assert.ok(first !== null && second !== null && second > first, `${first} ${second}`);
};

test("SRT: a caller reaches our listener", async (t) => {
  const port = freePort();
  const world = await startWorld(t);
  await world.start({ url: `srt://127.0.0.1:${port}?mode=listener&passphrase=0123456789` });
  send(t, `srt://127.0.0.1:${port}?mode=caller&passphrase=0123456789`);
  await assertShown(await playable(world));
});

test("SRT: we call a listener", async (t) => {
  const port = freePort();
  const world = await startWorld(t, { allowPrivateSources: ALLOW });
  send(t, `srt://127.0.0.1:${port}?mode=listener`);
  await world.start({ url: `srt://localhost:${port}`, trusted: false });
  await assertShown(await playable(world));
});

test("RTMP: a publisher reaches our listener; one with another key is turned away", async (t) => {
  const port = freePort();
  const world = await startWorld(t);
  await world.start({ url: `rtmp://127.0.0.1:${port}/live/key?listen=1` });
  const intruder = liveSourceArguments("x", PICTURE).slice(0, -3);
  const wrong = spawn(ffmpeg.path, [...intruder, "-f", "flv", `rtmp://127.0.0.1:${port}/live/other`], {
    stdio: "ignore",
  });
  t.after(() => void wrong.kill("SIGKILL"));
  await until("the intruder is cut off", () => wrong.exitCode !== null || wrong.signalCode !== null);
  const target = `rtmp://127.0.0.1:${port}/live/key`;
  send(t, target, ["-f", "flv", target]);
  await assertShown(await playable(world));
});

test("HTTP: an MPEG-TS stream is pulled through the guard, at the pace of its timestamps", async (t) => {
  const viewers = new Set<ServerResponse>();
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "video/mp2t" });
    const args = [...liveSourceArguments("x", PICTURE).slice(0, -1), "pipe:1"];
    const child = spawn(ffmpeg.path, args, { stdio: ["ignore", "pipe", "ignore"] });
    child.stdout.pipe(response);
    viewers.add(response);
    response.on("close", () => child.kill("SIGKILL"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const response of viewers) response.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const world = await startWorld(t, { allowPrivateSources: ALLOW });
  await world.start({ url: `http://127.0.0.1:${port}/live.ts`, trusted: false });
  await assertShown(await playable(world));
});

test("HLS: one streamer plays another's stream, made over the castis API", async (t) => {
  const dataDir = await tempDir(t);
  await putClip(dataDir, "clip");
  const world = await startWorld(t, { dataDir, streamers: 2, allowPrivateSources: ALLOW });
  await world.start({ url: "pl:///clip", streamId: "first.stream" });
  await playable(world, "first.stream");
  const url = `${world.bases[0]}/live/default/first.stream/master.m3u8`;
  const made = await fetch(`${world.bases[1]}/api/streams/second.stream`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEYS.full}` },
    body: JSON.stringify({ ...CHEAP, url }),
  });
  assert.equal(made.status, 201);
  const base = await playable(world, "second.stream", 1);
  const numbers = await listedNumbers(base);
  assert.ok((await counterOf(base, numbers[0] ?? 0, SIZE)) !== null);
  assert.equal(world.report("second.stream", 1)?.anchorEpoch, 1);
});

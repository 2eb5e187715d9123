/** Many viewers who take a large picture's segment slowly: they hold memory that is bounded. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../support/control.ts";
import { tempDir } from "../support/platform.ts";
import { manyPictures } from "./media.ts";
import { aloneOn, startWatched } from "./watched.ts";

const MiB = 2 ** 20;
const VIEWERS = 150;
/** Slots, windows, and what code and sockets take: with a picture for each viewer it would be 150 × 1.5 MB more. */
const GROWTH_BYTES_MAX = 150 * MiB;

/** Asks and reads nothing; gives the status line once it is there. */
const slowViewer = async (
  t: TestContext,
  url: string,
): Promise<{ readonly status: number; readonly socket: Socket }> => {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  t.after(() => void socket.destroy());
  socket.on("error", () => {});
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  await once(socket, "readable");
  const head = (socket.read(64) as Buffer | null)?.toString("latin1") ?? "";
  return { status: Number(head.split(" ")[1]), socket };
};

test("slow viewers of segments with large pictures share windows, and the others small ones", async (t) => {
  const folder = await tempDir(t);
  await manyPictures(path.join(folder, "large.mp4"));
  const { url, ask, residentBytes } = await startWatched(t, { env: aloneOn(folder) });
  const address = "/i/large.mp4/segment1_0_v.ts";
  const { bytes } = await ask(address);
  assert.ok(bytes.length > 7 * MiB, `${bytes.length} bytes: more than a slot`);
  const before = residentBytes().now;
  const viewers = await Promise.all(Array.from({ length: VIEWERS }, () => slowViewer(t, url + address)));
  assert.deepEqual(new Set(viewers.map(({ status }) => status)), new Set([200]));
  await pause(500);
  const growth = residentBytes().now - before;
  assert.ok(growth < GROWTH_BYTES_MAX, `${Math.round(growth / MiB)} MiB more`);
  assert.deepEqual((await ask(address)).bytes, bytes, "whoever comes then gets the same");
});

test("encrypted pictures that fit into no window have a budget, and 503 beyond it", async (t) => {
  const folder = await tempDir(t);
  await manyPictures(path.join(folder, "large.mp4"));
  const env = {
    ...aloneOn(folder),
    CASTERPAK_ENCRYPTION_METHOD: "cenc",
    CASTERPAK_ENCRYPTION_SECRET: "a-secret-for-tests-only",
  };
  const { url, ask, residentBytes } = await startWatched(t, { env });
  const address = "/i/large.mp4/segment1_0_v.m4s";
  const { bytes } = await ask(address);
  const before = residentBytes().now;
  const viewers = await Promise.all(Array.from({ length: VIEWERS }, () => slowViewer(t, url + address)));
  const counts = Object.groupBy(viewers, ({ status }) => status);
  assert.deepEqual(Object.keys(counts), ["200", "503"]);
  const growth = residentBytes().now - before;
  assert.ok(growth < GROWTH_BYTES_MAX, `${Math.round(growth / MiB)} MiB more`);
  const refused = await ask(address);
  assert.equal(refused.status, 503);
  assert.match(refused.headers["retry-after"] ?? "", /^\d+$/);
  for (const { socket } of viewers) socket.destroy();
  // The budget is free again once it has seen that they left.
  const again = await eventually("it is sent", async () => {
    const answer = await ask(address);
    return answer.status === 200 && answer;
  });
  assert.deepEqual(again.bytes, bytes);
});

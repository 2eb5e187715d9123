import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { systemClock } from "../../lib/clock.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { Rate } from "../../lib/tmdb/rate.ts";
import { Tmdb } from "../../lib/tmdb/tmdb.ts";
import { MOVIES, PEOPLE, SERIES } from "../../tools/simulators/tmdb-data.ts";
import { startTmdbSimulator, type TmdbSimulator } from "../../tools/simulators/tmdb-server.ts";
import { tempDir } from "../support/platform.ts";
import { tmdbSuite } from "./suite-tmdb.ts";
import { simulatedTmdb } from "./tmdb.fixture.ts";

let shared: Promise<TmdbSimulator> | undefined;
after(async () => (await shared)?.close());

tmdbSuite("simulator", async () => {
  shared ??= startTmdbSimulator({ token: "secret" });
  const { url } = await shared;
  return {
    tmdb: new Tmdb({ url, token: "secret", requestsPerSecond: 1_000, clock: systemClock, pauseMs: 5 }),
    movie: { name: "The Glass Harbour", year: 1999 },
    series: { name: "The Cartographers", season: 2, episode: 3 },
    common: "the",
  };
});

const failure = async (work: Promise<unknown>): Promise<{ code: string | undefined; message: string }> => {
  const error = await work.then(
    () => assert.fail("it should have failed"),
    (thrown: unknown) => thrown as Error,
  );
  return { code: codeOf(error), message: error.message };
};

test("the simulator knows enough: films, series with seasons, people", () => {
  assert.ok(MOVIES.length >= 50 && PEOPLE.length === 200);
  assert.ok(SERIES.length >= 3 && SERIES.every(({ seasons }) => seasons.every(({ episodeCount }) => episodeCount > 0)));
});

test("a wrong token is refused with the service's own words, and not tried again", async (t) => {
  const { simulator } = await simulatedTmdb(t);
  const tmdb = new Tmdb({ url: simulator.url, token: "wrong", requestsPerSecond: 100, clock: systemClock });
  assert.deepEqual(await failure(tmdb.movie(101)), {
    code: "METADATA_REFUSED",
    message: "The metadata service says: Invalid API key: You must be granted a valid key.",
  });
  assert.equal(simulator.requests.length, 1);
});

test("a service that fails for a while costs a few more requests, and no failure", async (t) => {
  const { simulator, tmdb } = await simulatedTmdb(t);
  simulator.misbehave({ status: 500, times: 2 });
  assert.equal((await tmdb.movie(101)).title, "The Glass Harbour");
  assert.equal(simulator.requests.length, 3);
});

test("a service that stays away is a failure that may be tried again", async (t) => {
  const { simulator, tmdb } = await simulatedTmdb(t);
  simulator.misbehave({ status: 503 });
  const { code, message } = await failure(tmdb.movie(101));
  assert.equal(code, "METADATA_FAILED");
  assert.match(message, /temporarily offline/);
  assert.equal(simulator.requests.length, 4);
  simulator.misbehave({ garbage: true });
  assert.match((await failure(tmdb.movie(101))).message, /is not JSON/);
});

test("a service that hangs is given up at the deadline", async (t) => {
  const { simulator, tmdb } = await simulatedTmdb(t, { deadlineMs: 50, patienceMs: 400 });
  simulator.misbehave({ slowMs: 60_000 });
  assert.match((await failure(tmdb.movie(101))).message, /no answer in time/);
});

test("429 with Retry-After stops every request until then", async (t) => {
  const { simulator, tmdb } = await simulatedTmdb(t);
  simulator.misbehave({ status: 429, retryAfterSeconds: 1, times: 1 });
  const startedAt = performance.now();
  assert.equal((await tmdb.movie(101)).title, "The Glass Harbour");
  assert.ok(performance.now() - startedAt >= 950);
});

test("a signal ends a request at once", async (t) => {
  const { simulator, tmdb } = await simulatedTmdb(t);
  simulator.misbehave({ slowMs: 60_000 });
  const stop = new AbortController();
  const asking = failure(tmdb.movie(101, { signal: stop.signal }));
  setImmediate(() => stop.abort());
  assert.equal((await asking).code, "METADATA_FAILED");
});

test("no more requests go out than the rate allows: one second's worth at once, then one by one", async () => {
  let nowMs = 1_000_000;
  const pauses: number[] = [];
  const pause = async (ms: number) => void pauses.push(Math.round(ms));
  const rate = new Rate({ perSecond: 10, clock: { nowMs: () => nowMs }, pause });
  const { signal } = new AbortController();
  for (let count = 0; count < 10; count += 1) assert.ok(await rate.take(signal));
  assert.deepEqual(pauses, []);
  for (let count = 0; count < 3; count += 1) await rate.take(signal);
  assert.deepEqual(pauses, [100, 200, 300]);
  nowMs += 10_000;
  await rate.take(signal);
  assert.equal(pauses.length, 3);
  rate.holdUntil(nowMs + 5_000);
  await rate.take(signal);
  assert.equal(pauses[3], 5_000);
});

test("the simulator's own limit is kept to by an adapter that is told of it", async (t) => {
  const simulator = await startTmdbSimulator({ token: "secret", requestsPerSecond: 10 });
  t.after(() => simulator.close());
  const settings = { url: simulator.url, token: "secret", clock: systemClock, pauseMs: 5 };
  const hasty = new Tmdb({ ...settings, requestsPerSecond: 1_000 });
  const found = await Promise.all(Array.from({ length: 30 }, (_, index) => hasty.movie(101 + index)));
  // Those that were too many were told to wait, and all came through. Three seconds would take them as they
  // come; a request is tried four times.
  assert.equal(found.length, 30);
  assert.ok(simulator.requests.length > 30);
});

test("its pictures are pictures: ffmpeg reads them", async (t) => {
  const { simulator, tmdb } = await simulatedTmdb(t);
  const { images } = await tmdb.movie(101);
  const dir = await tempDir(t);
  const { path } = await findFfmpeg(null);
  const sizes: string[] = [];
  for (const [size, file] of [
    ["w342", images?.posters[0]?.file_path],
    ["w500", images?.logos[0]?.file_path],
  ] as const) {
    const response = await fetch(`${simulator.imageUrl}/${size}${file}`);
    assert.equal(response.status, 200);
    const name = join(dir, file!.slice(1));
    await writeFile(name, Buffer.from(await response.arrayBuffer()));
    const text = await new Promise<string>((resolve, reject) => {
      const args = ["-hide_banner", "-xerror", "-i", name, "-f", "null", "-"];
      execFile(path, args, { timeout: 20_000 }, (error, _, stderr) => (error ? reject(error) : resolve(stderr)));
    });
    sizes.push(/Video: (\w+).*? (\d+x\d+)/.exec(text)?.slice(1).join(" ") ?? text);
  }
  assert.deepEqual(sizes, ["mjpeg 342x513", "png 400x160"]);
  assert.equal((await fetch(`${simulator.imageUrl}/w500/never-given-out.jpg`)).status, 404);
});

/** V-42: a file becomes a title that plays, whatever is interrupted and killed on the way. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Upload } from "tus-js-client";
import { startTmdbSimulator } from "../../tools/simulators/tmdb-server.ts";
import { chromiumPath, launchChromium } from "../support/browser.ts";
import { missingServers } from "../support/cluster.ts";
import { tempDir, until } from "../support/platform.ts";
import { EdgeViewer } from "./edge-viewing.ts";
import {
  jobsOf,
  makeFilm,
  tusUpload,
  untilComplete,
  untilState,
  type VodPlatform,
  vodPlatform,
} from "./vod-platform.ts";

const skip = (await missingServers()) ?? (chromiumPath ? false : "skipped: needs Chromium");
const SECONDS = 60;
const TOKEN = "a-token-of-the-simulator";
/** Of the simulator's films. */
const FILM = { name: "Up", year: 2009 };

interface Playback {
  readonly id: string;
  readonly hls: string;
  readonly rungs: Readonly<Record<string, string>>;
}

/** Uploads with two interruptions: the client stops and goes on, and the gateway is killed and comes back. */
const uploadInterrupted = async (vod: VodPlatform, file: string, titleId: string): Promise<void> => {
  const metadata = { filename: "film.mp4", titleId };
  let stopped = false;
  let killed = false;
  const first = await new Promise<Upload>((resolve, reject) => {
    void tusUpload(vod.gatewayUrl, file, metadata, {
      onError: reject,
      onProgress(sent, total) {
        if (stopped || sent < total * 0.3) return;
        stopped = true;
        void upload.then((running) => running.abort()).then(() => resolve(upload));
      },
    }).then((made) => {
      upload = Promise.resolve(made);
      made.start();
    });
    let upload: Promise<Upload>;
  });
  const uploadUrl = first.url;
  assert.ok(uploadUrl, "the upload has an address");
  await new Promise<void>((resolve, reject) => {
    void tusUpload(vod.gatewayUrl, file, metadata, {
      uploadUrl,
      onError: reject,
      onSuccess: () => resolve(),
      onProgress(sent, total) {
        if (killed || sent < total * 0.6) return;
        killed = true;
        vod.gateway.kill("SIGKILL");
        void vod.add("gateway", {}, vod.gateway.dataDir).catch(reject);
      },
    }).then((made) => made.start());
  });
  assert.deepEqual([stopped, killed], [true, true]);
};

/** Kills the transcoder that works on a chunk, once some chunks are done and others are not. */
const killMidway = async ({ api, transcoders }: VodPlatform, titleId: string): Promise<string> => {
  const victim = await until(
    "a chunk to be done while another one is being made",
    async () => {
      const chunks = (await jobsOf(api, titleId)).filter(({ kind }) => kind === "transcode.chunk");
      const running = chunks.find(({ state }) => state === "running");
      return chunks.some(({ state }) => state === "done") && running?.nodeId ? running.nodeId : undefined;
    },
    120_000,
  );
  const node = transcoders.find(({ endpoints }) => endpoints.nodeId === victim);
  assert.ok(node, `no transcoder ${victim}`);
  node.kill("SIGKILL");
  return victim;
};

const heightNow = (viewer: EdgeViewer): Promise<number> =>
  viewer.page.evaluate<number>("document.querySelector('video').videoHeight");

/** Plays on after each switch, with the picture of that rung. */
const switchesRungs = async (viewer: EdgeViewer): Promise<void> => {
  const heights = await viewer.page.evaluate<number[]>("hls.levels.map((level) => level.height)");
  assert.deepEqual(
    heights.toSorted((a, b) => a - b),
    [480, 720],
  );
  for (const [level, height] of heights.entries()) {
    await viewer.page.evaluate(`hls.currentLevel = ${level}`);
    await until(`a picture ${height} high`, async () => ((await heightNow(viewer)) === height ? true : undefined));
    await viewer.plays(2);
  }
};

const watch = async (t: TestContext, vod: VodPlatform, titleId: string): Promise<void> => {
  const answer = await vod.api.call<{ data: Playback }>("POST", `/titles/${titleId}/playback`, {});
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  const { hls } = answer.body.data;
  assert.match(hls, new RegExp(`^${vod.env.EDGE_PUBLIC_URL}/api/media/~[^/]+/hls/${titleId}/master\\.m3u8$`));
  const viewer = await EdgeViewer.open(t, await launchChromium(t), { url: hls });
  await viewer.plays(3);
  await viewer.seek(SECONDS - 12);
  await viewer.plays(2);
  await viewer.seek(10);
  await switchesRungs(viewer);
  const { fatals } = await viewer.seen();
  assert.deepEqual(fatals, []);
  const keys = viewer.asked.filter((address) => /\/key\.\d+\.bin$/.test(address));
  assert.ok(keys.length > 0, "what is played is encrypted");
  const key = await fetch(keys[0] ?? "");
  assert.deepEqual([key.status, (await key.arrayBuffer()).byteLength], [200, 16]);
  assert.equal(key.headers.get("cache-control"), "no-store");
  const withoutSession = await fetch((keys[0] ?? "").replace(/\/~[^/]+/, ""));
  assert.ok(withoutSession.status >= 400 && withoutSession.status < 500, `${withoutSession.status}`);
};

test("a file becomes a title that plays, through two interruptions and a killed transcoder", { skip }, async (t) => {
  const tmdb = await startTmdbSimulator({ token: TOKEN });
  t.after(() => tmdb.close());
  const env = { TMDB_URL: tmdb.url, TMDB_IMAGE_URL: tmdb.imageUrl, TMDB_TOKEN: TOKEN, TRANSCODE_SLOTS: "1" };
  const vod = await vodPlatform(t, { env });
  const file = await makeFilm({ seconds: SECONDS, folder: await tempDir(t) });
  const made = await vod.api.call<{ data: { id: string } }>("POST", "/titles", {
    kind: "movie",
    ...FILM,
    autoPublish: true,
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const titleId = made.body.data.id;
  await uploadInterrupted(vod, file, titleId);
  const victim = await killMidway(vod, titleId);
  await untilState(vod.api, titleId, "published"); // it can be played from the first chunk on
  const title = await untilComplete(vod.api, titleId);
  assert.deepEqual(title.rungs?.map(({ name }) => name).toSorted(), ["480p", "720p"]);
  const jobs = await until("the pictures of the title", async () => {
    const all = (await jobsOf(vod.api, titleId)).filter(({ kind }) => kind.startsWith("transcode."));
    const live = all.filter(({ state }) => state === "queued" || state === "running");
    return live.length === 0 && all.some(({ kind }) => kind === "transcode.pictures") ? all : undefined;
  });
  t.diagnostic(jobs.map(({ kind, state, attempt }) => `${kind} ${state} ${attempt}`).join(", "));
  assert.ok(
    jobs.every(({ state }) => state === "done"),
    "every job has ended well",
  );
  assert.ok(
    jobs.some(({ nodeId }) => nodeId !== victim && nodeId !== null),
    "the other transcoder went on",
  );
  const enriched = await until("the film's poster", async () => {
    const { body } = await vod.api.call<{ data: { kind: string; source: string; url: string | null }[] }>(
      "GET",
      `/titles/${titleId}/artwork`,
    );
    return body.data.find(({ kind, source, url }) => kind === "poster" && source === "tmdb" && url) ?? undefined;
  });
  const poster = await fetch(`${vod.env.EDGE_PUBLIC_URL}${enriched.url}`);
  assert.match(poster.headers.get("content-type") ?? "", /^image\//);
  await watch(t, vod, titleId);
});

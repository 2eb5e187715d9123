/** What a viewer and a reader of the API reference get to see, in a real browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";
import { chromiumPath, openPage } from "../test/support/browser.ts";
import { until } from "../test/support/platform.ts";
import { ALL_KEY, aChannel, testGateway } from "./gateway.fixture.ts";
import { liveEdge } from "./live-edge.fixture.ts";
import { openApiDocument } from "./openapi.ts";
import { ROUTES } from "./routes.ts";

const missing = chromiumPath ? undefined : "skipped: needs Chromium";
const WAIT = { timeout: 60_000 };
const METHODS = new Set(["get", "put", "post", "delete", "options", "head", "patch"]);
const WATCH = "/watch/default/demo_channel.stream";

const inState = (page: Page, state: string) => page.waitForSelector(`body[data-state="${state}"]`, WAIT);
const stateOf = (page: Page) => page.getAttribute("body", "data-state");
const currentTimeOf = (page: Page): Promise<number> =>
  page.$eval("video", (video) => (video as unknown as { currentTime: number }).currentTime);
const moves = async (page: Page): Promise<void> => {
  const before = await currentTimeOf(page);
  await until("the picture to move", async () => ((await currentTimeOf(page)) > before + 1 ? true : undefined));
};
/** Chromium's own line for a request that failed is expected where the edge fails. */
const surprises = (complaints: readonly string[]): string[] =>
  complaints.filter((line) => !line.startsWith("Failed to load resource"));
const foreignRequests = (page: Page): string[] => {
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (!/^(?:http:\/\/127\.0\.0\.1:|blob:http:\/\/127\.0\.0\.1:|data:)/.test(request.url()))
      foreign.push(request.url());
  });
  return foreign;
};

test("the page waits for a channel that starts, plays it, and gets over an edge that goes away", async (t) => {
  if (missing) return t.skip(missing);
  const edge = await liveEdge(t, await findFfmpeg(null));
  edge.mode = "starting";
  const { url } = await testGateway(t, { edgePublicUrl: edge.url });
  const { page, complaints } = await openPage(t, url + WATCH);
  const foreign = foreignRequests(page);
  await page.waitForResponse((response) => response.status() === 503, WAIT);
  assert.equal(await page.textContent("#status"), "The channel is starting…");
  edge.mode = "live";
  await inState(page, "playing");
  await moves(page);
  assert.equal(await page.textContent("#picture"), "320 × 180");
  assert.match((await page.textContent("#behind")) ?? "", /^\d+\.\d s$/);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/watch.png` });

  edge.mode = "gone";
  await until("the loss to be noticed", async () => ((await stateOf(page)) === "playing" ? undefined : true), 60_000);
  edge.mode = "live";
  await inState(page, "playing");
  await moves(page);

  assert.ok(await page.isVisible("#sound"));
  await page.click("#sound");
  assert.equal(await page.$eval("video", (video) => (video as unknown as { muted: boolean }).muted), false);
  assert.deepEqual(surprises(complaints), []);
  assert.deepEqual(foreign, []);
});

test("the API reference lists every route, tries one, and loads nothing from elsewhere", async (t) => {
  if (missing) return t.skip(missing);
  const { url } = await testGateway(t, { stubs: { "channel.list": () => ({ data: [aChannel()], nextCursor: null }) } });
  const { page, complaints } = await openPage(t, `${url}/api/docs`);
  const foreign = foreignRequests(page);
  await page.waitForSelector(".opblock", WAIT);
  // Besides the contracts' routes: uploads by tus, and streams of events.
  const { paths } = openApiDocument() as { paths: Readonly<Record<string, object>> };
  const operations = Object.values(paths).flatMap((item) => Object.keys(item).filter((key) => METHODS.has(key)));
  assert.ok(operations.length >= ROUTES.length);
  assert.equal(await page.locator(".opblock").count(), operations.length);
  await page.click(".btn.authorize");
  await page.fill(".auth-container input", ALL_KEY);
  await page.click(".auth-btn-wrapper .authorize");
  await page.click(".btn-done");
  await page.click("#operations-channels-channelList .opblock-summary-control");
  await page.click("#operations-channels-channelList .try-out__btn");
  await page.click("#operations-channels-channelList .execute");
  await page.waitForSelector("#operations-channels-channelList .live-responses-table .response-col_status", WAIT);
  const shown = await page.textContent("#operations-channels-channelList .live-responses-table");
  assert.match(shown ?? "", /200[\s\S]*bbc_world\.stream/);
  assert.deepEqual(complaints, []);
  assert.deepEqual(foreign, []);
});

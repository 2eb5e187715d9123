/** The test page in a real browser, with media that ffmpeg made. */
import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { chromiumPath, openPage } from "../../test/support/browser.ts";
import { tempDir, until } from "../../test/support/platform.ts";
import { startTestPackager } from "./packager.fixture.ts";
import { madeByFfmpeg, servedPage } from "./test-page.fixture.ts";
import { makeToken, tokenKey } from "./tokens.ts";

const missing = chromiumPath ? undefined : "skipped: needs Chromium";
const WAIT = { timeout: 60_000 };

const PAGE = "/testing/test_player.html";
const inState = (page: Page, state: string) => page.waitForSelector(`body[data-state="${state}"]`, WAIT);
const moves = async (page: Page): Promise<void> => {
  const time = () => page.$eval("video", (video) => (video as unknown as { currentTime: number }).currentTime);
  const before = await time();
  await until("the picture to move", async () => ((await time()) > before + 0.5 ? true : undefined));
};
const choices = (page: Page, list: string): Promise<string[]> =>
  page.$$eval(`#${list} .choice .what`, (found) => found.map((one) => one.textContent ?? ""));
const pictureIs = (page: Page, text: string) =>
  until(`a picture of ${text}`, async () => ((await page.textContent("#picture")) === text ? true : undefined));

test("HLS and DASH play, name their levels and tracks, and a level that is chosen is shown", async (t) => {
  if (missing) return t.skip(missing);
  const base = await servedPage(t, await madeByFfmpeg(t));
  const { page, complaints } = await openPage(t, base + PAGE);
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (!/^(?:blob:|data:)/.test(request.url()) && !request.url().startsWith(base)) foreign.push(request.url());
  });
  assert.match((await page.textContent("#status")) ?? "", /address/);
  for (const [manifest, player] of [
    ["/media/master.m3u8", /^hls\.js/],
    [`${base}/media/manifest.mpd`, /^dash\.js/],
  ] as const) {
    // By the keyboard alone: from the box to Play.
    await page.fill("#manifest", manifest);
    await page.press("#manifest", "Enter");
    await inState(page, "playing");
    await moves(page);
    await until("its name", async () => (player.test((await page.textContent("#player")) ?? "") ? true : undefined));
    assert.deepEqual((await choices(page, "levels")).toSorted(), ["160 × 90", "320 × 180", "Automatic"], manifest);
    assert.equal((await choices(page, "audio")).length, 2);
    await page.check('#levels .choice:has-text("160 × 90") input');
    await pictureIs(page, "160 × 90");
    assert.equal(await page.textContent("#error-count"), "0");
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/test-player.png` });
  }
  assert.match(page.url(), /\?url=.*manifest\.mpd$/, "the address can be passed on");
  assert.deepEqual(foreign, []);
  assert.deepEqual(complaints, []);
});

test("media that a packager encrypts play by its licences, from another origin and under a token", async (t) => {
  if (missing) return t.skip(missing);
  const folder = await tempDir(t);
  await copyFile(await makeInput("moov-first", await sharedMediaDir()), join(folder, "film.mp4"));
  const password = "a password for tokens";
  const env = {
    CASTERPAK_ENCRYPTION_METHOD: "cbcs",
    CASTERPAK_ENCRYPTION_SECRET: "what-keys-are-made-from",
    CASTERPAK_TOKEN_PASSWORD: password,
  };
  const { url } = await startTestPackager(t, { folder, env });
  const fields = { ip: null, startSeconds: null, acl: ["/i/film.mp4/*"], id: null, data: null };
  const token = makeToken({ ...fields, endSeconds: Math.ceil(Date.now() / 1000) + 600 }, { key: tokenKey(password) });
  const { page, complaints } = await openPage(t, (await servedPage(t)) + PAGE);
  for (const leaf of ["cmaf.m3u8", "manifest.mpd", "master.m3u8"]) {
    await page.fill("#manifest", `${url}/i/film.mp4/${leaf}?hdnts=${token}`);
    await page.press("#manifest", "Enter");
    await inState(page, "playing");
    await moves(page);
    // A machine with other work lets a player wait for its decoder, which it tells as well.
    const told = await page.locator("#error-list li").allTextContents();
    assert.deepEqual(
      told.filter((line) => !/buffer(?:Stalled|Nudge)/.test(line)),
      [],
      leaf,
    );
  }
  assert.deepEqual(complaints, []);
});

test("an address in the page's own begins to play, and one that fails says why", async (t) => {
  if (missing) return t.skip(missing);
  const base = await servedPage(t, await madeByFfmpeg(t));
  const { page } = await openPage(t, `${base}${PAGE}?url=${encodeURIComponent("/media/master.m3u8")}`);
  await inState(page, "playing");
  for (const [manifest, says] of [
    ["/media/none.m3u8", /manifestLoadError \(404\).*none\.m3u8/],
    ["/media/none.mpd", /none\.mpd is not available/],
    ["/media/init-stream0.m4s", /neither an HLS playlist nor an MPD/],
  ] as const) {
    await page.fill("#manifest", manifest);
    await page.press("#manifest", "Enter");
    await inState(page, "failed");
    assert.match((await page.textContent("#error-list .fatal")) ?? "", says);
    assert.notEqual(await page.textContent("#error-count"), "0");
  }
  await page.fill("#manifest", "ftp://files/x.m3u8");
  await page.press("#manifest", "Enter");
  const isValid = () =>
    page.$eval("#manifest", (box) => (box as unknown as { validity: { valid: boolean } }).validity.valid);
  assert.equal(await isValid(), false, "no other schemes");
  await page.fill("#manifest", "/media/master.m3u8");
  await page.press("#manifest", "Enter");
  await inState(page, "playing");
  assert.equal(await page.textContent("#error-count"), "0", "a new address begins anew");
});

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import test from "node:test";
import { chromium } from "playwright-core";
import { chromiumPath } from "../support/browser.ts";
import { film, MiB, makeScene, sha256, sourceBytes } from "./upload.fixture.ts";
import { keyOf } from "./upload-node.ts";

const DEADLINE_MS = 20_000;

test("a film that is chosen on the page is sent, paused, sent on, and followed until it plays", async (t) => {
  assert.ok(chromiumPath, "Chromium is needed");
  const scene = await makeScene(t);
  const node = await scene.node();
  const bytes = await film(scene.dataDir, 40 * MiB);
  const file = path.join(scene.dataDir, "My film.mp4");
  await writeFile(file, bytes);
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
  t.after(() => browser.close());
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  // Slow enough that there is a middle.
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 16 * MiB };
  await network.send("Network.emulateNetworkConditions", slow);
  await page.goto(`${node.url}/upload`);
  await page.fill("#key", keyOf(scene.tenant));
  await page.setInputFiles("#file", file);
  await page.click("#start");
  await page.locator("#sent", { hasText: /^[2-7]\d\.\d %/ }).waitFor({ timeout: DEADLINE_MS });
  if (process.env.UPLOAD_PAGE_PICTURES)
    await page.screenshot({ path: `${process.env.UPLOAD_PAGE_PICTURES}/sending.png` });
  await page.click("#pause");
  await page.waitForSelector("body[data-state=paused]", { timeout: DEADLINE_MS });
  await page.click("#pause");
  await page.waitForSelector("body[data-state=playing]", { timeout: DEADLINE_MS });
  if (process.env.UPLOAD_PAGE_PICTURES)
    await page.screenshot({ path: `${process.env.UPLOAD_PAGE_PICTURES}/playing.png` });
  const [attached] = node.attached;
  assert.equal(attached?.filename, "My film.mp4");
  assert.equal(node.attached.length, 1);
  assert.equal(await page.getAttribute("#watch", "href"), `/watch/${attached?.sourceId}`);
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, attached?.sourceId ?? "")), sha256(bytes));
  assert.deepEqual(complaints, []);

  // What shall not be published is ready, and no page is named that could not play it.
  await page.uncheck("#publish");
  await page.click("#start");
  await page.waitForSelector("body[data-state=ready]", { timeout: DEADLINE_MS });
  assert.equal(await page.isVisible("#watch"), false);

  // What is no film is told of, and the key is still there after a reload.
  await page.reload();
  assert.equal(await page.inputValue("#key"), keyOf(scene.tenant));
  const text = path.join(scene.dataDir, "notes.mp4");
  await writeFile(text, "%PDF-1.7 no film");
  await page.setInputFiles("#file", text);
  await page.click("#start");
  await page.waitForSelector("body[data-state=failed]", { timeout: DEADLINE_MS });
  assert.match((await page.textContent("#status")) ?? "", /it is a PDF document/);
});

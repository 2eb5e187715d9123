/** Titles in a real browser: complete ones, and one that is completed while it is watched. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Page } from "playwright-core";
import { answerOptions, OPEN_TO_ALL } from "../../../lib/http/cors.ts";
import type { RawExchange } from "../../../lib/http/exchange.ts";
import { chromiumPath, play, viewingOf } from "../../../test/support/browser.ts";
import { until } from "../../../test/support/platform.ts";
import { DURATION_SECONDS, makeTitle, startTitlePackager, type TitlePackager } from "./titles.fixture.ts";

const missing = chromiumPath ? undefined : "skipped: needs Chromium";

before(() => (missing ? undefined : makeTitle({ put: async () => ({}) } as never)), { timeout: 60_000 });

/** Keys and licences as the gateway gives them, here to everybody. */
const front = (of: () => { packager: TitlePackager; title: { contentId: string; tenantId: string } }) => {
  return (exchange: RawExchange): boolean => {
    const [, asked] = /\/(key\.1\.bin|clearkey)$/.exec(exchange.path) ?? [];
    if (asked === undefined) return false;
    const { packager, title } = of();
    const { key, keyId } = packager.keys.now(title).key;
    if (exchange.method === "OPTIONS") answerOptions(exchange, "GET, POST, OPTIONS");
    else if (asked !== "clearkey") exchange.send(200, `Content-Type: application/octet-stream\r\n${OPEN_TO_ALL}`, key);
    else {
      const keys = [{ kty: "oct", kid: keyId.toString("base64url"), k: key.toString("base64url") }];
      const licence = Buffer.from(JSON.stringify({ keys, type: "temporary" }));
      exchange.send(200, `Content-Type: application/json\r\n${OPEN_TO_ALL}`, licence);
    }
    return true;
  };
};

const videoEnded = (page: Page): Promise<boolean> =>
  page.$eval("video", (video) => (video as unknown as { ended: boolean }).ended);

const ended = (page: Page): Promise<true> =>
  until("the end", async () => ((await videoEnded(page)) ? true : undefined), 60_000);

for (const [kind, path] of [
  ["hls", "hls/ID/master.m3u8"],
  ["dash", "dash/ID/manifest.mpd"],
] as const) {
  test(`a title that is completed while it is watched plays to its end (${kind})`, { timeout: 120_000 }, async (t) => {
    if (missing) return t.skip(missing);
    const held: { packager?: TitlePackager } = {};
    const packager = await startTitlePackager(t, {
      front: front(() => ({ packager: held.packager ?? assert.fail("too soon"), title })),
    });
    held.packager = packager;
    const title = await makeTitle(packager.objects, { encryption: kind === "hls" ? "aes-128" : "none" });
    await title.grow(1);
    const { page, complaints } = await play(t, kind, `${packager.url}/${path.replace("ID", title.contentId)}`);
    assert.ok((await viewingOf(page)).currentTime < 4, "it begins at the beginning");
    const timeOf = async () => (await viewingOf(page)).currentTime;
    await until("some of it", async () => ((await timeOf()) > 2 ? true : undefined));
    await title.grow(2);
    await until("more of it", async () => ((await timeOf()) > 7 ? true : undefined));
    await title.grow(4);
    await until("most of it", async () => ((await timeOf()) > 13 ? true : undefined));
    await title.complete();
    await ended(page);
    const viewing = await viewingOf(page);
    assert.ok(Math.abs(viewing.currentTime - DURATION_SECONDS) < 0.3, `it ends at ${viewing.currentTime} s`);
    assert.deepEqual(viewing.errors, []);
    assert.deepEqual(complaints, []);
  });
}

/** DASH has `cenc` where HLS has AES-128. Where HLS has keys for whole segments or MPEG-TS no licence is asked for. */
const SHOWS = [
  ...(["aes-128", "cenc", "cbcs"] as const).flatMap((encryption) => [
    { encryption, kind: "dash", path: "dash/ID/manifest.mpd", hasLicence: true } as const,
    { encryption, kind: "shaka", path: "dash/ID/manifest.mpd", hasLicence: true } as const,
  ]),
  ...(["cenc", "cbcs"] as const).flatMap((encryption) => [
    { encryption, kind: "hls", path: "hls/ID/cmaf.m3u8", hasLicence: true } as const,
    { encryption, kind: "hls", path: "hls/ID/master.m3u8", hasLicence: true } as const,
    { encryption, kind: "shaka", path: "hls/ID/cmaf.m3u8", hasLicence: false } as const,
  ]),
  { encryption: "cbcs", kind: "hls", path: "hls/ID/master.m3u8", hasLicence: false },
  { encryption: "aes-128", kind: "hls", path: "hls/ID/cmaf.m3u8", hasLicence: false },
] as const;

for (const { encryption, kind, path, hasLicence } of SHOWS) {
  const [, name] = path.split("/ID/");
  const how = hasLicence ? "when it is told of licences" : "by the key itself";
  test(`${kind} plays ${name} under ${encryption} ${how}`, { timeout: 120_000 }, async (t) => {
    if (missing) return t.skip(missing);
    const held: { packager?: TitlePackager } = {};
    const packager = await startTitlePackager(t, {
      front: front(() => ({ packager: held.packager ?? assert.fail("too soon"), title })),
    });
    held.packager = packager;
    const title = await makeTitle(packager.objects, { encryption });
    await title.complete();
    const { url } = packager;
    const licence = hasLicence ? `${url}/dash/${title.contentId}/clearkey` : "";
    const { page } = await play(t, kind, `${url}/${path.replace("ID", title.contentId)}`, licence);
    await until("some of it", async () => ((await viewingOf(page)).currentTime > 2 ? true : undefined));
    assert.deepEqual((await viewingOf(page)).errors, []);
  });
}

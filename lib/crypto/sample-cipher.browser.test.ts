import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { licenceText, readLicenceRequest } from "../../domain/cenc/clear-key.ts";
import type { ProtectionScheme } from "../../domain/cenc/protection.ts";
import { chromiumPath, openPage } from "../../test/support/browser.ts";
import { mediaFile, openBytes } from "../../test/support/media-file.ts";
import { protectedFragments } from "../../test/support/protected.ts";
import { sampleKey } from "./sample-cipher.ts";

const skip = chromiumPath ? false : "needs Chromium";
const KEY = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const KEY_ID = Buffer.from("9eb4050de44b4802932e27d75083e266", "hex");
const IV = Buffer.alloc(16, 0x5a);

/** A player in twenty lines: Media Source and Clear Key (W3C MSE, EME), one SourceBuffer for each track. */
const pageOf = (types: readonly string[], scheme: ProtectionScheme): string => `<!doctype html>
<link rel="icon" href="data:,"><video id="v" muted width="320" height="180"></video><script>
const video = document.getElementById("v"), types = ${JSON.stringify(types)};
window.state = { errors: [], frames: 0 };
const fail = (error) => state.errors.push(String(error));
video.addEventListener("error", () => fail("video " + video.error.code + " " + video.error.message));
video.addEventListener("ended", () => {
  state.frames = video.getVideoPlaybackQuality().totalVideoFrames;
  state.ended = true;
});
const start = async () => {
  const capability = (kind) =>
    types.filter((t) => t.startsWith(kind)).map((contentType) => ({ contentType, encryptionScheme: "${scheme}" }));
  const access = await navigator.requestMediaKeySystemAccess("org.w3.clearkey", [{
    initDataTypes: ["cenc"], videoCapabilities: capability("video"), audioCapabilities: capability("audio") }]);
  await video.setMediaKeys(await access.createMediaKeys());
  video.addEventListener("encrypted", (event) => {
    const session = video.mediaKeys.createSession();
    session.addEventListener("message", ({ message }) => fetch("/licence", { method: "POST", body: message })
      .then((response) => response.arrayBuffer()).then((licence) => session.update(licence)).catch(fail));
    session.generateRequest(event.initDataType, event.initData).catch(fail);
  });
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
  const buffers = types.map((type) => source.addSourceBuffer(type));
  await Promise.all(buffers.map(async (buffer, index) => {
    buffer.appendBuffer(await (await fetch("/track/" + index)).arrayBuffer());
    await new Promise((done) => buffer.addEventListener("updateend", done, { once: true }));
  }));
  source.endOfStream();
  video.currentTime = 10;
  await video.play();
};
start().catch(fail);
</script>`;

interface Answers {
  readonly page: string;
  readonly tracks: readonly Buffer[];
}

const serve = async (t: { after(clean: () => void): void }, { page, tracks }: Answers): Promise<string> => {
  const server = createServer(async (request, response) => {
    if (request.url === "/") return response.setHeader("content-type", "text/html").end(page);
    if (request.url !== "/licence") return response.end(tracks[Number(request.url?.split("/").at(-1))]);
    const wanted = readLicenceRequest(JSON.parse(await text(request)));
    return response.end(wanted && licenceText(wanted, [{ keyId: KEY_ID, key: KEY }]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};

const PICTURE = "-f lavfi -i testsrc2=s=320x180:r=25,noise=alls=20:allf=t -f lavfi -i sine=r=48000 -t 2";
const INPUT = `${PICTURE} -pix_fmt yuv420p -c:v libx264 -bf 2 -g 25 -c:a aac -f mp4`;

for (const scheme of ["cenc", "cbcs"] as const) {
  test(`Chromium plays ${scheme} with a Clear Key licence, every frame of it`, { skip }, async (t) => {
    const file = await mediaFile(INPUT);
    const { video, audio } = await openBytes(file);
    const tracks = [...video, ...audio];
    const secret = { protection: { scheme, keyId: KEY_ID, constantIv: IV }, key: sampleKey(KEY, IV) };
    const types = tracks.map(({ codec }) => `${codec.kind}/mp4; codecs="${codec.codecs}"`);
    const url = await serve(t, {
      page: pageOf(types, scheme),
      tracks: tracks.map((track) => protectedFragments(file, { tracks: [track], pieces: 2, ...secret })),
    });
    const { page, complaints } = await openPage(t, url);
    await page
      .waitForFunction("window.state.ended || window.state.errors.length > 0", undefined, { timeout: 30_000 })
      .catch(() => {});
    const state = await page.evaluate("window.state");
    assert.deepEqual({ state, complaints }, { state: { errors: [], frames: 50, ended: true }, complaints: [] });
  });
}

/** A viewer with hls.js who tells each stall by its length, and goes on by himself when hls.js gives up. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { until } from "../support/platform.ts";

const SCRIPT = path.resolve(import.meta.dirname, "../../node_modules/hls.js/dist/hls.min.js");

/** `bufferSeconds`: what is kept ahead; hls.js' own choice where absent. */
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<video muted autoplay playsinline width="640" height="360"></video><script src="/player.js"></script><script>
const video = document.querySelector("video"), asked = new URLSearchParams(location.search);
const LOOK_MS = 100, AGAIN_MS = 500;
window.watch = { stalledMs: 0, frames: 0, fatals: [], errors: [] };
const frame = () => { watch.frames++; video.requestVideoFrameCallback(frame); };
video.requestVideoFrameCallback(frame);
video.addEventListener("error", () => watch.fatals.push("video " + video.error?.code));
let lastAt = 0, lastLook = performance.now();
setInterval(() => {
  const now = performance.now(), at = video.currentTime;
  const isStill = at === lastAt && watch.frames > 0 && !video.seeking && !video.ended && !video.paused;
  if (isStill) watch.stalledMs += now - lastLook;
  [lastAt, lastLook] = [at, now];
}, LOOK_MS);
watch.aheadMs = () => {
  const { buffered, currentTime } = video;
  for (let n = 0; n < buffered.length; n++) {
    if (buffered.start(n) <= currentTime + 0.1 && buffered.end(n) > currentTime) {
      return (buffered.end(n) - currentTime) * 1000;
    }
  }
  return 0;
};
const length = Number(asked.get("bufferSeconds"));
// hls.js doubles its pauses up to 8 s: a stall would tell of them, not of the edge.
const often = { maxNumRetry: 60, retryDelayMs: 500, maxRetryDelayMs: 1000, backoff: "linear" };
for (const policy of ["fragLoadPolicy", "playlistLoadPolicy"]) Hls.DefaultConfig[policy].default.errorRetry = often;
const hls = new Hls(length ? { maxBufferLength: length, maxMaxBufferLength: length } : {});
hls.on(Hls.Events.ERROR, (_, { type, details, fatal, response, frag }) => {
  const told = [details, response?.code ?? "", frag?.sn ?? ""].join(" ").trim();
  if (!fatal) return void watch.errors.push(told);
  watch.fatals.push(told);
  if (type === Hls.ErrorTypes.NETWORK_ERROR && hls.levels.length > 0) setTimeout(() => hls.startLoad(), AGAIN_MS);
});
hls.loadSource(asked.get("url"));
hls.attachMedia(video);
</script>`;

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

/** What has been seen so far; of lengths of time, all are the film's and the wall's at once: the rate is 1. */
export interface Seen {
  readonly currentTime: number;
  readonly aheadMs: number;
  /** How long the picture stood still, seeks left out. */
  readonly stalledMs: number;
  readonly frames: number;
  /** What hls.js gave up on, and what the browser could not decode. */
  readonly fatals: readonly string[];
  /** What hls.js tried again by itself. */
  readonly errors: readonly string[];
}

const serve = async (t: Cleaner): Promise<string> => {
  const script = readFileSync(SCRIPT);
  const server = createServer(({ url }, response) => {
    const isScript = url === "/player.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
    response.end(isScript ? script : PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};

export class EdgeViewer {
  readonly page: Page;
  /** Addresses of the media that were asked for. */
  readonly asked: string[] = [];
  /** Protocols by which answers came, as the browser names them. */
  readonly protocols = new Set<string>();

  private constructor(page: Page) {
    this.page = page;
  }

  /** Resolves when pictures are shown, or at once with `waits: false`. Certificates are not looked at. */
  static async open(
    t: Cleaner,
    browser: Browser,
    { url, bufferSeconds = 0, waits = true }: { url: string; bufferSeconds?: number; waits?: boolean },
  ): Promise<EdgeViewer> {
    const base = await serve(t);
    const page = await browser.newPage({ viewport: { width: 700, height: 420 }, ignoreHTTPSErrors: true });
    const viewer = new EdgeViewer(page);
    const isMedia = (address: string) => !address.startsWith(base) && /^https?:/.test(address);
    page.on("request", (request) => isMedia(request.url()) && viewer.asked.push(request.url()));
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Network.enable");
    devtools.on("Network.responseReceived", ({ response }) => {
      if (isMedia(response.url)) viewer.protocols.add(response.protocol ?? "");
    });
    await page.goto(`${base}?url=${encodeURIComponent(url)}&bufferSeconds=${bufferSeconds}`, { waitUntil: "load" });
    if (waits) await viewer.until("the first pictures", ({ frames }) => frames > 10);
    return viewer;
  }

  seen(): Promise<Seen> {
    return this.page.evaluate<Seen>(
      "({ ...watch, aheadMs: watch.aheadMs(), currentTime: document.querySelector('video').currentTime })",
    );
  }

  /** Looks until it has seen that; rejects after half a minute with what it saw last. */
  async until(what: string, isSo: (seen: Seen) => boolean): Promise<Seen> {
    let last: Seen | undefined;
    const found = until(what, async () => {
      last = await this.seen();
      return isSo(last) ? last : undefined;
    });
    return found.catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(last)}`);
    });
  }

  /** Resolves when it has played on for so many seconds of the media, from now. */
  async plays(seconds: number): Promise<Seen> {
    const { currentTime } = await this.seen();
    return this.until(`${seconds} s to be played`, (seen) => seen.currentTime >= currentTime + seconds);
  }

  /** Resolves when it plays at the new place. */
  async seek(seconds: number): Promise<Seen> {
    await this.page.evaluate(`document.querySelector("video").currentTime = ${seconds}`);
    return this.until(`to play at ${seconds} s`, (seen) => seen.currentTime > seconds + 0.5);
  }
}

/** Plays a stream in headless Chromium and reports what a viewer would have noticed. */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const MODULES = path.resolve(import.meta.dirname, "../../node_modules");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
export const chromiumPath = CHROMIUM;

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const PLAYERS = {
  hls: {
    script: "hls.js/dist/hls.min.js",
    start: `const open = (options) => { const h = new Hls(options); h.loadSource(url); h.attachMedia(video); };
if (licence) import("/hls-licences.js").then(({ clearKeyOptions }) => open(clearKeyOptions(Hls)));
else open({});`,
  },
  dash: {
    script: "dashjs/dist/modern/umd/dash.all.min.js",
    start: `const p = dashjs.MediaPlayer().create();
if (licence) p.setProtectionData({ "org.w3.clearkey": { serverURL: licence } });
p.initialize(video, url, true);`,
  },
  shaka: {
    script: "shaka-player/dist/shaka-player.compiled.js",
    start: `const p = new shaka.Player(), tell = (error) => watch.errors.push("shaka " + error.code);
p.addEventListener("error", (event) => tell(event.detail));
if (licence) p.configure({ drm: { servers: { "org.w3.clearkey": licence } } });
p.attach(video).then(() => p.load(url)).catch(tell);`,
  },
} as const;
export type PlayerKind = keyof typeof PLAYERS;

const pageOf = (kind: PlayerKind): string => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<video id="v" muted autoplay playsinline width="640" height="360"></video><script src="/player.js"></script><script>
const asked = new URLSearchParams(location.search), url = asked.get("url"), licence = asked.get("licence");
const video = document.getElementById("v");
window.watch = { waits: 0, frames: 0, longestGapMs: 0, errors: [], startedAt: 0, last: 0 };
video.addEventListener("waiting", () => { if (watch.startedAt) watch.waits++; });
video.addEventListener("error", () => watch.errors.push("video " + video.error?.code));
const frame = (now) => {
  if (!watch.startedAt) watch.startedAt = now;
  else watch.longestGapMs = Math.max(watch.longestGapMs, now - watch.last);
  watch.last = now; watch.frames++;
  video.requestVideoFrameCallback(frame);
};
video.requestVideoFrameCallback(frame);
${PLAYERS[kind].start}
</script>`;

/** Serves the test page and the player's script from node_modules. */
const servePage = async (t: Cleaner, kind: PlayerKind): Promise<string> => {
  const scripts: Readonly<Record<string, Buffer>> = {
    "/player.js": readFileSync(path.join(MODULES, PLAYERS[kind].script)),
    "/hls-licences.js": readFileSync(path.join(MODULES, "../web/players/hls-licences.js")),
  };
  const server = createServer((request, response) => {
    const script = scripts[request.url ?? ""];
    response.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" });
    response.end(script ?? pageOf(kind));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};

export interface Watched {
  readonly page: Page;
  /** console.error lines and page errors so far. */
  readonly complaints: string[];
}

/** A browser of the test's own, without what would talk to others. */
export const launchChromium = async (t: Cleaner): Promise<Browser> => {
  const browser = await chromium.launch({
    executablePath: CHROMIUM ?? "",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  t.after(() => browser.close());
  return browser;
};

export const openPage = async (t: Cleaner, url: string): Promise<Watched> => {
  const browser = await launchChromium(t);
  const page = await browser.newPage({ viewport: { width: 960, height: 640 } });
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url, { waitUntil: "load" });
  return { page, complaints };
};

export interface Viewing {
  readonly currentTime: number;
  readonly waits: number;
  readonly frames: number;
  readonly longestGapMs: number;
  readonly errors: readonly string[];
}

/** What the viewer has seen so far; `longestGapMs` is the longest time between two shown frames. */
export const viewingOf = (page: Page): Promise<Viewing> =>
  page.evaluate(() => {
    const scope = globalThis as unknown as {
      watch: { waits: number; frames: number; longestGapMs: number; errors: string[]; last: number };
      document: { querySelector(q: string): { currentTime: number } };
    };
    const { waits, frames, longestGapMs, errors, last } = scope.watch;
    const sinceLast = last ? performance.now() - last : 0;
    const { currentTime } = scope.document.querySelector("video");
    return { currentTime, waits, frames, errors, longestGapMs: Math.max(longestGapMs, sinceLast) };
  });

/** Opens a player on a URL and waits for the first frames. `licence`: where it asks for Clear Key licences. */
export const play = async (t: Cleaner, kind: PlayerKind, url: string, licence = ""): Promise<Watched> => {
  const base = await servePage(t, kind);
  const watched = await openPage(t, `${base}?${new URLSearchParams({ url, licence })}`);
  await watched.page
    .waitForFunction("window.watch.frames > 10", undefined, { timeout: 60_000 })
    .catch(async (error: Error) => {
      const viewing = JSON.stringify(await viewingOf(watched.page));
      throw new Error(`${error.message} ${viewing} ${watched.complaints.join(" | ")}`);
    });
  return watched;
};

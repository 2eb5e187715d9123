/** Opens a player in Chromium on an origin of its own, and drives `page.js`. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const here = (name: string): string => join(import.meta.dirname, name);
const vendor = (name: string): string => fileURLToPath(new URL(`../../../node_modules/${name}`, import.meta.url));

const SCRIPTS = {
  hls: vendor("hls.js/dist/hls.min.js"),
  dash: vendor("dashjs/dist/modern/umd/dash.all.min.js"),
  shaka: vendor("shaka-player/dist/shaka-player.compiled.js"),
} as const;
export type PlayerKind = keyof typeof SCRIPTS;

const FILES: Readonly<Record<string, string>> = {
  "page.html": here("page.html"),
  "page.js": here("page.js"),
  "adapters.js": here("adapters.js"),
};

/** Serves the page below a folder for each player; gives its base URL. */
export const servePlayers = async (t: Cleaner): Promise<string> => {
  const server = createServer(async (request, response) => {
    const [, kind = "", name = ""] = (request.url ?? "").split("/");
    const file = name === "player.js" ? SCRIPTS[kind as PlayerKind] : FILES[name];
    const type = name.endsWith(".js") ? "text/javascript" : "text/html";
    response.writeHead(file ? 200 : 404, { "content-type": type }).end(file && (await readFile(file)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};

/** A picture that was shown. */
export interface Picture {
  /** The player's time, in seconds. */
  readonly at: number;
  /** Null: it can't be read. */
  readonly counter: number | null;
}

/** One among others, with what sounded. */
export interface Frame extends Picture {
  /** When it is due by the player's time, in seconds. */
  readonly mediaTime: number;
  readonly height: number;
  readonly pitch: number | null;
}

export interface Heard {
  readonly at: number;
  readonly pitch: number | null;
}

export interface State {
  readonly errors: readonly string[];
  readonly waits: readonly unknown[];
  readonly duration: number;
  readonly currentTime: number;
}

const LOOKS_MAX = 10;

export interface Written {
  readonly shown: readonly { readonly text: string; readonly startTime: number }[];
  readonly at: number;
}

/** `window.watch` of the page; each call rejects after its deadline. */
export class Viewer {
  readonly #page: Page;
  /** Lines of console.error, errors of the page, requests that failed. */
  readonly complaints: string[] = [];
  /** Addresses that were asked for, without those of the page. */
  readonly asked: string[] = [];

  constructor(page: Page, pageUrl: string) {
    this.#page = page;
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(error.message));
    page.on("request", (request) => {
      if (!/^(?:blob|data):/.test(request.url()) && !request.url().startsWith(pageUrl)) this.asked.push(request.url());
    });
  }

  #call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    const words = args.map((arg) => JSON.stringify(arg)).join(", ");
    return this.#page.evaluate<T>(`window.watch.${method}(${words})`);
  }

  readonly open = (kind: PlayerKind, url: string, { picture = true } = {}) =>
    this.#call<void>("open", kind, url, picture);
  readonly state = () => this.#call<State>("state");
  readonly levels = () => this.#call<readonly number[]>("levels");
  readonly languages = () => this.#call<readonly string[]>("languages");
  readonly texts = () => this.#call<readonly string[]>("texts");
  readonly play = (seconds: number) => this.#call<readonly Frame[]>("play", seconds);
  readonly listen = (count: number) => this.#call<readonly Heard[]>("listen", count);
  readonly seek = (seconds: number) => this.#call<Picture>("seek", seconds);
  readonly switchTo = (height: number) => this.#call<Frame>("switchTo", height);
  readonly wind = (rate: number) => this.#call<void>("wind", rate);
  readonly speak = (code: string, band: readonly [number, number]) => this.#call<void>("speak", code, band);
  readonly read = (code: string, word: string) => this.#call<Written>("read", code, word);
  readonly written = (word: string) => this.#call<Written>("written", word);
  /**
   * The picture on the screen, of media that no script can read, such as encrypted ones; it stands still meanwhile. The
   * screen may be behind: it is looked at until it shows what is due, a few times at most.
   */
  async look(isDue: (picture: Picture) => boolean): Promise<Picture> {
    const at = await this.#call<number>("hold");
    for (let look = 1; ; look += 1) {
      const image = await this.#page.locator("video").screenshot();
      const picture = { at, counter: await this.#call<number | null>("readImage", image.toString("base64")) };
      if (look < LOOKS_MAX && !isDue(picture)) continue;
      await this.#call("goOn");
      return picture;
    }
  }
  readonly end = () => this.#call<Picture>("end");

  async close(): Promise<void> {
    await this.#call("close");
    await this.#page.close();
  }
}

/** A new page of a player. */
export const openViewer = async (browser: Browser, players: string, kind: PlayerKind): Promise<Viewer> => {
  const page = await browser.newPage({ viewport: { width: 700, height: 500 } });
  const viewer = new Viewer(page, players);
  await page.goto(`${players}${kind}/page.html`, { waitUntil: "load" });
  return viewer;
};

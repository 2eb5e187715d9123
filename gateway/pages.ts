/** The gateway's own pages: a landing page, the watch page of a channel, the API reference. All work offline. */

import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { StreamId, TenantSlug } from "../contracts/ids.ts";
import { Contents } from "../lib/http/contents.ts";
import type { Exchange } from "./exchange.ts";
import { openApiDocument } from "./openapi.ts";
import { writeContent } from "./static-files.ts";

const web = (name: string): string => fileURLToPath(new URL(`../web/${name}`, import.meta.url));
const vendor = (name: string): string => fileURLToPath(import.meta.resolve(name));

const ASSETS = "/assets/";
const DOCS = "/api/docs";
const WATCH_TITLE = "/watch/:titleId";
const TITLE_PATH = /^\/watch\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UPLOAD = "/upload";
const OPENAPI = "/api/v1/openapi.json";

const FILES: Readonly<Record<string, string>> = {
  [`${ASSETS}favicon.svg`]: web("favicon.svg"),
  [`${ASSETS}base.css`]: web("base.css"),
  [`${ASSETS}landing.css`]: web("landing/landing.css"),
  [`${ASSETS}upload.css`]: web("upload/upload.css"),
  [`${ASSETS}upload.js`]: web("upload/upload.js"),
  [`${ASSETS}tus.js`]: web("upload/tus.js"),
  [`${ASSETS}watch.css`]: web("watch/watch.css"),
  [`${ASSETS}watch.js`]: web("watch/watch.js"),
  [`${ASSETS}watch-title.css`]: web("watch-title/watch-title.css"),
  [`${ASSETS}watch-title.js`]: web("watch-title/watch-title.js"),
  [`${ASSETS}hls-licences.js`]: web("players/hls-licences.js"),
  [`${ASSETS}hls.min.mjs`]: vendor("hls.js/dist/hls.min.mjs"), // the full build: our playlists have alternate audio
  [`${ASSETS}hls.worker.js`]: vendor("hls.js/dist/hls.worker.js"),
  [`${DOCS}/docs.css`]: web("docs/docs.css"),
  [`${DOCS}/docs.js`]: web("docs/docs.js"),
  [`${DOCS}/swagger-ui.css`]: vendor("swagger-ui-dist/swagger-ui.css"),
  [`${DOCS}/swagger-ui-bundle.js`]: vendor("swagger-ui-dist/swagger-ui-bundle.js"),
};

const BASE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
const UPLOAD_POLICY = `${BASE_POLICY}; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'`;
const LANDING_POLICY = `${BASE_POLICY}; style-src 'self'; img-src 'self'`;
// Swagger UI draws its icons from data: URLs.
const DOCS_POLICY = `${BASE_POLICY}; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'`;
const watchPolicy = (edge: string): string =>
  `${BASE_POLICY}; script-src 'self'; style-src 'self'; img-src 'self'; worker-src 'self'; ` +
  `connect-src 'self' ${edge}; media-src blob: ${edge}`;

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const fill = (template: string, values: Readonly<Record<string, string>>): string =>
  template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => escapeHtml(values[name] ?? ""));

/** `demo_channel.stream` → `Demo Channel`; the page knows no key, and so no name. */
const titleOf = (streamId: string): string =>
  streamId
    .replace(/\.stream$/, "")
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(" ");

export interface PagesConfig {
  /** Base URL of the edge as viewers reach it, without a trailing slash. */
  readonly edgePublicUrl: string;
  /** Whether there is a demo channel to watch. */
  readonly demoIsOn: () => Promise<boolean>;
}

export class Pages {
  readonly #config: PagesConfig;
  readonly #contents = new Contents(FILES);
  readonly #landing = readFileSync(web("landing/landing.html"), "utf8");
  readonly #watch = readFileSync(web("watch/watch.html"), "utf8");
  readonly #upload = readFileSync(web("upload/upload.html"), "utf8");
  readonly #watchTitle = readFileSync(web("watch-title/watch-title.html"), "utf8");
  readonly #docs = readFileSync(web("docs/docs.html"), "utf8");

  constructor(config: PagesConfig) {
    this.#config = config;
  }

  /** True when the path is one of ours (whatever the method). Sets the exchange's route. */
  has(exchange: Exchange): boolean {
    const route = this.#routeOf(exchange.path);
    if (route) exchange.route = route;
    return route !== undefined;
  }

  /** Answers a GET or HEAD at a path that `has` took. */
  async write({ path, request, response, route }: Exchange): Promise<void> {
    if (route === ASSETS || (route === DOCS && path !== DOCS)) {
      const content = await this.#contents.find(path)!; // `has` has looked
      return writeContent(request, response, { content, headers: {} });
    }
    if (route === OPENAPI) return this.#text(request, response, { name: "openapi.json", make: openApiText });
    if (route === DOCS) {
      return this.#text(request, response, { name: "docs.html", make: () => this.#docs, policy: DOCS_POLICY });
    }
    if (route === UPLOAD) {
      return this.#text(request, response, { name: "upload.html", make: () => this.#upload, policy: UPLOAD_POLICY });
    }
    if (route === "/") {
      const demo = (await this.#config.demoIsOn()) ? "on" : "off";
      const make = () => fill(this.#landing, { demo });
      return this.#text(request, response, { name: `${demo}.html`, make, policy: LANDING_POLICY });
    }
    if (route === WATCH_TITLE) return this.#writeWatchTitle(path, response);
    return this.#writeWatch(path, response);
  }

  #routeOf(path: string): string | undefined {
    if (path === "/" || path === OPENAPI || path === DOCS || path === UPLOAD) return path;
    if (path.startsWith(ASSETS)) return this.#contents.find(path) && ASSETS;
    if (path.startsWith(`${DOCS}/`)) return this.#contents.find(path) && DOCS;
    if (TITLE_PATH.test(path)) return WATCH_TITLE;
    const [, watch, tenant, streamId, ...rest] = path.split("/");
    const fits = TenantSlug.safeParse(tenant).success && StreamId.safeParse(streamId).success;
    return watch === "watch" && fits && rest.length === 0 ? "/watch/:tenant/:streamId" : undefined;
  }

  #writeWatch(path: string, response: ServerResponse): void {
    const [, , tenant = "", streamId = ""] = path.split("/");
    const base = `${this.#config.edgePublicUrl}/live/${tenant}/${streamId}`;
    const html = fill(this.#watch, {
      title: titleOf(streamId),
      tenant,
      hls: `${base}/master.m3u8`,
      dash: `${base}/manifest.mpd`,
    });
    writePage(response, html, watchPolicy(new URL(base).origin));
  }

  #writeWatchTitle(path: string, response: ServerResponse): void {
    const { edgePublicUrl: edge } = this.#config;
    const titleId = path.slice(path.lastIndexOf("/") + 1);
    // An address of a session that was begun elsewhere may name any host.
    writePage(response, fill(this.#watchTitle, { titleId, edge }), watchPolicy("http: https:"));
  }

  async #text(
    request: IncomingMessage,
    response: ServerResponse,
    { name, make, policy }: { name: string; make: () => string; policy?: string },
  ): Promise<void> {
    const content = await this.#contents.text(name, make);
    writeContent(request, response, { content, headers: policy ? { "Content-Security-Policy": policy } : {} });
  }
}

const writePage = (response: ServerResponse, html: string, policy: string): void => {
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": Buffer.byteLength(html),
    "Cache-Control": "no-cache",
    "Content-Security-Policy": policy,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(html);
};

const openApiText = (): string => JSON.stringify(openApiDocument());

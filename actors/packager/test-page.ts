/** `/testing/test_player.html` and what it loads: a page with a manifest box that plays HLS and DASH. Works offline. */
import { fileURLToPath } from "node:url";
import { type Content, Contents } from "../../lib/http/contents.ts";
import type { HeaderLines, RawExchange } from "../../lib/http/exchange.ts";

const FOLDER = "/testing/";
const web = (name: string): string => fileURLToPath(new URL(`../../web/${name}`, import.meta.url));
const vendor = (name: string): string => fileURLToPath(import.meta.resolve(name));

const FILES: Readonly<Record<string, string>> = {
  [`${FOLDER}test_player.html`]: web("testing/test_player.html"),
  [`${FOLDER}test_player.css`]: web("testing/test_player.css"),
  [`${FOLDER}test_player.js`]: web("testing/test_player.js"),
  [`${FOLDER}players.js`]: web("testing/players.js"),
  [`${FOLDER}hls-licences.js`]: web("players/hls-licences.js"),
  [`${FOLDER}base.css`]: web("base.css"),
  [`${FOLDER}favicon.svg`]: web("favicon.svg"),
  [`${FOLDER}hls.min.mjs`]: vendor("hls.js/dist/hls.min.mjs"), // the full build: our playlists have alternate audio
  [`${FOLDER}hls.worker.js`]: vendor("hls.js/dist/hls.worker.js"),
  [`${FOLDER}dash.all.min.js`]: vendor("dashjs"),
};

// The page plays what it is told to, wherever that is.
const POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; script-src 'self'; " +
  "style-src 'self'; img-src 'self' data:; worker-src 'self' blob:; connect-src http: https: data:; " +
  "media-src blob: http: https:";

const linesOf = ({ type, etag }: Content, gzipped: boolean): HeaderLines =>
  [
    `Content-Type: ${type}`,
    `ETag: ${gzipped ? `${etag.slice(0, -1)}-gzip"` : etag}`,
    ...(gzipped ? ["Content-Encoding: gzip"] : []),
    "Cache-Control: no-cache", // kept, but asked for again: a new version shows at once
    "Vary: Accept-Encoding",
    "X-Content-Type-Options: nosniff",
    ...(type.startsWith("text/html") ? [`Content-Security-Policy: ${POLICY}`, "Referrer-Policy: no-referrer"] : []),
    "",
  ].join("\r\n");

const takesGzip = (accepted: string | undefined): boolean =>
  /(?:^|,)\s*gzip\s*(?:;\s*q=(?:1|0\.\d*[1-9]))?\s*(?:,|$)/.test(accepted ?? "");

const contents = new Contents(FILES);

/** Whether a path is the page's or of something that it loads. */
export const isTestPage = (path: string): boolean => Object.hasOwn(FILES, path);

/** Answers GET and HEAD at a path that `isTestPage` took, from memory. */
export const answerTestPage = async (exchange: RawExchange): Promise<void> => {
  const content = await contents.find(exchange.path);
  if (!content) return exchange.problem({ code: "NOT_FOUND" });
  const gzipped = takesGzip(exchange.header("accept-encoding")) ? content.gzipped : undefined;
  exchange.send(200, linesOf(content, gzipped !== undefined), gzipped ?? content.plain);
};

/** Header fields that let players on other hosts read media, and the answer to their preflights (Fetch §3.2). */
import type { HeaderLines, RawExchange } from "./exchange.ts";

const EXPOSED = [
  ...["Accept-Ranges", "Age", "Cache-Status", "Content-Length", "Content-Range", "Date", "ETag", "Last-Modified"],
  ...["Retry-After", "X-Request-Id"],
].join(", ");
/** What players send: ranges, conditions, tokens, and CMCD in header fields (CTA-5004 §3.1). */
const TAKEN = [
  ...["Accept", "Authorization", "Cache-Control", "CMCD-Object", "CMCD-Request", "CMCD-Session", "CMCD-Status"],
  ...["Content-Type", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Range", "X-Request-Id"],
].join(", ");
const PREFLIGHT_SECONDS = 86_400;

/** On every answer with media, refusals too: a player that can't read a 404 can't tell it from a dead network. */
export const OPEN_TO_ALL: HeaderLines = [
  "Access-Control-Allow-Origin: *",
  `Access-Control-Expose-Headers: ${EXPOSED}`,
  "Cross-Origin-Resource-Policy: cross-origin",
  "Timing-Allow-Origin: *",
  "X-Content-Type-Options: nosniff",
  "",
].join("\r\n");

const EMPTY = Buffer.alloc(0);

/** Of the answer to OPTIONS, a preflight or not: what the address takes. `methods`: `GET, HEAD, OPTIONS`. */
export const optionsLines = (methods: string): HeaderLines => {
  const lines = [
    `Allow: ${methods}`,
    `Access-Control-Allow-Methods: ${methods}`,
    `Access-Control-Allow-Headers: ${TAKEN}`,
    `Access-Control-Max-Age: ${PREFLIGHT_SECONDS}`,
    "",
  ];
  return OPEN_TO_ALL + lines.join("\r\n");
};

/** Answers OPTIONS with 204. */
export const answerOptions = (exchange: RawExchange, methods: string): void =>
  exchange.send(204, optionsLines(methods), EMPTY);

/** Answers a method that the address does not take (RFC 9110 §15.5.6). */
export const refuseMethod = (exchange: RawExchange, methods: string): void =>
  exchange.problem(
    { code: "METHOD_NOT_ALLOWED", data: { method: exchange.method } },
    `${OPEN_TO_ALL}Allow: ${methods}\r\n`,
  );

/** One answer of the live listener: conditions, ranges and headers of RFC 9110 for a body that is known whole. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorCode } from "../../contracts/errors.ts";
import { writeProblem } from "../../lib/http/problem.ts";
import { type ByteRange, parseRange } from "../../lib/http/range.ts";
import { counter } from "../../lib/metrics/metrics.ts";

/** A body in pieces, which are sent as they are: a segment is never copied together. */
export interface Content {
  readonly type: string;
  readonly pieces: readonly Buffer[];
  readonly byteLength: number;
  readonly cacheControl: string;
  /** Strong: the hash of the bytes. Two origins' segments have the same name, not the same bytes. */
  readonly etag: string;
}

const ALLOWED_METHODS = "GET, HEAD, OPTIONS";
const PREFLIGHT_SECONDS = "86400";
/** A viewer who takes nothing for so long is cut off: what it has asked for stays in memory until then. */
const STALLED_MS_MAX = 30_000;
/** Players live on other hosts, and measure what they load. */
const OPEN_TO_ALL = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "Accept-Ranges, Age, Content-Length, Content-Range, Date, ETag",
  "cross-origin-resource-policy": "cross-origin",
  "timing-allow-origin": "*",
  "x-content-type-options": "nosniff",
} as const;

export const contentOf = (type: string, pieces: readonly Buffer[], cacheControl: string): Content => {
  const hash = createHash("sha1");
  for (const piece of pieces) hash.update(piece);
  const byteLength = pieces.reduce((sum, { length }) => sum + length, 0);
  return { type, pieces, byteLength, cacheControl, etag: `"${hash.digest("base64url")}"` };
};

export const answerPreflight = (response: ServerResponse): void => {
  response.writeHead(204, {
    ...OPEN_TO_ALL,
    allow: ALLOWED_METHODS,
    "access-control-allow-methods": ALLOWED_METHODS,
    "access-control-allow-headers": "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Authorization",
    "access-control-max-age": PREFLIGHT_SECONDS,
  });
  response.end();
};

/** An error of the catalogue, for players on other hosts too. */
export const refuse = (
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  code: ErrorCode,
): undefined => {
  writeProblem(
    exchange,
    { code, data: { method: exchange.request.method, what: "The stream" } },
    {
      ...OPEN_TO_ALL,
      // A segment that is not there may come in a moment.
      ...(code === "NOT_FOUND" ? { "cache-control": "public, max-age=1" } : {}),
      ...(code === "METHOD_NOT_ALLOWED" ? { allow: ALLOWED_METHODS } : {}),
    },
  );
};

/** Weak comparison (RFC 9110 §13.1.2). */
const isNamedIn = (header: string, etag: string): boolean =>
  header.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);

/** §14.2: a range counts on GET only; §13.1.5: with If-Range only while the strong tag is the same. */
const rangeOf = ({ method, headers }: IncomingMessage, { etag, byteLength }: Content) => {
  const ifRange = headers["if-range"];
  if (method !== "GET" || headers.range === undefined) return undefined;
  if (ifRange !== undefined && ifRange !== etag) return undefined;
  return parseRange(headers.range, byteLength);
};

/** Views of the pieces that a range covers. */
export const slicesOf = (pieces: readonly Buffer[], { start, end }: ByteRange): Buffer[] => {
  const slices: Buffer[] = [];
  let at = 0;
  for (const piece of pieces) {
    const from = Math.max(0, start - at);
    const to = Math.min(piece.length, end + 1 - at);
    if (from < to) slices.push(piece.subarray(from, to));
    at += piece.length;
  }
  return slices;
};

const sentBytes = counter({
  name: "castellan_live_bytes_total",
  help: "Bytes of live playlists and media given to edges and viewers.",
  labels: ["type"],
});

export const answerContent = (request: IncomingMessage, response: ServerResponse, content: Content): undefined => {
  const { type, pieces, byteLength, cacheControl, etag } = content;
  const common = { ...OPEN_TO_ALL, etag, "cache-control": cacheControl };
  const known = request.headers["if-none-match"];
  if (known !== undefined && isNamedIn(known, etag)) {
    response.writeHead(304, common);
    response.end();
    return;
  }
  const range = rangeOf(request, content);
  if (range === "unsatisfiable") {
    response.writeHead(416, { ...OPEN_TO_ALL, "content-range": `bytes */${byteLength}`, "content-length": 0 });
    response.end();
    return;
  }
  response.setTimeout(STALLED_MS_MAX, () => response.destroy());
  response.writeHead(range ? 206 : 200, {
    ...common,
    "content-type": type,
    "content-length": range ? range.end - range.start + 1 : byteLength,
    "accept-ranges": "bytes",
    ...(range ? { "content-range": `bytes ${range.start}-${range.end}/${byteLength}` } : {}),
  });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  sentBytes.inc({ type }, range ? range.end - range.start + 1 : byteLength);
  response.cork();
  for (const slice of range ? slicesOf(pieces, range) : pieces) response.write(slice);
  response.end();
};

export const answerText = (request: IncomingMessage, response: ServerResponse, text: string): undefined => {
  response.writeHead(200, {
    ...OPEN_TO_ALL,
    "content-type": "text/plain",
    "cache-control": "no-store",
    "content-length": Buffer.byteLength(text),
  });
  response.end(request.method === "HEAD" ? undefined : text);
};

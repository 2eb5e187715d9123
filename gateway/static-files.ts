/** Answers with contents of the fixed list: revalidated by ETag, compressed where the client takes it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Content } from "../lib/http/contents.ts";

const takesGzip = (request: IncomingMessage): boolean =>
  /(?:^|,)\s*gzip\s*(?:;\s*q=(?:1|0\.\d*[1-9]))?\s*(?:,|$)/.test(String(request.headers["accept-encoding"] ?? ""));

const isFresh = (request: IncomingMessage, etag: string): boolean =>
  (request.headers["if-none-match"] ?? "").split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);

/** Answers one request with one content. `headers` may override what is set here. */
export const writeContent = (
  request: IncomingMessage,
  response: ServerResponse,
  { content, headers }: { content: Content; headers: Readonly<Record<string, string>> },
): void => {
  const common = {
    ETag: content.etag,
    "Cache-Control": "no-cache", // kept, but asked for again: a new version shows at once
    Vary: "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    ...headers,
  };
  if (isFresh(request, content.etag)) {
    response.writeHead(304, common).end();
    return;
  }
  const zipped = takesGzip(request) ? content.gzipped : undefined;
  const bytes = zipped ?? content.plain;
  response.writeHead(200, {
    ...common,
    "Content-Type": content.type,
    "Content-Length": bytes.length,
    ...(zipped ? { "Content-Encoding": "gzip" } : {}),
  });
  response.end(bytes);
};

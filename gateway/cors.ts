/**
 * Cross-origin access to the API. Any page may call it: the only credential is the bearer key that the page itself must
 * bring, never a cookie, so `Access-Control-Allow-Credentials` is not sent and no origin has to be compared.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

const EXPOSED = "ETag, Location, Retry-After, X-Request-Id, Idempotency-Replayed";
const TAKEN = "Authorization, Content-Type, Idempotency-Key, If-Match, X-Request-Id";
const PREFLIGHT_SECONDS = 600;

/** On every answer of the API, errors too: a page must be able to read why it failed. */
export const setCors = (request: IncomingMessage, response: ServerResponse): void => {
  if (request.headers.origin === undefined) return;
  response.setHeader("Access-Control-Allow-Origin", "*");
  response.setHeader("Access-Control-Expose-Headers", EXPOSED);
};

/** Answers OPTIONS, preflight or not; `methods` are those of the path. */
export const answerOptions = (request: IncomingMessage, response: ServerResponse, methods: readonly string[]): void => {
  const headers: Record<string, string | number> = { Allow: methods.join(", ") };
  if (request.headers["access-control-request-method"] !== undefined) {
    headers["Access-Control-Allow-Methods"] = methods.join(", ");
    headers["Access-Control-Allow-Headers"] = TAKEN;
    headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS;
  }
  response.writeHead(204, headers).end();
};

/** Answers without media: problem documents (RFC 9457), never kept for long. */
import { ERRORS, type ErrorCode, messageOf } from "../../contracts/errors.ts";
import type { Exchange } from "./answer.ts";
import { cacheStatusOf, OPEN_TO_ALL } from "./headers.ts";

export interface Problem {
  readonly status: number;
  readonly title: string;
  readonly code?: ErrorCode;
  readonly headers?: Readonly<Record<string, string | number>>;
}

/** How long anybody may remember that there is nothing here. */
const MISSING_MAX_AGE_S = 1;
const RETRY_AFTER_S = 1;

/** A problem of the catalogue. */
export const problemOf = (code: ErrorCode, data: Readonly<Record<string, unknown>> = {}): Problem => {
  const { status, retry } = ERRORS[code];
  const headers = status === 404 ? { "cache-control": `public, max-age=${MISSING_MAX_AGE_S}` } : undefined;
  const later = retry ? { "retry-after": RETRY_AFTER_S } : undefined;
  return { status, code, title: messageOf(code, data), headers: { ...headers, ...later } };
};

export const refuse = ({ request, response, via }: Exchange, { status, title, code, headers }: Problem): void => {
  const text = JSON.stringify({ type: "about:blank", status, title, ...(code ? { code } : {}) });
  response.writeHead(status, {
    ...OPEN_TO_ALL,
    "cache-control": "no-store",
    "cache-status": cacheStatusOf({}),
    via,
    ...headers,
    "content-type": "application/problem+json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(request.method === "HEAD" ? undefined : text);
};

/** Errors of the catalogue as every listener answers them: problem documents (RFC 9457). */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { ERRORS, type ErrorCode, type FaultData, messageOf } from "../../contracts/errors.ts";

export const PROBLEM_TYPE = "application/problem+json";
const RETRY_AFTER_SECONDS = 1; // most of it passes in less: an actor that moved, a full mailbox, a restart
const REQUEST_ID = /^[\w.:@-]{1,100}$/;

/** What a Fault has, without the Error: media paths refuse too often to pay for stacks. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly data?: FaultData;
}

/** Whether a client's id for its request can stand in logs as it is. */
export const isRequestId = (text: string): boolean => REQUEST_ID.test(text);

/** The request's id: a valid `X-Request-Id`, else a new one, which stands there from now on. */
export const requestIdOf = ({ headers }: IncomingMessage): string => {
  const given = headers["x-request-id"];
  if (typeof given === "string" && isRequestId(given)) return given;
  const made = randomUUID();
  headers["x-request-id"] = made;
  return made;
};

/** `CHANNEL_NOT_FOUND` → `Channel not found`. */
export const titleOf = (code: ErrorCode): string => code.charAt(0) + code.slice(1).toLowerCase().replaceAll("_", " ");

/** Headers that belong to a problem: by its code, and by its data where that knows when to come again. */
export const problemHeaders = (code: ErrorCode, data: FaultData = {}): Record<string, string> => {
  const { status, retry } = ERRORS[code];
  if (status === 401) return { "www-authenticate": 'Bearer realm="castellan"' };
  const { retryAfterSeconds } = data;
  const seconds = typeof retryAfterSeconds === "number" ? Math.ceil(retryAfterSeconds) : RETRY_AFTER_SECONDS;
  const again: Record<string, string> = retry ? { "retry-after": String(seconds) } : {};
  // RFC 9110 §15.5.9: what is left of the request would be taken for the next one.
  return status === 408 ? { ...again, connection: "close" } : again;
};

/** The document. Of the data only the lists `errors` and `failures` are shown: the sentence has the rest. */
export const problemOf = ({ code, data = {} }: Refusal, requestId: string): Record<string, unknown> => {
  const { errors, failures } = data;
  return {
    type: `urn:castellan:error:${code}`,
    title: titleOf(code),
    status: ERRORS[code].status,
    code,
    detail: messageOf(code, data),
    requestId,
    ...(Array.isArray(errors) ? { errors } : {}),
    ...(Array.isArray(failures) ? { failures } : {}),
  };
};

/** Answers with a problem unless something was written before. `headers` (lower-case) go over those of the problem. */
export const writeProblem = (
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  refusal: Refusal,
  headers: Readonly<Record<string, string | number>> = {},
): void => {
  if (response.headersSent || response.destroyed) return;
  const requestId = requestIdOf(request);
  const text = JSON.stringify(problemOf(refusal, requestId));
  response.writeHead(ERRORS[refusal.code].status, {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-request-id": requestId,
    ...problemHeaders(refusal.code, refusal.data),
    ...headers,
    "content-type": PROBLEM_TYPE,
    "content-length": Buffer.byteLength(text),
  });
  response.end(text); // Node leaves it out for HEAD
};

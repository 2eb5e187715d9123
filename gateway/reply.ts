/** Answers as values: what a route says, before it is written. */
import type { ServerResponse } from "node:http";
import { ERRORS, type ErrorCode, Fault, type FieldError, messageOf } from "../contracts/errors.ts";

export interface Reply {
  readonly status: number;
  readonly document: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

const RETRY_AFTER_SECONDS = 1; // most of it passes in less: an actor that moved, a full mailbox, a restart
const PROBLEM_TYPE = "urn:castellan:error:";

/** `CHANNEL_NOT_FOUND` → `Channel not found`. */
export const titleOf = (code: ErrorCode): string => {
  const words = code.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const listOf = (value: unknown): readonly unknown[] | undefined => (Array.isArray(value) ? value : undefined);

/** Headers that belong to a problem, by its code alone. */
export const problemHeaders = (code: ErrorCode): Record<string, string> => {
  const { status, retry } = ERRORS[code];
  if (status === 401) return { "WWW-Authenticate": 'Bearer realm="castellan"' };
  const again: Record<string, string> = retry && status !== 502 ? { "Retry-After": String(RETRY_AFTER_SECONDS) } : {};
  // RFC 9110 §15.5.9: what is left of the request would be taken for the next one.
  return status === 408 ? { ...again, Connection: "close" } : again;
};

/**
 * A fault as a problem document (RFC 9457). Of its data only `errors` and `failures` are shown: the sentence has the
 * rest.
 */
export const problemReply = (fault: Fault, requestId: string): Reply => {
  const { code, data } = fault;
  const { status } = ERRORS[code];
  const errors = listOf(data.errors) as readonly FieldError[] | undefined;
  const failures = listOf(data.failures);
  return {
    status,
    document: {
      type: PROBLEM_TYPE + code,
      title: titleOf(code),
      status,
      code,
      detail: messageOf(code, data),
      requestId,
      ...(errors ? { errors } : {}),
      ...(failures ? { failures } : {}),
    },
    headers: problemHeaders(code),
  };
};

export const badInput = (errors: readonly FieldError[]): Fault => new Fault("BAD_INPUT", { errors });

/** Writes a reply unless something was written before. `closing`: the connection is not to be used again. */
export const writeReply = (response: ServerResponse, reply: Reply, { closing = false } = {}): void => {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(reply.document);
  response.writeHead(reply.status, {
    "Content-Type": reply.status < 400 ? "application/json" : "application/problem+json",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...reply.headers,
    ...(closing ? { Connection: "close" } : {}),
  });
  response.end(text);
};

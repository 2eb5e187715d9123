/** Answers as values: what a route says, before it is written. */
import type { ServerResponse } from "node:http";
import { Fault, type FieldError } from "../contracts/errors.ts";
import { PROBLEM_TYPE, problemHeaders, problemOf } from "../lib/http/problem.ts";

export interface Reply {
  readonly status: number;
  readonly document: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** A fault as a problem document. */
export const problemReply = (fault: Fault, requestId: string): Reply => ({
  status: fault.status,
  document: problemOf(fault, requestId),
  headers: problemHeaders(fault.code, fault.data),
});

export const badInput = (errors: readonly FieldError[]): Fault => new Fault("BAD_INPUT", { errors });

/** Writes a reply unless something was written before. `closing`: the connection is not to be used again. */
export const writeReply = (response: ServerResponse, reply: Reply, { closing = false } = {}): void => {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(reply.document);
  response.writeHead(reply.status, {
    "Content-Type": reply.status < 400 ? "application/json" : PROBLEM_TYPE,
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...reply.headers,
    ...(closing ? { connection: "close" } : {}),
  });
  response.end(text);
};

/** One request and its answer: who asks, under which id, and what the log and the metrics say of it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { authenticate } from "../contracts/tenant.ts";
import { maskedToken } from "../domain/signed-url/place.ts";
import { requestIdOf } from "../lib/http/problem.ts";
import type { Log } from "../lib/log/log.ts";
import { histogram } from "../lib/metrics/metrics.ts";

export type Principal = NonNullable<z.output<typeof authenticate.result>>;

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  /** As the client sent it (HEAD stays HEAD here). */
  readonly method: string;
  /** Absolute, percent-encoded, without query and without one trailing slash. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Template of the route, for logs and metrics: a bounded set. */
  route: string;
  principal: Principal | undefined;
  /** The text of the caller's key; only for sealing what is kept for it. */
  bearer: string | undefined;
}

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
/** What nginx logs where the client went away before its answer. */
const CLIENT_GONE = 499;

const requestSeconds = histogram({
  name: "castellan_gateway_request_seconds",
  help: "Time from a request's head to the end of its answer, by route.",
  labels: ["method", "route", "status"],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25],
});

const targetOf = (url: string): { path: string; query: URLSearchParams } => {
  // RFC 9112 §3.2.2: a server takes the absolute form too.
  const target = url.replace(/^https?:\/\/[^/?]*/i, "");
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  const trimmed = path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
  return { path: trimmed || "/", query: new URLSearchParams(mark === -1 ? "" : target.slice(mark + 1)) };
};

/** Opens the exchange: the request id goes out with every answer, one log line and one measurement come at its end. */
export const openExchange = (request: IncomingMessage, response: ServerResponse, log: Log): Exchange => {
  const startedAt = performance.now();
  const exchange: Exchange = {
    request,
    response,
    requestId: requestIdOf(request),
    method: request.method ?? "GET",
    ...targetOf(request.url ?? "/"),
    route: "unmatched",
    principal: undefined,
    bearer: undefined,
  };
  response.setHeader("X-Request-Id", exchange.requestId);
  response.once("close", () => note(exchange, log, performance.now() - startedAt));
  return exchange;
};

const note = (exchange: Exchange, log: Log, ms: number): void => {
  const { response, route, principal, requestId, path } = exchange;
  const method = METHODS.has(exchange.method) ? exchange.method : "OTHER";
  const status = response.writableFinished ? response.statusCode : CLIENT_GONE;
  requestSeconds.observe({ method, route, status }, ms / 1e3);
  const line = {
    requestId,
    method,
    route,
    path: maskedToken(path),
    status,
    ms: Math.round(ms * 10) / 10,
    tenant: principal?.tenant,
  };
  log.info(line, "request");
};

/** An HTTP listener with the three health addresses that every listener of the product has (design §9). */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Log } from "../log/log.ts";
import { healthAnswer, isHealthPath, type Ready } from "./health.ts";
import { listening } from "./listening.ts";
import { requestIdOf, writeProblem } from "./problem.ts";

export type { Readiness, Ready } from "./health.ts";
export { freePort, holdPort } from "./listening.ts";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface Listener {
  readonly port: number;
  readonly server: Server;
  /** Stops accepting, lets requests in flight end for `graceMs`, then cuts what is left. */
  close(graceMs?: number): Promise<void>;
}

export interface ListenerOptions {
  readonly name: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The variable that the port comes from. */
  readonly portVariable: string;
  readonly log: Log;
  readonly ready: Ready;
  readonly handle: Handler;
  /** Its handler has its own deadlines for bodies, which may come for hours. */
  readonly bodiesMayTakeLong?: true;
}

const HEAD_BYTES_MAX = 32 * 1024;
const HEAD_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;
const KEEP_ALIVE_MS = 65_000; // longer than the 60 s that load balancers keep idle connections
const CLOSE_GRACE_MS = 5_000;

const answerHealth = async (path: string, response: ServerResponse, ready: Ready): Promise<void> => {
  const { status, contentType, text } = await healthAnswer(path, ready);
  response.writeHead(status, {
    "content-type": contentType,
    "cache-control": "no-store",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
};

/** True when the request was for a health address and is being answered. */
const tookHealth = ({ request, response }: Exchange, options: ListenerOptions): boolean => {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (!isHealthPath(path) || (request.method !== "GET" && request.method !== "HEAD")) return false;
  answerHealth(path, response, options.ready).catch((error: unknown) => failed({ request, response }, options, error));
  return true;
};

const failed = (exchange: Exchange, { log, name }: ListenerOptions, error: unknown): void => {
  log.error({ listener: name, err: error, requestId: requestIdOf(exchange.request) }, "request failed");
  if (exchange.response.headersSent) exchange.response.destroy();
  else writeProblem(exchange, { code: "INTERNAL" });
};

/** Opens a listener. Rejects with a ConfigError when it can't be where it is to be. */
export const openListener = async (options: ListenerOptions): Promise<Listener> => {
  const server = createServer(
    {
      maxHeaderSize: HEAD_BYTES_MAX,
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: options.bodiesMayTakeLong ? 0 : REQUEST_TIMEOUT_MS,
    },
    (request, response) => {
      const exchange = { request, response };
      if (tookHealth(exchange, options)) return;
      try {
        void Promise.resolve(options.handle(request, response)).catch((error: unknown) =>
          failed(exchange, options, error),
        );
      } catch (error) {
        failed(exchange, options, error);
      }
    },
  );
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  const port = await listening(server, options);
  server.on("error", (error) => options.log.error({ listener: options.name, err: error }, "listener"));
  return { port, server, close: (graceMs = CLOSE_GRACE_MS) => closeServer(server, graceMs) };
};

const closeServer = (server: Server, graceMs: number): Promise<void> =>
  new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });

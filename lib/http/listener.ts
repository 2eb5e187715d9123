/** An HTTP listener with the three health addresses that every listener of the product has (design §9). */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ConfigError } from "../config/config.ts";
import type { Log } from "../log/log.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "../metrics/metrics.ts";
import { requestIdOf, writeProblem } from "./problem.ts";

/** `checks` names what was looked at; the node is ready when all of them are true. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, boolean>>;
}
export type Ready = () => Readiness | Promise<Readiness>;
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
}

const HEAD_BYTES_MAX = 32 * 1024;
const HEAD_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;
const KEEP_ALIVE_MS = 65_000; // longer than the 60 s that load balancers keep idle connections
const CLOSE_GRACE_MS = 5_000;

const answerJson = (response: ServerResponse, status: number, body: unknown): void => {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "cache-control": "no-store",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
};

const HEALTH = new Set(["/livez", "/readyz", "/metrics"]);

const answerHealth = async (path: string, response: ServerResponse, ready: Ready): Promise<void> => {
  if (path === "/livez") return answerJson(response, 200, { live: true });
  if (path === "/readyz") {
    const state = await ready();
    return answerJson(response, state.ready ? 200 : 503, state);
  }
  const text = await metricsText();
  response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE, "cache-control": "no-store" });
  response.end(text);
};

/** True when the request was for a health address and is being answered. */
const tookHealth = ({ request, response }: Exchange, options: ListenerOptions): boolean => {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (!HEALTH.has(path) || (request.method !== "GET" && request.method !== "HEAD")) return false;
  answerHealth(path, response, options.ready).catch((error: unknown) => failed({ request, response }, options, error));
  return true;
};

const failed = (exchange: Exchange, { log, name }: ListenerOptions, error: unknown): void => {
  log.error({ listener: name, err: error, requestId: requestIdOf(exchange.request) }, "request failed");
  if (exchange.response.headersSent) exchange.response.destroy();
  else writeProblem(exchange, { code: "INTERNAL" });
};

type Place = Pick<ListenerOptions, "host" | "port" | "portVariable">;

/** In the words of what the operator has set. */
const explained = (error: NodeJS.ErrnoException, { host, port, portVariable }: Place): ConfigError => {
  switch (error.code) {
    case "EADDRINUSE":
      return new ConfigError(portVariable, `port ${port} on ${host} is taken by another program.`);
    case "EACCES":
      return new ConfigError(portVariable, `port ${port} needs more rights than this user has.`);
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
      return new ConfigError("HOST", `${host} is no address of this machine.`);
    default:
      return new ConfigError("HOST", `${host} can't be listened on (${error.code}).`);
  }
};

const listening = (server: Server, place: Place): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", (error) => reject(explained(error, place)));
    server.listen(place.port, place.host, () => resolve());
  });

/** A port of this machine that nobody has at the moment. Rejects with a ConfigError. */
export const freePort = async (host: string): Promise<number> => {
  const server = createServer();
  await listening(server, { host, port: 0, portVariable: "HOST" });
  const { port } = server.address() as AddressInfo; // a TCP listener always has one
  await closeServer(server, 0);
  return port;
};

/** Opens a listener. Rejects with a ConfigError when it can't be where it is to be. */
export const openListener = async (options: ListenerOptions): Promise<Listener> => {
  const server = createServer(
    { maxHeaderSize: HEAD_BYTES_MAX, headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
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
  await listening(server, options);
  server.on("error", (error) => options.log.error({ listener: options.name, err: error }, "listener"));
  const { port } = server.address() as AddressInfo; // a TCP listener always has one
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

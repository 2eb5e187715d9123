/**
 * A forward proxy on the loopback interface that ffmpeg's HTTP and TLS connections are led through: it looks at every
 * address that they go to. A check of the URL alone would not see where redirects, names that change their address, and
 * the URIs inside a playlist lead.
 */
import { createServer, type IncomingMessage, request as outgoing, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "./log/log.ts";
import { guardHost, type Resolve } from "./source-guard.ts";

export interface SourceProxyOptions {
  readonly allowPrivateSources: readonly string[];
  readonly log: Log;
  readonly resolve?: Resolve;
}
export interface SourceProxy {
  /** For `http_proxy`. */
  readonly url: string;
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_MS = 30_000; // ffmpeg gives up after 10 s
/** Meant for one hop (RFC 9110 §7.6.1). */
const HOP_HEADERS = ["connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "upgrade", "trailer"];

interface Target {
  readonly host: string;
  readonly port: number;
}

/** The authority of a CONNECT request. */
const parseAuthority = (text: string): Target | null => {
  const [, host = "", port = ""] = /^(\[[0-9a-f:.]+\]|[^:/@[\]]+):(\d{1,5})$/i.exec(text) ?? [];
  return host === "" || Number(port) < 1 || Number(port) > 65_535 ? null : { host, port: Number(port) };
};

class Forwarder {
  readonly #options: SourceProxyOptions;
  /** Both ends of tunnels, and connections that are forwarded: the server does not know them. */
  readonly #sockets = new Set<Duplex>();
  constructor(options: SourceProxyOptions) {
    this.#options = options;
  }

  /** The address to connect to; null where the rule refuses it. */
  async #allowed({ host }: Target): Promise<string | null> {
    const { allowPrivateSources, resolve, log } = this.#options;
    const rules = { allowPrivateSources, trusted: false, ...(resolve ? { resolve } : {}) };
    const guarded = await guardHost(host, rules);
    if (guarded.ok) return guarded.addresses[0] ?? null;
    log.warn({ host, reason: guarded.reason }, "a source led to an address that is refused");
    return null;
  }

  async tunnel(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    this.#keep(client);
    client.on("error", () => client.destroy());
    const target = parseAuthority(request.url ?? "");
    const address = target && (await this.#allowed(target));
    if (!target || !address) {
      client.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    const server = connect({ host: address, port: target.port, timeout: CONNECT_TIMEOUT_MS });
    this.#keep(server);
    const end = (): void => {
      server.destroy();
      client.destroy();
    };
    server.once("connect", () => {
      server.setTimeout(IDLE_MS);
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      if (head.length > 0) server.write(head);
      server.pipe(client);
      client.pipe(server);
    });
    for (const event of ["timeout", "error", "close"]) server.on(event, end);
    client.on("close", end);
  }

  async forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.canParse(request.url ?? "") ? new URL(request.url ?? "") : null;
    const target = url?.protocol === "http:" ? { host: url.hostname, port: Number(url.port) || 80 } : null;
    const address = target && (await this.#allowed(target));
    if (!url || !target || !address || request.method !== "GET") {
      response.writeHead(403, { "content-length": 0, connection: "close" }).end();
      return;
    }
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP_HEADERS.includes(name)));
    const upstream = outgoing({
      ...{ host: address, port: target.port, path: `${url.pathname}${url.search}`, agent: false, timeout: IDLE_MS },
      headers: { ...headers, host: url.host },
    });
    upstream.on("socket", (socket) => this.#keep(socket));
    upstream.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on("error", () => response.destroy());
      answer.pipe(response);
    });
    upstream.on("timeout", () => upstream.destroy());
    upstream.on("error", () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { "content-length": 0, connection: "close" }).end();
    });
    response.on("close", () => upstream.destroy());
    upstream.end();
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }
  close(server: Server): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
}

export const openSourceProxy = async (options: SourceProxyOptions): Promise<SourceProxy> => {
  const forwarder = new Forwarder(options);
  const failed = (error: unknown): void => options.log.error({ err: error }, "source proxy");
  const server = createServer((request, response) => void forwarder.forward(request, response).catch(failed));
  server.on("connect", (request, client, head) => void forwarder.tunnel(request, client, head).catch(failed));
  server.on("clientError", (_, socket) => socket.destroy());
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo; // a TCP listener always has one
  return { url: `http://127.0.0.1:${port}`, close: () => forwarder.close(server) };
};

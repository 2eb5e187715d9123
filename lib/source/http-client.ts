/**
 * Requests to the server of an HTTP source: kept connections, few of them, redirects looked at, one more try when a
 * kept connection turned out to be closed.
 */
import http from "node:http";
import https from "node:https";
import { fail } from "../../contracts/errors.ts";
import { OutgoingAgents } from "../http/outgoing-agents.ts";
import type { NetworkLimits, Watch } from "./watch.ts";

const REDIRECTS_MAX = 5;
const FREE_SOCKET_MS = 30_000; // less than most servers keep a connection
const HEAD_BYTES_MAX = 16 * 1024;
const DRAIN_BYTES_MAX = 64 * 1024; // reading so much is cheaper than a new connection
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const STALE = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

export interface ClientSettings {
  /** Paths are put behind it; a user and a password in it are for Basic authentication (RFC 7617). */
  readonly base: URL;
  readonly limits: NetworkLimits;
  readonly allowPrivateSources: readonly string[];
  /** PEM of authorities to trust instead of the usual ones. */
  readonly ca: string | undefined;
}

interface Ask {
  readonly method: "GET" | "HEAD";
  readonly headers: Readonly<Record<string, string>>;
  readonly path: string;
  readonly watch: Watch;
}

interface Hop extends Ask {
  readonly url: URL;
  readonly isFresh: boolean;
}

const basicOf = ({ username, password }: URL): string | undefined => {
  if (username === "" && password === "") return undefined;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
};

/** Ends an answer that nobody reads: a short one is read for the connection's sake, within the server's idle time. */
export const forget = (response: http.IncomingMessage, idleTimeoutMs: number): void => {
  response.on("error", () => {});
  const length = Number(response.headers["content-length"] ?? Number.NaN);
  if (!(length <= DRAIN_BYTES_MAX)) return void response.destroy();
  response.setTimeout(idleTimeoutMs, () => response.destroy());
  response.resume();
};

export class HttpClient {
  readonly #base: URL;
  readonly #limits: NetworkLimits;
  readonly #authorization: string | undefined;
  readonly #kept: OutgoingAgents;
  readonly #fresh: OutgoingAgents;

  constructor({ base, limits, allowPrivateSources, ca }: ClientSettings) {
    this.#base = base;
    this.#limits = limits;
    this.#authorization = basicOf(base);
    const options = { maxSockets: limits.connectionsMax, ...(ca === undefined ? {} : { ca }) };
    this.#kept = new OutgoingAgents(allowPrivateSources, { ...options, keepAlive: true, timeout: FREE_SOCKET_MS });
    this.#fresh = new OutgoingAgents(allowPrivateSources, options);
  }

  /** The head of the last answer, whatever its status; the body is the caller's to read or to `forget`. */
  async ask(ask: Ask): Promise<http.IncomingMessage> {
    let url = this.#urlOf(ask.path);
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      const response = await this.#answer({ ...ask, url, isFresh: false });
      const { location } = response.headers;
      if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) return response;
      forget(response, this.#limits.idleTimeoutMs);
      const next = URL.parse(location, url.href);
      if (next === null || !/^https?:$/.test(next.protocol)) throw new Error("it redirects to no http address");
      if (url.protocol === "https:" && next.protocol === "http:") throw new Error("it redirects from https to http");
      // What servers say of a folder that is asked for without its slash.
      if (next.pathname === `${url.pathname}/`) fail("SOURCE_NOT_FOUND", { path: ask.path });
      url = next;
      ask.watch.connecting();
    }
    throw new Error(`it redirects more than ${REDIRECTS_MAX} times`);
  }

  close(): void {
    this.#kept.close();
    this.#fresh.close();
  }

  #urlOf(path: string): URL {
    const { origin, pathname, search } = this.#base;
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    return new URL(`${origin}${pathname.replace(/\/+$/, "")}/${encoded}${search}`);
  }

  /** The operator's own server, also where it moved on to TLS. */
  #isBase(url: URL): boolean {
    const { host, hostname } = this.#base;
    return url.host === host || (url.hostname === hostname && url.protocol === "https:" && url.port === "");
  }

  async #answer(hop: Hop): Promise<http.IncomingMessage> {
    try {
      return await this.#send(hop);
    } catch (error) {
      const { code, isUntouched } = error as { code?: string; isUntouched?: boolean };
      // RFC 9112 §9.3.1: the server may have closed a kept connection in the moment of the request.
      if (isUntouched && STALE.has(code ?? "") && !hop.isFresh && !hop.watch.signal.aborted) {
        hop.watch.connecting();
        return this.#send({ ...hop, isFresh: true });
      }
      throw error;
    }
  }

  #send({ url, method, headers, isFresh, watch }: Hop): Promise<http.IncomingMessage> {
    const trusted = this.#isBase(url);
    const agent = (isFresh ? this.#fresh : this.#kept).for(url, { trusted });
    const secret = trusted && this.#authorization !== undefined ? { authorization: this.#authorization } : {};
    const { request } = url.protocol === "https:" ? https : http;
    return new Promise((resolve, reject) => {
      const asked = request(
        { ...addressOf(url), method, agent, headers: { ...headers, ...secret }, maxHeaderSize: HEAD_BYTES_MAX },
        (response) => {
          watch.signal.removeEventListener("abort", abort);
          watch.progress();
          resolve(response);
        },
      );
      const abort = () => void asked.destroy();
      watch.signal.addEventListener("abort", abort, { once: true });
      if (watch.signal.aborted) abort();
      let bytesBefore = 0;
      asked.on("socket", (socket) => {
        bytesBefore = socket.bytesRead;
        if (!socket.connecting) watch.connected();
        else socket.once(url.protocol === "https:" ? "secureConnect" : "connect", () => watch.connected());
      });
      asked.on("error", (error) => {
        watch.signal.removeEventListener("abort", abort);
        // Not by `reusedSocket`: it is false for a request that waited for the connection.
        const isUntouched = bytesBefore > 0 && asked.socket?.bytesRead === bytesBefore;
        reject(Object.assign(error, { isUntouched }));
      });
      asked.end();
    });
  }
}

const addressOf = ({ hostname, port, pathname, search, protocol }: URL): http.RequestOptions => ({
  protocol,
  hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
  ...(port === "" ? {} : { port }),
  path: pathname + search,
});

/** An HTTP(S) server as an origin: a client of HTTP/1.1 on kept connections, strict in what it reads. */
import { UpstreamError } from "../upstream.ts";
import { type AllowedNetworks, Connector } from "./connect.ts";
import {
  type AttemptOptions,
  isIdempotent,
  type Origin,
  type OriginAnswer,
  type OriginRequest,
  type OriginTimeouts,
} from "./contract.ts";
import { Exchange } from "./exchange.ts";
import { OriginPool } from "./pool.ts";

export interface HttpOriginOptions {
  readonly id: string;
  /** `http:` or `https:`; targets are put behind its path. */
  readonly url: string;
  /** The Host that it gets; unless told that of the URL. `request`: that of the request. */
  readonly host?: string | { readonly from: "request"; readonly otherwise: string } | undefined;
  readonly ca?: string | undefined;
  readonly allowed: AllowedNetworks;
  readonly timeouts: OriginTimeouts;
  readonly connectionsMax?: number | undefined;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

const CONNECTIONS_MAX = 128;
const IDLE_MAX = 32;
/** They belong to a connection or frame a body, which is ours to say (RFC 9110 §7.6.1). */
const OWN_FIELDS =
  /^(?:host|connection|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade|content-length|expect)$/i;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TARGET = /^\/[\x21\x22\x24-\x7e]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_VALUE = /[\0-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

const bug = (what: string): never => {
  throw new Error(`bug: a request to an origin has ${what}`);
};

/** The request met a kept connection that the other side had closed: nothing is known of the origin. */
class ClosedBefore extends UpstreamError {}

export class HttpOrigin implements Origin {
  readonly #id: string;
  readonly #base: string;
  readonly #host: string;
  readonly #takesHost: boolean;
  readonly #timeouts: OriginTimeouts;
  readonly #pool: OriginPool;
  readonly #nowMs: () => number;

  constructor({ id, url, host, ca, allowed, timeouts, connectionsMax = CONNECTIONS_MAX, nowMs }: HttpOriginOptions) {
    const { protocol, hostname, port, pathname, host: authority } = new URL(url);
    const isTls = protocol === "https:";
    this.#id = id;
    this.#base = pathname.replace(/\/+$/, "");
    this.#takesHost = typeof host === "object";
    this.#host = typeof host === "object" ? host.otherwise : (host ?? authority);
    this.#timeouts = timeouts;
    this.#nowMs = nowMs;
    const bare = hostname.replace(/^\[(.*)\]$/, "$1");
    const to = { host: bare, port: port === "" ? (isTls ? 443 : 80) : Number(port), isTls, ca };
    this.#pool = new OriginPool(new Connector(to, allowed), { ...timeouts, connectionsMax, idleMax: IDLE_MAX });
  }

  /** Connections that are open or being made. */
  get connectionCount(): number {
    return this.#pool.connectionCount;
  }

  /** Asks once; once more where a kept connection turns out to have been closed by the other side. */
  async ask(request: OriginRequest, options: AttemptOptions): Promise<OriginAnswer> {
    const head = this.#headOf(request);
    // What may not be sent twice is never sent on a connection that may be closed already.
    const isFresh = !isIdempotent(request.method);
    try {
      return await this.#once(request, head, { ...options, isFresh });
    } catch (error) {
      if (isFresh || !(error instanceof ClosedBefore)) throw error;
      return this.#once(request, head, { ...options, isFresh: true });
    }
  }

  async close(): Promise<void> {
    this.#pool.close();
  }

  async #once(
    { method, body }: OriginRequest,
    head: string,
    options: AttemptOptions & { readonly isFresh: boolean },
  ): Promise<OriginAnswer> {
    const { signal, firstByteMs } = options;
    const connection = await this.#pool.take(options);
    const sentAtMs = this.#nowMs();
    const exchange = new Exchange(connection, this.#timeouts, signal);
    try {
      const { status, fields, framing, sizeBytes } = await exchange.send({ method, head, body }, firstByteMs);
      return {
        status,
        fields,
        sizeBytes: framing === "length" || framing === "none" ? sizeBytes : undefined,
        framed: framing !== "close",
        originId: this.#id,
        firstByteMs: this.#nowMs() - sentAtMs,
        read: (onChunk, limits) => exchange.read(onChunk, limits),
        drop: () => exchange.drop(),
      };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw exchange.metClosedConnection ? new ClosedBefore("reset", error) : error;
    }
  }

  #headOf({ method, target, fields, body }: OriginRequest): string {
    if (!TOKEN.test(method)) bug("no method");
    if (!TARGET.test(target)) bug("a target that is no path");
    let host = this.#host;
    let lines = "";
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const [name, value] = [fields[at]!, fields[at + 1]!];
      if (!TOKEN.test(name) || NO_VALUE.test(value)) bug(`a malformed field ${JSON.stringify(name)}`);
      if (!OWN_FIELDS.test(name)) lines += `${name}: ${value}\r\n`;
      else if (this.#takesHost && name.toLowerCase() === "host") host = value;
    }
    const hasLength = body !== undefined || method === "POST" || method === "PUT" || method === "PATCH";
    const length = hasLength ? `Content-Length: ${body?.length ?? 0}\r\n` : "";
    return `${method} ${this.#base}${target} HTTP/1.1\r\nHost: ${host}\r\n${length}${lines}\r\n`;
  }
}

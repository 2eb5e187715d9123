/** One GET to one origin, with a deadline on every phase. Connections are kept and bounded in number. */
import http from "node:http";
import https from "node:https";
import { ADDRESS_REFUSED, OutgoingAgents } from "../../lib/http/outgoing-agents.ts";

export interface UpstreamTimeouts {
  /** TCP (and TLS) handshake. */
  readonly connectMs: number;
  /** From the request being sent to the answer's head. */
  readonly firstByteMs: number;
  /** The same while another origin that is up can still be asked: a viewer has little time, ours answer from memory. */
  readonly hastyFirstByteMs: number;
  /** The same for playlists, which come before segments: what they cost is added to what those cost. */
  readonly hastyPlaylistFirstByteMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
  /** A whole body. */
  readonly bodyMs: number;
  /** Waiting for a free connection to the origin. */
  readonly queueMs: number;
}
export const UPSTREAM_TIMEOUTS: UpstreamTimeouts = {
  connectMs: 500,
  firstByteMs: 2_000,
  hastyFirstByteMs: 1_000,
  hastyPlaylistFirstByteMs: 600,
  idleMs: 2_000,
  bodyMs: 30_000,
  queueMs: 2_000,
};

/** `busy` is the edge's own limit and says nothing about the origin; `address`: it is at one that is refused. */
export type UpstreamReason =
  | "connect"
  | "address"
  | "first-byte"
  | "idle"
  | "body-time"
  | "reset"
  | "busy"
  | "protocol"
  | "size";
export class UpstreamError extends Error {
  readonly reason: UpstreamReason;
  constructor(reason: UpstreamReason, cause?: unknown) {
    super(`upstream: ${reason}`, { cause });
    this.name = "UpstreamError";
    this.reason = reason;
  }
}

export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Announced size; undefined when the body is chunked or ends with the connection. */
  readonly sizeBytes: number | undefined;
  /** False for a body that ends with the connection: nothing tells whether it is whole. */
  readonly framed: boolean;
  /** Resolves when the body is whole; rejects with an UpstreamError, and then the connection is never used again. */
  read(onChunk: (chunk: Buffer) => void): Promise<void>;
  /** The body is of no interest. */
  drop(): void;
}

const SOCKETS_PER_ORIGIN_MAX = 128;
const SOCKETS_FREE_MAX = 32;
const HEAD_BYTES_MAX = 32 * 1024;
const DRAINED_BYTES_MAX = 64 * 1024;
// Shorter than the 65 s after which our own listeners close: a request is seldom sent into a closing connection.
const KEEP_ALIVE_MS = 30_000;

interface GetOptions {
  readonly headers: http.OutgoingHttpHeaders;
  readonly firstByteMs: number;
  /** It may be at a private address. */
  readonly trusted: boolean;
}

export class Upstream {
  readonly #timeouts: UpstreamTimeouts;
  readonly #agents: OutgoingAgents;

  constructor(allowPrivateSources: readonly string[], timeouts: UpstreamTimeouts = UPSTREAM_TIMEOUTS) {
    this.#timeouts = timeouts;
    this.#agents = new OutgoingAgents(allowPrivateSources, {
      keepAlive: true,
      maxSockets: SOCKETS_PER_ORIGIN_MAX,
      maxFreeSockets: SOCKETS_FREE_MAX,
      timeout: KEEP_ALIVE_MS,
      scheduling: "lifo",
    });
  }

  get timeouts(): UpstreamTimeouts {
    return this.#timeouts;
  }

  /** Asks once; once more where a kept connection turns out to have been closed by the other side. */
  async get(url: URL, options: GetOptions): Promise<UpstreamAnswer> {
    const first = new Exchange(this.#timeouts);
    const agent = this.#agents.for(url, options);
    try {
      return await first.open(url, options, agent);
    } catch (error) {
      if (!first.sentIntoClosedConnection) throw error;
      return new Exchange(this.#timeouts).open(url, options, agent);
    }
  }

  close(): void {
    this.#agents.close();
  }
}

/** One request and its answer; whatever goes wrong first decides, and ends everything. */
class Exchange {
  readonly #timeouts: UpstreamTimeouts;
  #request: http.ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #error: UpstreamError | undefined;
  #onError: (error: UpstreamError) => void = () => {};
  /** The request met a kept connection that the other side had closed: nothing is known of the origin. */
  sentIntoClosedConnection = false;

  constructor(timeouts: UpstreamTimeouts) {
    this.#timeouts = timeouts;
  }

  open(url: URL, { headers, firstByteMs }: GetOptions, agent: http.Agent): Promise<UpstreamAnswer> {
    return new Promise((resolve, reject) => {
      this.#onError = reject;
      const send = url.protocol === "https:" ? https.get : http.get;
      const request = send(url, { agent, headers, maxHeaderSize: HEAD_BYTES_MAX });
      this.#request = request;
      this.#within(this.#timeouts.queueMs, "busy");
      request.on("socket", (socket) => {
        const awaitHead = (): void => this.#within(firstByteMs, "first-byte");
        if (!socket.connecting) return awaitHead();
        let isConnected = false;
        const late = (): void => {
          if (!isConnected) this.#fail("connect");
        };
        clearTimeout(this.#timer);
        // A process that stood still finds its timers due before it has seen what came meanwhile: it looks first.
        this.#timer = setTimeout(() => setImmediate(late), this.#timeouts.connectMs);
        socket.once(url.protocol === "https:" ? "secureConnect" : "connect", () => {
          isConnected = true;
          awaitHead();
        });
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        const isClosed = error.code === "ECONNRESET" || error.code === "EPIPE";
        this.sentIntoClosedConnection = request.reusedSocket && isClosed && !this.#error;
        this.#fail(reasonOf(error), error);
      });
      request.on("response", (response) => {
        clearTimeout(this.#timer);
        resolve(this.#answerOf(response));
      });
    });
  }

  #answerOf(response: http.IncomingMessage): UpstreamAnswer {
    const length = response.headers["content-length"];
    const sizeBytes = length === undefined ? undefined : Number(length);
    // Without a listener an answer that breaks off before it is read would end the process.
    response.on("error", (error) => this.#fail("reset", error));
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      sizeBytes,
      framed: sizeBytes !== undefined || response.headers["transfer-encoding"] !== undefined,
      read: (onChunk) => this.#read(response, onChunk),
      drop: () => this.#drop(response, sizeBytes),
    };
  }

  #read(response: http.IncomingMessage, onChunk: (chunk: Buffer) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#error) return reject(this.#error);
      this.#onError = reject;
      const whole = setTimeout(() => this.#fail("body-time"), this.#timeouts.bodyMs);
      this.#within(this.#timeouts.idleMs, "idle");
      response.on("data", (chunk: Buffer) => {
        this.#timer?.refresh();
        if (this.#error) return;
        try {
          onChunk(chunk);
        } catch (error) {
          this.#fail(error instanceof UpstreamError ? error.reason : "protocol", error);
        }
      });
      response.on("end", () => {
        clearTimeout(whole);
        clearTimeout(this.#timer);
        // An error that comes with the last byte (more bytes than announced) is seen before this.
        if (this.#error) return;
        if (response.complete) resolve();
        else this.#fail("reset");
      });
      response.on("close", () => {
        clearTimeout(whole);
        if (!response.complete) this.#fail("reset");
      });
    });
  }

  /** A short body is read away, so that its connection can be used again. */
  #drop(response: http.IncomingMessage, sizeBytes = Number.POSITIVE_INFINITY): void {
    if (sizeBytes > DRAINED_BYTES_MAX) {
      this.#end();
      return;
    }
    this.#within(this.#timeouts.idleMs, "idle");
    response.on("close", () => clearTimeout(this.#timer));
    response.resume();
  }

  #within(ms: number, reason: UpstreamReason): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(reason), ms);
  }

  #fail(reason: UpstreamReason, cause?: unknown): void {
    if (this.#error) return;
    this.#error = new UpstreamError(reason, cause);
    this.#end();
    this.#onError(this.#error);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#request?.destroy();
  }
}

const CONNECT_CODES =
  /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_|ETIMEDOUT|ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_|UNABLE_)/;
const reasonOf = (error: NodeJS.ErrnoException): UpstreamReason => {
  const code = error.code ?? "";
  if (code === ADDRESS_REFUSED) return "address";
  if (CONNECT_CODES.test(code)) return "connect";
  return code.startsWith("HPE_") ? "protocol" : "reset";
};

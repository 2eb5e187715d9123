/** What the cache engine asks of a site's origins, and what it gets. */

export interface OriginRequest {
  readonly method: string;
  /** Path and query as they are to be sent, without the origin's base. */
  readonly target: string;
  /**
   * Name, value, name, value …: end-to-end fields, Via and CDN-Loop among them. A Host goes to parents, every other
   * origin gets its own; what belongs to a connection or frames a body is left out.
   */
  readonly fields: readonly string[];
  readonly body?: Uint8Array;
  /** The cache key: rendezvous hashing spreads keys over parents and packagers. */
  readonly key: string;
}

export interface BodyLimits {
  /** Between two pieces. */
  readonly idleMs?: number;
  /** For the whole. */
  readonly bodyMs?: number;
}

/** What takes a piece of a body; nothing more is read until its promise is kept. The piece is the taker's. */
export type TakeChunk = (chunk: Buffer) => void | Promise<void>;

/** The head of an answer, and the way to its body: one of `read` and `drop` is called, once. */
export interface OriginAnswer {
  readonly status: number;
  /** Name, value, name, value … as they came. */
  readonly fields: readonly string[];
  /** Bytes that the body has; 0 where there is none (HEAD, 204, 304); undefined until its end where nothing says it. */
  readonly sizeBytes: number | undefined;
  /** Its end is told by a length or by chunks; otherwise nothing tells whether it is whole. */
  readonly framed: boolean;
  readonly originId: string;
  /** From the request to this head. */
  readonly firstByteMs: number;
  /** Resolves when the body is whole; rejects with an UpstreamError: a short body and a long one are failures. */
  read(onChunk: TakeChunk, limits?: BodyLimits): Promise<void>;
  /** The body is of no interest, or no more: a `read` under way rejects. */
  drop(): void;
}

export interface AttemptOptions {
  /** Ends the wait for the head with the signal's reason; afterwards, the body with an UpstreamError. */
  readonly signal: AbortSignal;
  /** From the request being sent to the head. */
  readonly firstByteMs: number;
}

/** One place that answers: an HTTP server, or a content source. */
export interface Origin {
  /** Rejects with an UpstreamError, or with the signal's reason. */
  ask(request: OriginRequest, options: AttemptOptions): Promise<OriginAnswer>;
  close(): Promise<void>;
}

export interface OriginTimeouts {
  /** Name resolution and TCP handshake. */
  readonly connectMs: number;
  /** TLS handshake. */
  readonly tlsMs: number;
  /** From the request being sent to the answer's head. */
  readonly firstByteMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
  /** A whole body, from its head on. */
  readonly bodyMs: number;
  /** Waiting for a free connection. */
  readonly queueMs: number;
}
export const ORIGIN_TIMEOUTS: OriginTimeouts = {
  connectMs: 500,
  tlsMs: 2_000, // two round trips to the other side of the world, and a server that is busy
  firstByteMs: 10_000,
  idleMs: 10_000,
  bodyMs: 3_600_000, // 20 GB at 50 Mbit/s
  queueMs: 2_000,
};

/** Methods that may be sent again (RFC 9110 §9.2.2). */
export const isIdempotent = (method: string): boolean => /^(?:GET|HEAD|OPTIONS|PUT|DELETE)$/.test(method);

/** Methods that change nothing (RFC 9110 §9.2.1). */
export const isSafe = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS";

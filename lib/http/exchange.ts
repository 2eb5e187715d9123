/** What a handler of the raw listener (`raw-listener.ts`) sees of a request, and how it answers. */
import type { Refusal } from "./problem.ts";

export interface RawRequest {
  /** As sent; only tokens of RFC 9110 §5.6.2 come through. */
  readonly method: string;
  /** Origin form as sent, at most 8 KiB: path and query. An absolute form was brought to this. */
  readonly target: string;
  /** Up to the first `?`, not decoded. */
  readonly path: string;
  /** After the first `?`, without it; empty when there is none. */
  readonly query: string;
  /** The authority asked for: of an absolute form, else the Host field (RFC 9112 §3.2.2); empty on 1.0 without one. */
  readonly host: string;
  readonly remoteAddress: string;
  /** `encrypted` when the connection is TLS. */
  readonly encrypted: boolean;
  /** Value of a header field by its lower-case name; repeated ones joined by `, ` (RFC 9110 §5.3). */
  header(name: string): string | undefined;
  /** Range or a condition of RFC 9110 §13.1 is among its fields. */
  readonly isConditional: boolean;
  /** All header fields as sent: name, value, name, value …; made on first use. */
  readonly fields: readonly string[];
  /** A valid `X-Request-Id` of the client, else one made on first use. */
  readonly requestId: string;
  /** Aborts when the client has gone or the listener cuts it; made on first use. */
  readonly signal: AbortSignal;
  /**
   * The request's body, empty when there is none. Once per request, before the answer. Rejects with BODY_TOO_LARGE
   * above `limitBytes`, BODY_LATE when it comes too slowly, REQUEST_MALFORMED when its chunks or length are wrong.
   */
  readBody(limitBytes: number): Promise<Buffer>;
}

/** A body that is written in pieces. Nothing is kept but what the socket has not taken yet. */
export interface BodyWriter {
  /** Resolves when the kernel has them, so that they may be reused; rejects when the client has gone (CLIENT_GONE). */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Hands bytes over without waiting; they must not change until the answer is over. False: the client has enough for
   * now, and `onDrain` is called when it takes more. Nothing happens when the client has gone.
   */
  offer(bytes: Uint8Array): boolean;
  /** Called back when the client takes more after an `offer` that was false, and when it has gone. One at a time. */
  onDrain(drained: () => void): void;
  /** The body is whole. Throws when fewer bytes than announced were written. */
  end(): Promise<void>;
  /** The body can't be finished: resets the connection, so that no short answer looks whole. */
  abort(): void;
}

/** The part of a body that a client wants; `end` is exclusive. */
export interface BodyPart {
  readonly start: number;
  readonly end: number;
  readonly writer: BodyWriter;
}

/**
 * Lines of ASCII, each ended by CRLF: `Content-Type: video/mp2t\r\nCache-Control: …\r\n`. Made once, sent often. A Date
 * that is to be kept (that of a stored answer) comes first; otherwise the listener adds its own.
 */
export type HeaderLines = string;

export interface RawExchange extends RawRequest {
  /** Of the answer that was begun or sent; 0 while there is none. */
  readonly status: number;
  /** The client has gone: whatever is answered is for nobody. */
  readonly isGone: boolean;
  /** What the handler wants to find again in the listener's `noted`. */
  context: unknown;
  /**
   * The whole answer to GET and HEAD: adds Content-Length, answers one Range (206, 416), If-None-Match and
   * If-Modified-Since (304) and If-Range from the ETag and Last-Modified among `headers` when the status is 200.
   * `release` is called exactly once, when nothing refers to `body` any more (also when the client left); for small
   * ones that is before `send` returns.
   */
  send(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void;
  /** Begins an answer that is written in pieces; null: the length is not known (chunked). HEAD gets the head alone: the
   * writer then takes and forgets what is written. */
  begin(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter;
  /**
   * As `send` for a body that is not at hand as a whole: answers 304, 412 and 416 itself (then it gives undefined),
   * else begins a 200 or 206 whose bytes from `start` to `end` (exclusive) are to be written.
   */
  beginPart(headers: HeaderLines, sizeBytes: number): BodyPart | undefined;
  /** Bytes that are head and body already (a prepared answer), made by `prepare` of `raw-prepared.ts`. */
  sendPrepared(prepared: PreparedAnswer): void;
  /** Answers with a problem document (RFC 9457) of the catalogue; further header lines may be given. */
  problem(refusal: Refusal, headers?: HeaderLines): void;
}

/** An answer kept ready for a hot address: head without Date and Connection, and its body. */
export interface PreparedAnswer {
  readonly status: number;
  readonly headers: HeaderLines;
  readonly body: Uint8Array;
}

export type RawHandler = (exchange: RawExchange) => void | Promise<void>;

/** One request on a raw connection, and its one answer. */
import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import { ERRORS } from "../../contracts/errors.ts";
import { chooseAnswer } from "./answer-choice.ts";
import type { BodyPart, BodyWriter, HeaderLines, PreparedAnswer, RawExchange } from "./exchange.ts";
import { isRequestId, type Refusal } from "./problem.ts";
import { fieldOf, fieldsOf, type RawHead } from "./raw-head.ts";
import { dateFor, lineOf, secondNow, statusLine } from "./raw-lines.ts";
import { ONE_WRITE_BYTES_MAX, Prepared } from "./raw-prepared.ts";
import { problemParts } from "./raw-refusal.ts";
import { type Framing, goneWriter, RawBodyWriter } from "./raw-writer.ts";

/** What an exchange needs of its connection. */
export interface ExchangePort {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  /** Whether the connection goes on after the answer whose head is about to be written. */
  persists(): boolean;
  /** Bytes are under way that may take long: from now on they have to get on. */
  watchWriting(): void;
  /** The answer is with the socket, its memory free again. */
  answered(): void;
  readBody(limitBytes: number): Promise<Buffer>;
  /** Cuts the connection so that the client sees that something is missing. */
  reset(): void;
}

/** Copied behind its head up to here, which is cheaper than a second piece of memory in the same write. */
const COPIED_BYTES_MAX = 16 * 1024;
/** Of a TLS connection: a write is encrypted at once, as a whole. 256 KiB take 0.42 CPU s/GB, whole bodies 0.47. */
const ENCRYPTED_PIECE_BYTES = 256 * 1024;

const hasNoBody = (status: number): boolean => status === 204 || status === 304;

export class Exchange implements RawExchange {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly query: string;
  /** Monotonic. */
  readonly startedMs = performance.now();
  /** Of the answer; 0 while there is none. */
  status = 0;
  /** Of the answer's body. */
  sentBytes = 0;
  /** Of the answer's head and of what frames its body. */
  headBytes = 0;
  /** Monotonic: when the answer's head was written; 0 before. */
  answeredMs = 0;
  context: unknown = undefined;
  /** Whether the connection goes on after this answer. */
  keepsAlive = false;
  readonly #head: RawHead;
  readonly #port: ExchangePort;
  #requestId: string | undefined;
  #fields: readonly string[] | undefined;
  #abort: AbortController | undefined;
  #writer: RawBodyWriter | undefined;
  #isGivenUp = false;

  constructor(port: ExchangePort, head: RawHead) {
    this.#port = port;
    this.#head = head;
    this.method = head.method;
    this.target = head.target;
    const mark = head.target.indexOf("?");
    this.path = mark === -1 ? head.target : head.target.slice(0, mark);
    this.query = mark === -1 ? "" : head.target.slice(mark + 1);
  }

  get host(): string {
    return this.#head.host;
  }
  get httpMinor(): number {
    return this.#head.minor;
  }
  get remoteAddress(): string {
    return this.#port.remoteAddress;
  }
  get isConditional(): boolean {
    return this.#head.isConditional;
  }
  get encrypted(): boolean {
    return this.#port.encrypted;
  }
  get isGone(): boolean {
    return this.#port.socket.destroyed;
  }
  get requestId(): string {
    if (this.#requestId !== undefined) return this.#requestId;
    const given = this.#head.hasRequestId ? this.header("x-request-id") : undefined;
    this.#requestId = given !== undefined && isRequestId(given) ? given : randomUUID();
    return this.#requestId;
  }
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.isGone) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  get fields(): readonly string[] {
    this.#fields ??= fieldsOf(this.#head);
    return this.#fields;
  }

  header(name: string): string | undefined {
    return name === "host" && this.host !== "" ? this.host : fieldOf(this.#head, name);
  }

  readBody(limitBytes: number): Promise<Buffer> {
    return this.#port.readBody(limitBytes);
  }

  send(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    if (!this.#claim(status)) {
      release?.();
      return;
    }
    if (status !== 200 || !this.#head.isConditional || !this.#isRead()) {
      this.#whole(status, headers, body, release);
      return;
    }
    const { status: chosen, headers: lines, start, end } = chooseAnswer(this, headers, body.length);
    this.#whole(chosen, lines, body.subarray(start, end), release);
  }

  beginPart(headers: HeaderLines, sizeBytes: number): BodyPart | undefined {
    if (!this.#claim(200)) return { start: 0, end: sizeBytes, writer: goneWriter };
    if (!this.#head.isConditional || !this.#isRead()) {
      return { start: 0, end: sizeBytes, writer: this.#open(200, headers, sizeBytes) };
    }
    const { start, end, status, headers: lines } = chooseAnswer(this, headers, sizeBytes);
    this.status = status;
    if (status === 200 || status === 206) return { start, end, writer: this.#open(status, lines, end - start) };
    this.#whole(status, lines, EMPTY);
    return undefined;
  }

  begin(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    return this.#claim(status) ? this.#open(status, headers, lengthBytes) : goneWriter;
  }

  sendPrepared(prepared: PreparedAnswer): void {
    const { status, headers, body } = prepared;
    const head = this.#head;
    const isPlain = head.method === "GET" && head.minor === 1 && !head.isConditional && !head.hasRequestId;
    if (!isPlain || !(prepared instanceof Prepared) || body.length > ONE_WRITE_BYTES_MAX || !this.#port.persists()) {
      this.send(status, headers, body);
      return;
    }
    if (!this.#claim(status)) return;
    this.keepsAlive = true;
    this.sentBytes = body.length;
    const bytes = prepared.bytesAt(secondNow());
    this.headBytes = bytes.length - body.length;
    this.#port.socket.write(bytes);
    this.#port.answered();
  }

  problem(refusal: Refusal, headers: HeaderLines = ""): void {
    if (!this.#claim(ERRORS[refusal.code].status)) return;
    const { status, headers: lines, body } = problemParts(refusal, this.requestId, headers);
    this.#whole(status, lines, body);
  }

  /** The connection is closed: an answer under way is lost. */
  gone(): void {
    if (this.#writer) this.sentBytes = this.#writer.sentBytes;
    this.#abort?.abort();
  }

  /** The answer can't be finished. */
  cut(): void {
    this.#port.reset();
  }

  /** Whether an answer was begun that nobody ended. */
  get isOpen(): boolean {
    return this.#writer !== undefined && !this.#writer.isOver;
  }

  /** Answers in place of a handler that takes too long; what it answers after that is for nobody. */
  giveUp(refusal: Refusal): void {
    this.problem(refusal);
    this.#isGivenUp = true;
    this.#abort?.abort();
  }

  /** False when the client has gone, and nothing need be written. */
  #claim(status: number): boolean {
    if (this.#isGivenUp) return false;
    if (this.status !== 0) throw new Error(`bug: ${this.method} ${this.path} is answered twice`);
    this.status = status;
    this.answeredMs = performance.now();
    return !this.isGone;
  }

  #isRead(): boolean {
    return this.method === "GET" || this.method === "HEAD";
  }

  /** Line by line: what was given, how the body is framed, when, and what becomes of the connection. */
  #headText(status: number, headers: HeaderLines, framing: string): string {
    this.keepsAlive = framing !== UNTIL_CLOSE && this.#port.persists();
    let text = `${statusLine(status)}${headers}${framing}${dateFor(headers, secondNow())}`;
    if (this.#head.hasRequestId && lineOf(headers, "x-request-id") === undefined) {
      text += `X-Request-Id: ${this.requestId}\r\n`;
    }
    if (!this.keepsAlive) text += framing === UNTIL_CLOSE ? "" : UNTIL_CLOSE;
    else if (this.#head.minor === 0) text += "Connection: keep-alive\r\n";
    this.headBytes = text.length + 2;
    return `${text}\r\n`;
  }

  #whole(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    this.status = status;
    const { socket, encrypted } = this.#port;
    const framing = hasNoBody(status) ? "" : `Content-Length: ${body.length}\r\n`;
    const head = this.#headText(status, headers, framing);
    const bytes = this.method === "HEAD" || hasNoBody(status) ? EMPTY : body;
    this.sentBytes = bytes.length;
    if (bytes.length <= COPIED_BYTES_MAX) {
      const one = Buffer.allocUnsafe(head.length + bytes.length);
      one.write(head, 0, "latin1");
      one.set(bytes, head.length);
      release?.();
      socket.write(one);
      this.#port.answered();
      return;
    }
    const done = (): void => {
      release?.();
      this.#port.answered();
    };
    this.#port.watchWriting();
    socket.cork();
    socket.write(head, "latin1");
    if (encrypted) writePieces(socket, bytes, done);
    else socket.write(bytes, done);
    socket.uncork();
  }

  #open(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    const port = this.#port;
    const { socket } = port;
    const framing = this.#framing(status, lengthBytes);
    const writer = new RawBodyWriter({
      socket,
      framing,
      lengthBytes,
      onEnd: () => {
        this.sentBytes = framing === "none" ? 0 : writer.sentBytes;
        port.answered();
      },
      onAbort: () => port.reset(),
      onFraming: (bytes) => {
        this.headBytes += bytes;
      },
    });
    this.#writer = writer;
    const head = this.#headText(status, headers, framingLine(status, lengthBytes, this.#head.minor));
    port.watchWriting();
    // The head goes with the first piece if that comes at once, and does not wait for it otherwise.
    socket.cork();
    socket.write(head, "latin1");
    process.nextTick(() => socket.uncork());
    return writer;
  }

  #framing(status: number, lengthBytes: number | null): Framing {
    if (this.method === "HEAD" || hasNoBody(status)) return "none";
    if (lengthBytes !== null) return "length";
    return this.#head.minor === 1 ? "chunked" : "close";
  }
}

const EMPTY = Buffer.alloc(0);
/** The body ends with the connection (RFC 9112 §6.3, 8). */
const UNTIL_CLOSE = "Connection: close\r\n";

const framingLine = (status: number, lengthBytes: number | null, minor: number): string => {
  if (lengthBytes !== null) return hasNoBody(status) ? "" : `Content-Length: ${lengthBytes}\r\n`;
  return minor === 1 ? "Transfer-Encoding: chunked\r\n" : UNTIL_CLOSE;
};

/** `done` is called when the last piece is with the kernel, or the connection is gone. */
const writePieces = (socket: Socket, body: Uint8Array, done: () => void): void => {
  let at = 0;
  const next = (error?: Error | null): void => {
    if (error || at >= body.length) {
      done();
      return;
    }
    const from = at;
    at = Math.min(body.length, from + ENCRYPTED_PIECE_BYTES);
    socket.write(body.subarray(from, at), next);
  };
  next();
};

/** One request on a raw connection, and its one answer. */
import type { Socket } from "node:net";
import type { BodyWriter, HeaderLines, PreparedAnswer } from "./exchange.ts";
import { EMPTY, ExchangeCore, hasNoBody } from "./exchange-core.ts";
import { fieldOf, fieldsOf, type RawHead } from "./raw-head.ts";
import { dateFor, lineOf, secondNow, statusLine } from "./raw-lines.ts";
import { ONE_WRITE_BYTES_MAX, Prepared } from "./raw-prepared.ts";
import { type Framing, RawBodyWriter } from "./raw-writer.ts";

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

export class Exchange extends ExchangeCore<RawHead, ExchangePort, RawBodyWriter> {
  /** Whether the connection goes on after this answer. */
  keepsAlive = false;
  #fields: readonly string[] | undefined;

  get httpMinor(): number {
    return this.head.minor;
  }
  get isGone(): boolean {
    return this.port.socket.destroyed;
  }
  get fields(): readonly string[] {
    this.#fields ??= fieldsOf(this.head);
    return this.#fields;
  }

  header(name: string): string | undefined {
    return name === "host" && this.host !== "" ? this.host : fieldOf(this.head, name);
  }

  readBody(limitBytes: number): Promise<Buffer> {
    return this.port.readBody(limitBytes);
  }

  sendPrepared(prepared: PreparedAnswer): void {
    const { status, headers, body } = prepared;
    const head = this.head;
    const isPlain = head.method === "GET" && head.minor === 1 && !head.isConditional && !head.hasRequestId;
    if (!isPlain || !(prepared instanceof Prepared) || body.length > ONE_WRITE_BYTES_MAX || !this.port.persists()) {
      this.send(status, headers, body);
      return;
    }
    if (!this.claim(status)) return;
    this.keepsAlive = true;
    this.sentBytes = body.length;
    const bytes = prepared.bytesAt(secondNow());
    this.headBytes = bytes.length - body.length;
    this.port.socket.write(bytes);
    this.port.answered();
  }

  cut(): void {
    this.port.reset();
  }

  /** Line by line: what was given, how the body is framed, when, and what becomes of the connection. */
  #headText(status: number, headers: HeaderLines, framing: string): string {
    this.keepsAlive = framing !== UNTIL_CLOSE && this.port.persists();
    let text = `${statusLine(status)}${headers}${framing}${dateFor(headers, secondNow())}`;
    if (this.head.hasRequestId && lineOf(headers, "x-request-id") === undefined) {
      text += `X-Request-Id: ${this.requestId}\r\n`;
    }
    if (!this.keepsAlive) text += framing === UNTIL_CLOSE ? "" : UNTIL_CLOSE;
    else if (this.head.minor === 0) text += "Connection: keep-alive\r\n";
    this.headBytes = text.length + 2;
    return `${text}\r\n`;
  }

  protected whole(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    const { socket, encrypted } = this.port;
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
      this.port.answered();
      return;
    }
    const done = (): void => {
      release?.();
      this.port.answered();
    };
    this.port.watchWriting();
    socket.cork();
    socket.write(head, "latin1");
    if (encrypted) writePieces(socket, bytes, done);
    else socket.write(bytes, done);
    socket.uncork();
  }

  protected open(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    const port = this.port;
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
    this.writer = writer;
    const head = this.#headText(status, headers, framingLine(status, lengthBytes, this.head.minor));
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
    return this.head.minor === 1 ? "chunked" : "close";
  }
}

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

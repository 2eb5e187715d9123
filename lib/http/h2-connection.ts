/**
 * One HTTP/2 connection of a raw listener: frames, header compression and flow control are node:http2's, on a socket
 * that was accepted like any other; requests, answers, limits and deadlines are those of HTTP/1.1.
 */
import { randomUUID } from "node:crypto";
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { H2Exchange, type H2Port } from "./h2-exchange.ts";
import { H2Head } from "./h2-head.ts";
import type { H2Host } from "./h2-host.ts";
import { pieceBytes, RESETS_MAX, RESETS_PER_SECOND, sessionOptions } from "./h2-limits.ts";
import { h2Fields } from "./h2-lines.ts";
import type { Refusal } from "./problem.ts";
import type { Deadlines, Timed } from "./raw-deadlines.ts";
import type { RawLimits } from "./raw-limits.ts";
import { secondNow } from "./raw-lines.ts";
import { problemParts } from "./raw-refusal.ts";

const ignored = (): void => {}; // "close" comes after it

export class H2Connection implements H2Port, Timed {
  readonly socket: TLSSocket;
  readonly remoteAddress: string;
  readonly encrypted = true;
  dueMs = 0;
  tick = -1;
  readonly #host: H2Host;
  readonly #session: ServerHttp2Session;
  readonly #exchanges = new Set<H2Exchange>();
  #writerCount = 0;
  #bodyBytes = 0;
  /** What was sent beside bodies and is on an exchange's account. */
  #accountedBytes = 0;
  #isEnding = false;
  /** Of the bucket of streams that were broken off, as of `#resetMs`. */
  #resetCount = 0;
  #resetMs = 0;

  constructor(socket: TLSSocket, remoteAddress: string, host: H2Host) {
    this.socket = socket;
    this.remoteAddress = remoteAddress;
    this.#host = host;
    socket.on("error", ignored);
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#gone());
    this.#session = performServerHandshake(socket, sessionOptions(host.limits));
    this.#session.on("error", ignored);
    this.#session.on("stream", (stream, _headers, _flags, fields) => this.#came(stream, fields));
    host.deadlines.set(this, host.limits.firstByteMs);
  }

  get limits(): RawLimits {
    return this.#host.limits;
  }
  get deadlines(): Deadlines {
    return this.#host.deadlines;
  }

  /** Tells the client to ask elsewhere from now on (GOAWAY), and ends when all that it asked is answered. */
  finish(): void {
    if (this.#isEnding || this.#session.destroyed) return;
    this.#isEnding = true;
    this.#session.close();
    if (this.#exchanges.size === 0) this.deadlines.set(this, this.limits.lingerMs);
  }

  /** No room for it, or no patience with it. */
  turnAway(refusal: Refusal): void {
    this.#host.refused(this, refusal);
    this.#break();
  }

  /** Nothing was under way for too long. */
  late(): void {
    if (this.#exchanges.size > 0) return; // each has its own deadline
    if (this.#isEnding || this.#session.destroyed) this.socket.destroy();
    else this.finish();
  }

  pieceBytes(): number {
    return pieceBytes(Math.max(1, this.#writerCount));
  }

  writing(change: 1 | -1): void {
    this.#writerCount += change;
  }

  handedOver(sizeBytes: number): void {
    this.#bodyBytes += sizeBytes;
  }

  overdue(exchange: H2Exchange): void {
    this.#host.overdue(exchange);
  }

  over(exchange: H2Exchange, isWhole: boolean): void {
    exchange.headBytes = this.#besideBytes();
    this.#host.note(exchange, isWhole);
    this.#exchanges.delete(exchange);
    if (this.#exchanges.size === 0) {
      this.deadlines.set(this, this.#isEnding ? this.limits.lingerMs : this.limits.idleMs);
    }
    if (!isWhole && !exchange.isCut && !this.#isEnding) this.#countReset();
  }

  /**
   * What the connection sent beside bodies since it was last asked: heads are compressed and frames are shared, so what
   * each exchange took is known only in sum. Bodies that are still on their way are not counted twice.
   */
  #besideBytes(): number {
    const bytes = Math.max(0, this.socket.bytesWritten - this.#bodyBytes - this.#accountedBytes);
    this.#accountedBytes += bytes;
    return bytes;
  }

  #came(stream: ServerHttp2Stream, fields: readonly string[]): void {
    stream.on("error", ignored);
    if (stream.destroyed || stream.closed) {
      this.#countReset();
      return;
    }
    const head = new H2Head(fields, this.limits);
    if (head.refusal) {
      this.#refuse(stream, head.refusal);
      return;
    }
    const exchange = new H2Exchange(this, stream, head);
    this.#exchanges.add(exchange);
    this.#host.dispatch(exchange);
  }

  /** The connection goes on: other streams have nothing to do with this one. */
  #refuse(stream: ServerHttp2Stream, refusal: Refusal): void {
    this.#host.refused(this, refusal);
    const { status, headers, body } = problemParts(refusal, randomUUID());
    const fields = [...h2Fields(status, headers, secondNow()), "content-length", String(body.length)];
    stream.respond(fields);
    if (!stream.writableEnded) stream.end(body);
  }

  /** A client that breaks off one stream after the other has us work for nothing (CVE-2023-44487). */
  #countReset(): void {
    const { nowMs } = this.deadlines;
    const forgiven = ((nowMs - this.#resetMs) / 1_000) * RESETS_PER_SECOND;
    this.#resetCount = Math.max(0, this.#resetCount - forgiven) + 1;
    this.#resetMs = nowMs;
    if (this.#resetCount > RESETS_MAX && !this.#isEnding && !this.#session.destroyed) {
      this.turnAway({ code: "REQUEST_MALFORMED", data: { reason: "it breaks off too many requests" } });
    }
  }

  #break(): void {
    this.#isEnding = true;
    this.#session.destroy(new Error("turned away"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.deadlines.set(this, this.limits.lingerMs);
  }

  /** Nobody opens a window any more for what is still to be sent. */
  #ended(): void {
    this.#isEnding = true;
    this.#session.destroy();
    this.deadlines.set(this, this.limits.lingerMs);
  }

  #gone(): void {
    this.deadlines.clear(this);
    this.#session.destroy();
    this.#host.sentBeside(this.#besideBytes());
    this.#host.closed(this);
  }
}

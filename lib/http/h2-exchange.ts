/**
 * One request on a stream of an HTTP/2 connection, and its one answer: what `raw-exchange.ts` is to HTTP/1.1.
 *
 *   waiting ──its body is read──▶ reading ──whole──▶ waiting
 *   waiting ──answered in pieces──▶ holding ◀──taken── ──a piece──▶ writing
 *   any ──the answer is with the kernel, the stream is closed──▶ over
 *
 * Each state has its deadline: the handler's in waiting and holding, the client's in reading and writing.
 */
import { constants, type ServerHttp2Stream } from "node:http2";
import type { BodyWriter, HeaderLines, PreparedAnswer } from "./exchange.ts";
import { EMPTY, ExchangeCore, hasNoBody } from "./exchange-core.ts";
import { H2Body } from "./h2-body.ts";
import type { H2Head } from "./h2-head.ts";
import { h2Fields } from "./h2-lines.ts";
import { H2BodyWriter, H2Sender, type Sending } from "./h2-sender.ts";
import type { Deadlines, Timed } from "./raw-deadlines.ts";
import type { RawLimits } from "./raw-limits.ts";
import { lineOf, secondNow } from "./raw-lines.ts";

/** What an exchange needs of its connection. */
export interface H2Port {
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  readonly limits: RawLimits;
  readonly deadlines: Deadlines;
  /** How much of a body one stream may have on its way now. */
  pieceBytes(): number;
  /** So many bytes of a body are handed over. */
  handedOver(sizeBytes: number): void;
  /** A body is, or no longer is, on its way. */
  writing(change: 1 | -1): void;
  /** The handler is late with its answer, or with more of it. */
  overdue(exchange: H2Exchange): void;
  /** It is over; `isWhole` when its answer was sent. */
  over(exchange: H2Exchange, isWhole: boolean): void;
}

type State = "waiting" | "reading" | "holding" | "writing" | "over";

export class H2Exchange extends ExchangeCore<H2Head, H2Port, H2BodyWriter> implements Timed, Sending {
  readonly stream: ServerHttp2Stream;
  readonly httpMinor = 1;
  /** Whether this side broke the stream off. */
  isCut = false;
  dueMs = 0;
  tick = -1;
  readonly #sender: H2Sender;
  #state: State = "waiting";
  #body: H2Body | undefined;
  #isWriter = false;

  constructor(port: H2Port, stream: ServerHttp2Stream, head: H2Head) {
    super(port, head);
    this.stream = stream;
    this.#sender = new H2Sender(this);
    stream.on("close", () => this.#closed());
    port.deadlines.set(this, port.limits.answerMs);
  }

  get isGone(): boolean {
    return this.stream.destroyed || this.stream.closed;
  }
  override get isOpen(): boolean {
    return this.#state !== "over" && super.isOpen;
  }

  get fields(): readonly string[] {
    return this.head.fields;
  }

  header(name: string): string | undefined {
    return name === "host" ? this.host : this.head.field(name);
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const { stream } = this;
    if (this.#body) return Promise.reject(new Error("bug: the body is read twice"));
    const { limits, deadlines } = this.port;
    this.#body = new H2Body(stream, this.head.lengthBytes, limitBytes);
    if (this.#body.isOver) return this.#body.collected;
    if (this.head.expectsContinue && !this.isGone) {
      stream.additionalHeaders({ ":status": constants.HTTP_STATUS_CONTINUE });
    }
    this.#state = "reading";
    deadlines.set(this, limits.bodyWindowMs);
    this.#body.onOver = () => {
      if (this.#state !== "reading") return;
      this.#state = "waiting";
      deadlines.set(this, limits.answerMs);
    };
    return this.#body.collected;
  }

  sendPrepared({ status, headers, body }: PreparedAnswer): void {
    this.send(status, headers, body);
  }

  cut(): void {
    if (this.stream.destroyed) return;
    this.isCut = true;
    // Not `close`: that ends the body before it resets the stream, and a short answer looks whole.
    this.stream.destroy(new Error("the answer is cut"));
  }

  late(): void {
    if (this.#state === "writing") this.cut();
    else if (this.#state === "reading") this.#lateReading();
    else if (this.#state !== "over") this.port.overdue(this);
  }

  pieceBytes(): number {
    return this.port.pieceBytes();
  }

  began(sizeBytes: number, onTheirWayBytes: number): void {
    this.port.handedOver(sizeBytes);
    this.#watch(onTheirWayBytes);
  }

  taken(onTheirWayBytes: number): void {
    if (this.#state !== "writing") return;
    if (onTheirWayBytes > 0) {
      this.#watch(onTheirWayBytes);
      return;
    }
    this.#state = "holding";
    this.port.deadlines.set(this, this.port.limits.answerMs);
  }

  /** Bytes may be on their way for as long as the slowest client that is put up with needs for them. */
  #watch(onTheirWayBytes: number): void {
    const { limits, deadlines } = this.port;
    this.#state = "writing";
    deadlines.set(this, Math.max(limits.bodyWindowMs, (onTheirWayBytes / limits.bodyBytesPerSecond) * 1_000));
  }

  #lateReading(): void {
    const { limits, deadlines } = this.port;
    const windowBytes = (limits.bodyBytesPerSecond * limits.bodyWindowMs) / 1_000;
    if (this.#body?.hasGotOn(windowBytes)) deadlines.set(this, limits.bodyWindowMs);
    else this.#body?.late(limits.bodyWindowMs / 1_000);
  }

  #respond(headers: HeaderLines, lengthBytes: number | null, { isAll }: { readonly isAll: boolean }): void {
    const fields = h2Fields(this.status, headers, secondNow());
    if (lengthBytes !== null && !hasNoBody(this.status)) fields.push("content-length", String(lengthBytes));
    if (this.head.hasRequestId && lineOf(headers, "x-request-id") === undefined) {
      fields.push("x-request-id", this.requestId);
    }
    try {
      this.stream.respond(fields, { endStream: isAll });
    } catch (error) {
      this.cut(); // header lines that are none; nothing was sent
      throw error;
    }
  }

  protected whole(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    const bytes = this.method === "HEAD" || hasNoBody(status) ? EMPTY : body;
    try {
      this.#respond(headers, body.length, { isAll: bytes.length === 0 });
    } catch (error) {
      release?.();
      throw error;
    }
    if (bytes.length === 0) {
      release?.();
      this.#answered();
      return;
    }
    this.#writes();
    this.sentBytes = bytes.length;
    this.#sender.push(bytes, { isLast: true }, (isTaken) => {
      release?.();
      if (isTaken) this.#answered();
    });
  }

  protected open(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    const isForgotten = this.method === "HEAD" || hasNoBody(status);
    const writer = new H2BodyWriter({
      sender: this.#sender,
      lengthBytes,
      isForgotten,
      isGone: () => this.isGone && !isForgotten,
      onEnd: () => {
        if (isForgotten) return;
        this.sentBytes = writer.sentBytes;
        this.#answered();
      },
      onAbort: () => this.cut(),
    });
    this.#respond(headers, lengthBytes, { isAll: isForgotten });
    if (isForgotten) {
      this.#answered(); // the client has all of it, whatever the handler still does
      return writer;
    }
    this.writer = writer;
    this.#state = "holding";
    this.#writes();
    return writer;
  }

  #writes(): void {
    this.#isWriter = true;
    this.port.writing(1);
  }

  #answered(): void {
    this.#end(true);
    // What is left of a request whose answer is out is for nobody (RFC 9113 §8.1).
    const { stream } = this;
    if (this.#body && !stream.endAfterHeaders && !stream.readableEnded && !this.isGone)
      stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #closed(): void {
    this.#body?.closed();
    if (this.#state === "over") return;
    this.gone();
    this.#sender.gone();
    this.#end(false);
  }

  #end(isWhole: boolean): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.port.deadlines.clear(this);
    if (this.#isWriter) this.port.writing(-1);
    this.port.over(this, isWhole);
  }
}

/**
 * One request on a stream of an HTTP/2 connection, and its one answer: what `raw-exchange.ts` is to HTTP/1.1.
 *
 *   waiting ──its body is read──▶ reading ──whole──▶ waiting
 *   waiting ──answered in pieces──▶ holding ◀──taken── ──a piece──▶ writing
 *   any ──the answer is with the kernel, the stream is closed──▶ over
 *
 * Each state has its deadline: the handler's in waiting and holding, the client's in reading and writing.
 */
import { randomUUID } from "node:crypto";
import { constants, type ServerHttp2Stream } from "node:http2";
import { ERRORS } from "../../contracts/errors.ts";
import { type AnswerChoice, chooseAnswer } from "./answer-choice.ts";
import type { BodyPart, BodyWriter, HeaderLines, PreparedAnswer } from "./exchange.ts";
import { H2Body } from "./h2-body.ts";
import type { H2Head } from "./h2-head.ts";
import type { AnsweredExchange } from "./h2-host.ts";
import { h2Fields } from "./h2-lines.ts";
import { H2BodyWriter, H2Sender, type Sending } from "./h2-sender.ts";
import { isRequestId, type Refusal } from "./problem.ts";
import type { Deadlines, Timed } from "./raw-deadlines.ts";
import type { RawLimits } from "./raw-limits.ts";
import { lineOf, secondNow } from "./raw-lines.ts";
import { problemParts } from "./raw-refusal.ts";
import { goneWriter } from "./raw-writer.ts";

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

const EMPTY = Buffer.alloc(0);

const hasNoBody = (status: number): boolean => status === 204 || status === 304;

export class H2Exchange implements AnsweredExchange, Timed, Sending {
  readonly stream: ServerHttp2Stream;
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  /** Monotonic. */
  readonly startedMs = performance.now();
  readonly httpMinor = 1;
  status = 0;
  /** Of the answer's body. */
  sentBytes = 0;
  /** Of the answer's head, and of the frames around it and the body: what the connection sent beside bodies. */
  headBytes = 0;
  answeredMs = 0;
  context: unknown = undefined;
  /** Whether this side broke the stream off. */
  isCut = false;
  dueMs = 0;
  tick = -1;
  readonly #port: H2Port;
  readonly #head: H2Head;
  readonly #sender: H2Sender;
  #state: State = "waiting";
  #requestId: string | undefined;
  #abort: AbortController | undefined;
  #writer: H2BodyWriter | undefined;
  #body: H2Body | undefined;
  #isWriter = false;
  #isGivenUp = false;

  constructor(port: H2Port, stream: ServerHttp2Stream, head: H2Head) {
    this.#port = port;
    this.#head = head;
    this.stream = stream;
    this.method = head.method;
    this.target = head.target;
    this.host = head.host;
    const mark = head.target.indexOf("?");
    this.path = mark === -1 ? head.target : head.target.slice(0, mark);
    this.query = mark === -1 ? "" : head.target.slice(mark + 1);
    this.#sender = new H2Sender(this);
    stream.on("close", () => this.#closed());
    port.deadlines.set(this, port.limits.answerMs);
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
    return this.stream.destroyed || this.stream.closed;
  }
  get isOpen(): boolean {
    return this.#state !== "over" && this.#writer !== undefined && !this.#writer.isOver;
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
    return this.#head.fields;
  }

  header(name: string): string | undefined {
    return name === "host" ? this.host : this.#head.field(name);
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const { stream } = this;
    if (this.#body) return Promise.reject(new Error("bug: the body is read twice"));
    const { limits, deadlines } = this.#port;
    this.#body = new H2Body(stream, this.#head.lengthBytes, limitBytes);
    if (this.#body.isOver) return this.#body.collected;
    if (this.#head.expectsContinue && !this.isGone) {
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

  send(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    if (!this.#claim(status)) {
      release?.();
      return;
    }
    const choice = status === 200 ? this.#choice(headers, body.length) : undefined;
    if (!choice) this.#whole(status, headers, body, release);
    else if (choice.status === 200 || choice.status === 206) {
      this.#whole(choice.status, choice.headers, body.subarray(choice.start, choice.end), release);
    } else {
      release?.();
      this.#whole(choice.status, choice.headers, EMPTY);
    }
  }

  beginPart(headers: HeaderLines, sizeBytes: number): BodyPart | undefined {
    if (!this.#claim(200)) return { start: 0, end: sizeBytes, writer: goneWriter };
    const choice = this.#choice(headers, sizeBytes);
    if (!choice) return { start: 0, end: sizeBytes, writer: this.#open(200, headers, sizeBytes) };
    const { start, end, status } = choice;
    if (status !== 200 && status !== 206) {
      this.#whole(status, choice.headers, EMPTY);
      return undefined;
    }
    return { start, end, writer: this.#open(status, choice.headers, end - start) };
  }

  begin(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    return this.#claim(status) ? this.#open(status, headers, lengthBytes) : goneWriter;
  }

  sendPrepared({ status, headers, body }: PreparedAnswer): void {
    this.send(status, headers, body);
  }

  problem(refusal: Refusal, headers: HeaderLines = ""): void {
    if (!this.#claim(ERRORS[refusal.code].status)) return;
    const { status, headers: lines, body } = problemParts(refusal, this.requestId, headers);
    this.#whole(status, lines, body);
  }

  cut(): void {
    if (this.stream.destroyed) return;
    this.isCut = true;
    // Not `close`: that ends the body before it resets the stream, and a short answer looks whole.
    this.stream.destroy(new Error("the answer is cut"));
  }

  giveUp(refusal: Refusal): void {
    this.problem(refusal);
    this.#isGivenUp = true;
    this.#abort?.abort();
  }

  late(): void {
    if (this.#state === "writing") this.cut();
    else if (this.#state === "reading") this.#lateReading();
    else if (this.#state !== "over") this.#port.overdue(this);
  }

  pieceBytes(): number {
    return this.#port.pieceBytes();
  }

  began(sizeBytes: number, onTheirWayBytes: number): void {
    this.#port.handedOver(sizeBytes);
    this.#watch(onTheirWayBytes);
  }

  taken(onTheirWayBytes: number): void {
    if (this.#state !== "writing") return;
    if (onTheirWayBytes > 0) {
      this.#watch(onTheirWayBytes);
      return;
    }
    this.#state = "holding";
    this.#port.deadlines.set(this, this.#port.limits.answerMs);
  }

  /** Bytes may be on their way for as long as the slowest client that is put up with needs for them. */
  #watch(onTheirWayBytes: number): void {
    const { limits, deadlines } = this.#port;
    this.#state = "writing";
    deadlines.set(this, Math.max(limits.bodyWindowMs, (onTheirWayBytes / limits.bodyBytesPerSecond) * 1_000));
  }

  #lateReading(): void {
    const { limits, deadlines } = this.#port;
    const windowBytes = (limits.bodyBytesPerSecond * limits.bodyWindowMs) / 1_000;
    if (this.#body?.hasGotOn(windowBytes)) deadlines.set(this, limits.bodyWindowMs);
    else this.#body?.late(limits.bodyWindowMs / 1_000);
  }

  /** False when the client has gone, and nothing need be written. */
  #claim(status: number): boolean {
    if (this.#isGivenUp) return false;
    if (this.status !== 0) throw new Error(`bug: ${this.method} ${this.path} is answered twice`);
    this.status = status;
    this.answeredMs = performance.now();
    return !this.isGone;
  }

  #choice(headers: HeaderLines, sizeBytes: number): AnswerChoice | undefined {
    const isRead = this.method === "GET" || this.method === "HEAD";
    return isRead && this.#head.isConditional ? chooseAnswer(this, headers, sizeBytes) : undefined;
  }

  #respond(headers: HeaderLines, lengthBytes: number | null, { isAll }: { readonly isAll: boolean }): void {
    const fields = h2Fields(this.status, headers, secondNow());
    if (lengthBytes !== null && !hasNoBody(this.status)) fields.push("content-length", String(lengthBytes));
    if (this.#head.hasRequestId && lineOf(headers, "x-request-id") === undefined) {
      fields.push("x-request-id", this.requestId);
    }
    try {
      this.stream.respond(fields, { endStream: isAll });
    } catch (error) {
      this.cut(); // header lines that are none; nothing was sent
      throw error;
    }
  }

  #whole(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    this.status = status;
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

  #open(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    this.status = status;
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
    this.#writer = writer;
    this.#state = "holding";
    this.#writes();
    return writer;
  }

  #writes(): void {
    this.#isWriter = true;
    this.#port.writing(1);
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
    if (this.#writer) this.sentBytes = this.#writer.sentBytes;
    this.#abort?.abort();
    this.#sender.gone();
    this.#end(false);
  }

  #end(isWhole: boolean): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#port.deadlines.clear(this);
    if (this.#isWriter) this.#port.writing(-1);
    this.#port.over(this, isWhole);
  }
}

/** What a request and its one answer are in either version of HTTP; how an answer is framed is that of each. */
import { randomUUID } from "node:crypto";
import { ERRORS } from "../../contracts/errors.ts";
import { chooseAnswer } from "./answer-choice.ts";
import type { BodyPart, BodyWriter, HeaderLines, PreparedAnswer } from "./exchange.ts";
import type { AnsweredExchange } from "./h2-host.ts";
import { isRequestId, type Refusal } from "./problem.ts";
import { problemParts } from "./raw-refusal.ts";
import { goneWriter } from "./raw-writer.ts";

/** What both heads say. */
interface Head {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly isConditional: boolean;
  readonly hasRequestId: boolean;
}
/** What both connections say. */
interface Port {
  readonly remoteAddress: string;
  readonly encrypted: boolean;
}
interface Writer extends BodyWriter {
  readonly isOver: boolean;
  readonly sentBytes: number;
}

export const EMPTY = Buffer.alloc(0);

/** Whether an answer of this status has no content (RFC 9110 §15.3.5, §15.4.5). */
export const hasNoBody = (status: number): boolean => status === 204 || status === 304;

export abstract class ExchangeCore<H extends Head, P extends Port, W extends Writer> implements AnsweredExchange {
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
  /** Of the answer's head and of what frames it and its body: what the connection sent beside bodies. */
  headBytes = 0;
  /** Monotonic: when the answer's head was written; 0 before. */
  answeredMs = 0;
  context: unknown = undefined;
  protected readonly head: H;
  protected readonly port: P;
  /** Of a body that is written in pieces. */
  protected writer: W | undefined;
  #requestId: string | undefined;
  #abort: AbortController | undefined;
  #isGivenUp = false;

  constructor(port: P, head: H) {
    this.port = port;
    this.head = head;
    this.method = head.method;
    this.target = head.target;
    const mark = head.target.indexOf("?");
    this.path = mark === -1 ? head.target : head.target.slice(0, mark);
    this.query = mark === -1 ? "" : head.target.slice(mark + 1);
  }

  abstract readonly httpMinor: number;
  abstract readonly isGone: boolean;
  abstract readonly fields: readonly string[];
  abstract header(name: string): string | undefined;
  abstract readBody(limitBytes: number): Promise<Buffer>;
  abstract sendPrepared(prepared: PreparedAnswer): void;
  abstract cut(): void;
  /** Sends an answer whose bytes are at hand; `release` is called once, when nothing refers to them. */
  protected abstract whole(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void;
  /** Begins an answer whose body is written in pieces. */
  protected abstract open(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter;

  get host(): string {
    return this.head.host;
  }
  get remoteAddress(): string {
    return this.port.remoteAddress;
  }
  get isConditional(): boolean {
    return this.head.isConditional;
  }
  get encrypted(): boolean {
    return this.port.encrypted;
  }
  get isOpen(): boolean {
    return this.writer !== undefined && !this.writer.isOver;
  }
  get requestId(): string {
    if (this.#requestId !== undefined) return this.#requestId;
    const given = this.head.hasRequestId ? this.header("x-request-id") : undefined;
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

  send(status: number, headers: HeaderLines, body: Uint8Array, release?: () => void): void {
    if (!this.claim(status)) {
      release?.();
      return;
    }
    if (status !== 200 || !this.#hasChoice()) {
      this.whole(status, headers, body, release);
      return;
    }
    const { status: chosen, headers: lines, start, end } = chooseAnswer(this, headers, body.length);
    this.status = chosen;
    this.whole(chosen, lines, body.subarray(start, end), release);
  }

  beginPart(headers: HeaderLines, sizeBytes: number): BodyPart | undefined {
    if (!this.claim(200)) return { start: 0, end: sizeBytes, writer: goneWriter };
    if (!this.#hasChoice()) return { start: 0, end: sizeBytes, writer: this.open(200, headers, sizeBytes) };
    const { start, end, status, headers: lines } = chooseAnswer(this, headers, sizeBytes);
    this.status = status;
    if (status === 200 || status === 206) return { start, end, writer: this.open(status, lines, end - start) };
    this.whole(status, lines, EMPTY);
    return undefined;
  }

  begin(status: number, headers: HeaderLines, lengthBytes: number | null): BodyWriter {
    return this.claim(status) ? this.open(status, headers, lengthBytes) : goneWriter;
  }

  problem(refusal: Refusal, headers: HeaderLines = ""): void {
    if (!this.claim(ERRORS[refusal.code].status)) return;
    const { status, headers: lines, body } = problemParts(refusal, this.requestId, headers);
    this.whole(status, lines, body);
  }

  giveUp(refusal: Refusal): void {
    this.problem(refusal);
    this.#isGivenUp = true;
    this.#abort?.abort();
  }

  /** False when nothing need be written: the client has gone, or was answered in the handler's place. */
  protected claim(status: number): boolean {
    if (this.#isGivenUp) return false;
    if (this.status !== 0) throw new Error(`bug: ${this.method} ${this.path} is answered twice`);
    this.status = status;
    this.answeredMs = performance.now();
    return !this.isGone;
  }

  /** The client has gone: an answer under way is lost. */
  gone(): void {
    if (this.writer) this.sentBytes = this.writer.sentBytes;
    this.#abort?.abort();
  }

  /** Whether conditions or a range of the request may make another answer of a 200. */
  #hasChoice(): boolean {
    return this.head.isConditional && (this.method === "GET" || this.method === "HEAD");
  }
}

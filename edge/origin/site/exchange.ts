/**
 * One request on one connection, and its answer.
 *
 *   head ── the head is whole ──► body ── its end ──► done (the connection is kept if it can be)
 *   head, body ── a deadline, the connection's end, malformed or surplus bytes, `drop` ──► failed (it is destroyed)
 *
 * What has come of a body before it failed is still given out: a fill that is resumed begins behind it.
 */
import { UpstreamError, type UpstreamReason } from "../upstream.ts";
import { type BodyReader, bodyReaderOf } from "./answer-body.ts";
import { type AnswerHead, HEAD_BYTES_MAX, parseAnswerHead } from "./answer-head.ts";
import type { Listener, OriginConnection } from "./connection.ts";
import type { BodyLimits, OriginTimeouts, TakeChunk } from "./contract.ts";

/** Waits in memory for a reader that has not come yet. */
const UNREAD_BYTES_MAX = 256 * 1024;
/** An answer that nobody reads or drops must not hold its connection: longer than one waits while others are asked. */
const UNREAD_MS = 60_000;
/** A body that is dropped is read away up to this size: cheaper than a new connection. */
const DRAINED_BYTES_MAX = 64 * 1024;
const DRAIN_MS = 1_000;
/** Heads of 1xx before the answer's own. */
const INTERIM_MAX = 16;
const HEAD_END = Buffer.from("\r\n\r\n");

interface Sent {
  readonly method: string;
  readonly head: string;
  readonly body: Uint8Array | undefined;
}

export class Exchange implements Listener {
  readonly #connection: OriginConnection;
  readonly #timeouts: OriginTimeouts;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => this.#fail("reset", this.#signal.reason);
  #method = "";
  #onHead: PromiseWithResolvers<AnswerHead> | undefined;
  #onWhole: PromiseWithResolvers<void> | undefined;
  #error: UpstreamError | undefined;
  /** Waits for the head, later for the next piece. */
  #timer: NodeJS.Timeout | undefined;
  #wholeTimer: NodeJS.Timeout | undefined;
  /** Of the head, as long as it is not whole. */
  #headBytes: Buffer | undefined;
  #interimCount = 0;
  #head: AnswerHead | undefined;
  #reader: BodyReader | undefined;
  #pieces: Buffer[] = [];
  #unreadBytes = 0;
  #take: TakeChunk | undefined;
  #isTaking = false;
  #isOver = false;
  #hasBytes = false;
  #hasEndedEarly = false;

  constructor(connection: OriginConnection, timeouts: OriginTimeouts, signal: AbortSignal) {
    this.#connection = connection;
    this.#timeouts = timeouts;
    this.#signal = signal;
  }

  /** The request met a kept connection that the other side had closed: nothing is known of the origin. */
  get metClosedConnection(): boolean {
    return this.#connection.isKept && this.#hasEndedEarly && !this.#hasBytes;
  }

  /** Sends the request; gives the head of the answer. */
  send({ method, head, body }: Sent, firstByteMs: number): Promise<AnswerHead> {
    const { socket } = this.#connection;
    this.#method = method;
    this.#onHead = Promise.withResolvers();
    const { promise } = this.#onHead;
    this.#connection.begin(this);
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    if (this.#connection.isGone) {
      this.ended(undefined);
      return promise;
    }
    this.#timer = setTimeout(() => this.#fail("first-byte"), firstByteMs);
    if (body && body.length > 0) {
      socket.cork();
      socket.write(head, "latin1");
      socket.write(body);
      socket.uncork();
    } else {
      socket.write(head, "latin1");
    }
    return promise;
  }

  /** The body, piece by piece. */
  read(take: TakeChunk, { idleMs = this.#timeouts.idleMs, bodyMs }: BodyLimits = {}): Promise<void> {
    if (this.#onWhole) throw new Error("bug: the body of an answer is read twice");
    this.#onWhole = Promise.withResolvers();
    this.#take = take;
    if (!this.#isOver) {
      if (bodyMs !== undefined) this.#wholeWithin(bodyMs);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#idle(), idleMs);
    }
    this.#pump();
    return this.#onWhole.promise;
  }

  /** The body is of no interest any more: nothing more of it is given. */
  drop(): void {
    this.#pieces = [];
    const error = new UpstreamError("reset", new Error("the answer was dropped"));
    if (this.#isOver) {
      this.#error ??= error;
      this.#onWhole?.reject(this.#error);
      return;
    }
    const isSmall = this.#head?.framing === "length" && this.#head.sizeBytes <= DRAINED_BYTES_MAX;
    if (!isSmall || this.#onWhole) this.#fail(error.reason, error.cause);
    else this.read(() => {}, { idleMs: DRAIN_MS, bodyMs: DRAIN_MS }).catch(() => {});
  }

  data(bytes: Buffer): void {
    this.#hasBytes = true;
    try {
      if (this.#head) this.#body(bytes, 0);
      else this.#headOf(bytes);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      this.#fail(error.reason, error.cause);
    }
  }

  ended(error: Error | undefined): void {
    this.#hasEndedEarly = true;
    if (this.#isOver) return;
    if (!this.#reader) {
      this.#fail("reset", error);
      return;
    }
    try {
      if (error) throw new UpstreamError("reset", error);
      this.#reader.end();
      this.#done();
      this.#pump();
    } catch (fault) {
      this.#fail("reset", fault);
    }
  }

  #headOf(bytes: Buffer): void {
    let all = this.#headBytes ? Buffer.concat([this.#headBytes, bytes]) : bytes;
    for (;;) {
      const end = all.indexOf(HEAD_END);
      if ((end === -1 ? all.length : end) > HEAD_BYTES_MAX) {
        throw new UpstreamError("protocol", new Error(`the answer's head is longer than ${HEAD_BYTES_MAX} bytes`));
      }
      if (end === -1) {
        this.#headBytes = all;
        return;
      }
      const head = parseAnswerHead(all.toString("latin1", 0, end), this.#method);
      if (head.status >= 200) {
        this.#begin(head, all, end + HEAD_END.length);
        return;
      }
      this.#interimCount += 1;
      // 101: nobody asked for another protocol.
      if (head.status === 101 || this.#interimCount > INTERIM_MAX) {
        throw new UpstreamError("protocol", new Error(`it answers ${head.status}`));
      }
      all = all.subarray(end + HEAD_END.length);
    }
  }

  #begin(head: AnswerHead, bytes: Buffer, bodyAt: number): void {
    clearTimeout(this.#timer);
    this.#headBytes = undefined;
    this.#head = head;
    this.#reader = bodyReaderOf(head);
    this.#body(bytes, bodyAt);
    if (!this.#isOver) {
      this.#wholeWithin(this.#timeouts.bodyMs);
      this.#timer = setTimeout(() => this.#fail("idle"), UNREAD_MS);
    }
    this.#onHead?.resolve(head);
  }

  #body(bytes: Buffer, from: number): void {
    const reader = this.#reader!; // there once the head is
    const before = this.#pieces.length;
    const end = reader.read(bytes, from, this.#pieces);
    if (reader.isDone) {
      // RFC 9112 §9.2: what comes behind a response is none. Where no body can be, what came is let go.
      const hasSurplus = end < bytes.length;
      if (hasSurplus && this.#head?.framing !== "none")
        throw new UpstreamError("size", new Error("bytes follow its end"));
      this.#done({ isClean: !hasSurplus });
    } else {
      this.#timer?.refresh();
    }
    if (this.#take) {
      this.#pump();
      return;
    }
    for (let at = before; at < this.#pieces.length; at += 1) this.#unreadBytes += this.#pieces[at]!.length;
    if (this.#unreadBytes > UNREAD_BYTES_MAX && !this.#isOver) this.#connection.socket.pause();
  }

  /** Gives out what has come, as fast as it is taken. */
  #pump(): void {
    while (this.#take && !this.#isTaking && this.#pieces.length > 0) this.#give(this.#pieces.shift()!, this.#take);
    if (this.#isTaking || this.#pieces.length > 0) return;
    if (this.#error) this.#onWhole?.reject(this.#error);
    else if (this.#isOver) this.#onWhole?.resolve();
    else if (this.#take && this.#connection.socket.isPaused()) this.#connection.socket.resume();
  }

  #give(piece: Buffer, take: TakeChunk): void {
    try {
      const taken = take(piece);
      if (!taken) return;
      this.#isTaking = true;
      if (!this.#isOver) this.#connection.socket.pause();
      taken.then(
        () => {
          this.#isTaking = false;
          this.#timer?.refresh();
          this.#pump();
        },
        (error: unknown) => this.#refused(error),
      );
    } catch (error) {
      this.#refused(error);
    }
  }

  /** Who takes the body can't: nothing more is given. */
  #refused(error: unknown): void {
    const reason = error instanceof UpstreamError ? error.reason : "protocol";
    this.#pieces = [];
    this.#isTaking = false;
    this.#take = undefined;
    if (this.#isOver) this.#error ??= new UpstreamError(reason, error);
    else this.#fail(reason, error);
    this.#onWhole?.reject(this.#error);
  }

  #done({ isClean = true } = {}): void {
    this.#over();
    const { framing, keepAlive, keepAliveMs } = this.#head!; // a body ends behind its head
    if (isClean && keepAlive && framing !== "close") this.#connection.keep(keepAliveMs);
    else this.#connection.destroy();
  }

  #fail(reason: UpstreamReason, cause?: unknown): void {
    if (this.#isOver) return;
    this.#error = new UpstreamError(reason, cause);
    this.#over();
    this.#connection.destroy();
    this.#onHead?.reject(this.#error);
    this.#pump();
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#wholeTimer);
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  #idle(): void {
    if (this.#isTaking)
      this.#timer?.refresh(); // it is not the origin that is waited for
    else this.#fail("idle");
  }

  #wholeWithin(ms: number): void {
    clearTimeout(this.#wholeTimer);
    this.#wholeTimer = setTimeout(() => this.#fail("body-time"), ms);
  }
}

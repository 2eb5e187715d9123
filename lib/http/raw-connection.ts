/**
 * One connection of a raw listener: requests in the order in which they came, one at a time.
 *
 *   idle ──a byte──▶ head ──whole──▶ busy ──answered──▶ idle
 *                                     └──answered, its body is not read yet──▶ dropping ──▶ idle
 *   any ──refused, late, told to close──▶ lingering ──the client closes, or in a while──▶ closed
 *
 * What a client sends ahead waits, up to a limit above which nothing more is read. Nothing here depends on whether the
 * socket is encrypted.
 */
import type { Socket } from "node:net";
import { Fault } from "../../contracts/errors.ts";
import type { Refusal } from "./problem.ts";
import { RequestBody } from "./raw-body.ts";
import { LF } from "./raw-bytes.ts";
import type { Deadlines, Timed } from "./raw-deadlines.ts";
import { Exchange, type ExchangePort } from "./raw-exchange.ts";
import { MORE, RawHead, REFUSED } from "./raw-head.ts";
import { RawInput } from "./raw-input.ts";
import type { RawLimits } from "./raw-limits.ts";

type State = "idle" | "head" | "busy" | "dropping" | "lingering" | "closed";

/** What a connection needs of its listener. */
export interface ConnectionHost {
  readonly limits: RawLimits;
  readonly deadlines: Deadlines;
  readonly isClosing: boolean;
  /** Has the exchange answered, now or later. */
  dispatch(exchange: Exchange): void;
  /** It did not answer, or did not go on with its answer, in time. */
  overdue(exchange: Exchange): void;
  /** The exchange is over; `isWhole` when its answer was sent. */
  note(exchange: Exchange, isWhole: boolean): void;
  refused(connection: RawConnection, refusal: Refusal): void;
  closed(connection: RawConnection): void;
}

const EMPTY = Buffer.alloc(0);
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
/** What libuv has not got rid of yet; where a Node has no such figure, a write that is not complete has not moved. */
const queueOf = (socket: Socket): number =>
  (socket as { _handle?: { writeQueueSize?: number } | null })._handle?.writeQueueSize ?? 0;

const ENDS_EARLY = new Fault("REQUEST_MALFORMED", { reason: "its body ends early" });

export class RawConnection implements ExchangePort, Timed {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  dueMs = 0;
  tick = -1;
  readonly #host: ConnectionHost;
  #state: State = "idle";
  readonly #input = new RawInput();
  #head: RawHead | undefined;
  #keepAlive = true;
  #exchange: Exchange | undefined;
  #body: RequestBody | undefined;
  #isRunning = false;
  #isDeferred = false;
  #hasEnded = false;
  #isWriting = false;
  // Where the bodies were when their window began.
  #readMark = 0;
  #sentMark = -1;
  #queueMark = 0;
  #stuckMs = 0;

  constructor(socket: Socket, remoteAddress: string, host: ConnectionHost) {
    this.socket = socket;
    this.remoteAddress = remoteAddress;
    this.encrypted = "encrypted" in socket && socket.encrypted === true;
    this.#host = host;
    socket.on("data", (bytes: Buffer) => this.#came(bytes));
    socket.on("end", () => this.#ended());
    socket.on("drain", () => this.#run());
    socket.on("error", () => {}); // "close" comes after it
    socket.on("close", () => this.#gone());
    host.deadlines.set(this, host.limits.firstByteMs);
  }

  get isBusy(): boolean {
    return this.#state === "busy" || this.#state === "dropping";
  }

  /** Ends it as soon as nothing is under way: at once when it waits for a request. */
  finish(): void {
    if (this.#state === "idle" && this.#input.size === 0) this.#close();
  }

  /** Answers whatever it asks with this, and closes. */
  turnAway(refusal: Refusal): void {
    this.#refuse(refusal);
  }

  reset(): void {
    // A TLS socket has no reset; its peer sees that no close_notify came.
    // One that is ending already would never close if it were reset.
    if (this.encrypted || this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  persists(): boolean {
    if (!this.#keepAlive || this.#host.isClosing) return false;
    const body = this.#body;
    if (!body || body.isDone) return !this.#hasEnded || this.#input.size > 0;
    const isAnnounced = this.#head?.expectsContinue === true && body.readBytes === 0;
    return !body.fault && !isAnnounced && !body.exceeds(this.#host.limits.dropBytes);
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const body = this.#body;
    if (!body) return Promise.resolve(EMPTY);
    if (body.fault) return Promise.reject(body.fault);
    if (body.isFlowing) return Promise.reject(new Error("bug: the body is read twice"));
    const collected = body.collect(limitBytes);
    if (body.fault) return collected;
    if (this.#head?.expectsContinue && this.#input.size === 0) this.socket.write(CONTINUE, "latin1");
    this.#readMark = 0;
    this.#host.deadlines.set(this, this.#host.limits.bodyWindowMs);
    this.#feed();
    return collected;
  }

  watchWriting(): void {
    this.#isWriting = true;
    this.#sentMark = -1; // less than anything: the first window has nothing to compare with
    this.#host.deadlines.set(this, this.#host.limits.bodyWindowMs);
  }

  answered(): void {
    const exchange = this.#exchange;
    if (!exchange || this.#state !== "busy") return;
    this.#exchange = undefined;
    this.#isWriting = false;
    this.#host.note(exchange, true);
    const body = this.#body;
    if (!exchange.keepsAlive || body?.fault) {
      this.#close();
      return;
    }
    if (!body || body.isDone) {
      this.#next();
      return;
    }
    this.#state = "dropping";
    this.#readMark = body.readBytes;
    this.#host.deadlines.set(this, this.#host.limits.bodyWindowMs);
    body.drop(this.#host.limits.dropBytes);
    this.#feed();
  }

  late(): void {
    if (this.#state === "lingering") this.socket.destroy();
    else if (this.#state === "head") {
      this.#refuse({ code: "HEAD_LATE", data: { seconds: this.#host.limits.headMs / 1_000 } });
    } else if (this.#state === "idle") {
      if (this.socket.writableLength > 0) this.#lateWriting();
      else this.#close();
    } else if (this.#isWriting) this.#lateWriting();
    else if (this.#body?.isFlowing && !this.#body.isDone) this.#lateReading(this.#body);
    else if (this.#exchange) {
      this.#keepAlive = false;
      this.#host.overdue(this.#exchange);
    }
  }

  /** Bytes that a body has to get on by in a window. */
  get #windowBytes(): number {
    const { bodyBytesPerSecond, bodyWindowMs } = this.#host.limits;
    return (bodyBytesPerSecond * bodyWindowMs) / 1_000;
  }

  /** The end of a window in which something was to be taken by the client. */
  #lateWriting(): void {
    const { socket } = this;
    const writtenBytes = socket.bytesWritten - socket.writableLength; // by writes that are complete
    const queuedBytes = queueOf(socket);
    const hasMoved = writtenBytes > this.#sentMark || this.#queueMark - queuedBytes >= this.#windowBytes;
    const { bodyWindowMs, answerMs } = this.#host.limits;
    this.#stuckMs = hasMoved ? 0 : this.#stuckMs + bodyWindowMs;
    const isWithHandler = socket.writableLength === 0;
    if (this.#stuckMs >= (isWithHandler ? answerMs : bodyWindowMs)) {
      if (isWithHandler && this.#exchange) this.#host.overdue(this.#exchange);
      else this.reset();
      return;
    }
    this.#sentMark = writtenBytes;
    this.#queueMark = queuedBytes;
    this.#host.deadlines.set(this, bodyWindowMs);
  }

  #lateReading(body: RequestBody): void {
    const { limits, deadlines } = this.#host;
    if (body.readBytes - this.#readMark < this.#windowBytes) {
      this.#cutBody(body, new Fault("BODY_LATE", { seconds: limits.bodyWindowMs / 1_000 }));
      return;
    }
    this.#readMark = body.readBytes;
    deadlines.set(this, limits.bodyWindowMs);
  }

  #came(bytes: Buffer): void {
    if (this.#state === "lingering" || this.#state === "closed") return;
    this.#input.add(bytes);
    if (this.#body?.isFlowing && !this.#body.isDone) this.#feed();
    else if (this.#state === "idle") this.#run();
    // Without a line end nothing of a head is whole that was not before.
    else if (this.#state === "head" && (bytes.includes(LF) || this.#input.size > this.#host.limits.requestLineBytes)) {
      this.#run();
    }
    this.#hold();
  }

  /** Reads no more than the requests and bodies ahead may have. */
  #hold(): void {
    if (this.#state === "lingering" || this.#state === "closed") return;
    const isFull = this.#input.size > this.#host.limits.aheadBytes;
    if (isFull !== this.socket.isPaused()) isFull ? this.socket.pause() : this.socket.resume();
  }

  /** Takes the requests that are there, as long as each is answered at once. */
  #run(): void {
    if (this.#isRunning || this.#isDeferred) return;
    this.#isRunning = true;
    let count = 0;
    let isCorked = false;
    while ((this.#state === "idle" || this.#state === "head") && this.#input.size > 0) {
      // Who does not take the answers gets no more of them.
      if (this.socket.writableNeedDrain) break;
      if (count === this.#host.limits.turnCount) {
        this.#defer();
        break;
      }
      count += 1;
      const head = this.#nextHead();
      if (!head) break;
      if (!isCorked && this.#input.size > 0) {
        isCorked = true;
        this.socket.cork();
      }
      this.#take(head);
    }
    if (isCorked) this.socket.uncork();
    this.#isRunning = false;
    this.#hold();
    this.#settle();
  }

  /** Others first. */
  #defer(): void {
    this.#isDeferred = true;
    setImmediate(() => {
      this.#isDeferred = false;
      this.#run();
    });
  }

  /** A client that has ended its side gets its answers, and then the end. */
  #settle(): void {
    if (!this.#hasEnded || this.#isDeferred || this.socket.writableNeedDrain) return;
    if (this.#state === "idle" || this.#state === "head") this.#close();
  }

  #nextHead(): RawHead | undefined {
    this.#head ??= new RawHead(this.#host.limits);
    const head = this.#head;
    const next = head.read(this.#input.bytes, this.#input.at);
    if (next >= 0) {
      this.#input.take(next);
      return head;
    }
    if (next === REFUSED && head.refusal) this.#refuse(head.refusal);
    else if (next === MORE && this.#state === "idle") {
      this.#state = "head";
      this.#host.deadlines.set(this, this.#host.limits.headMs);
    }
    return undefined;
  }

  #take(head: RawHead): void {
    this.#state = "busy";
    this.#head = head;
    this.#keepAlive = head.keepAlive;
    this.#body = head.bodyBytes === 0 ? undefined : new RequestBody(head.bodyBytes);
    const exchange = new Exchange(this, head);
    this.#exchange = exchange;
    this.#host.deadlines.set(this, this.#host.limits.answerMs);
    this.#host.dispatch(exchange);
  }

  /** The answer is out and its request read: on to the next. */
  #next(): void {
    this.#state = "idle";
    this.#head = undefined;
    this.#body = undefined;
    this.#host.deadlines.set(this, this.#host.limits.idleMs);
    if (this.#host.isClosing && this.#input.size === 0) this.#close();
    else this.#run();
  }

  /** What is there of a body that is collected or dropped. */
  #feed(): void {
    const body = this.#body;
    if (!body) return;
    this.#input.take(body.read(this.#input.bytes, this.#input.at));
    this.#hold();
    if (body.fault) {
      if (this.#state === "dropping") this.#close();
    } else if (body.isDone) {
      if (this.#state === "dropping") this.#next();
      else this.#host.deadlines.set(this, this.#host.limits.answerMs);
    } else if (this.#hasEnded) {
      this.#cutBody(body, ENDS_EARLY);
    }
  }

  #cutBody(body: RequestBody, fault: Fault): void {
    body.end(fault);
    if (this.#state === "dropping") this.#close();
  }

  #ended(): void {
    this.#hasEnded = true;
    if (this.#body?.isFlowing && !this.#body.isDone) this.#feed();
    this.#settle();
  }

  #refuse(refusal: Refusal): void {
    this.#host.refused(this, refusal);
    this.#close();
  }

  /** What was written still goes out; what comes is dropped for a while, lest a reset overtakes it. */
  #close(): void {
    if (this.#state === "lingering" || this.#state === "closed") return;
    this.#state = "lingering";
    this.#input.clear();
    this.#host.deadlines.set(this, this.#host.limits.lingerMs);
    this.socket.end();
    this.socket.resume();
  }

  #gone(): void {
    this.#state = "closed";
    this.#host.deadlines.clear(this);
    this.#body?.end(ENDS_EARLY);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange) {
      exchange.gone();
      this.#host.note(exchange, false);
    }
    this.#host.closed(this);
  }
}

/**
 * The body of an answer on its way into an HTTP/2 stream, a piece at a time: node:http2 encrypts at once all that the
 * client's windows allow, so what it is given is what a client that takes nothing can make us hold.
 */
import type { ServerHttp2Stream } from "node:http2";
import type { BodyWriter } from "./exchange.ts";
import { CLIENT_GONE } from "./raw-writer.ts";

/** What a sender needs of its exchange. */
export interface Sending {
  readonly stream: ServerHttp2Stream;
  /** How many bytes may be on their way now. */
  pieceBytes(): number;
  /** So many bytes were handed over; with those before them `onTheirWayBytes` are not with the kernel yet. */
  began(sizeBytes: number, onTheirWayBytes: number): void;
  /** Some are with the kernel; so many are not yet. */
  taken(onTheirWayBytes: number): void;
}

interface Item {
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
  /** Called once: all of it is with the kernel, or the client has gone. */
  readonly done: (isTaken: boolean) => void;
}

const EMPTY = Buffer.alloc(0);
/** As much may be offered ahead of what the client takes; a write of its own has no such limit. */
const AHEAD_BYTES = 64 * 1024;

export class H2Sender {
  readonly #sending: Sending;
  /** Not yet with the kernel, in order; of the first ones all is on its way. */
  readonly #items: Item[] = [];
  /** Of #items: those that are on their way as a whole, and how much of the next one is. */
  #sentCount = 0;
  #at = 0;
  #waitingBytes = 0;
  #onItsWayBytes = 0;
  #drained: (() => void) | undefined;
  #isGone = false;

  constructor(sending: Sending) {
    this.#sending = sending;
  }

  /** Whether the client takes what it is given. */
  get isKeepingUp(): boolean {
    return this.#waitingBytes < AHEAD_BYTES;
  }

  /** Calls back once all that was pushed is with the kernel, or the client has gone. */
  onDrain(drained: () => void): void {
    if (this.#isGone || this.#items.length === 0) process.nextTick(drained);
    else this.#drained = drained;
  }

  /** `isLast`: the stream ends with it. */
  push(bytes: Uint8Array, { isLast }: { readonly isLast: boolean }, done: (isTaken: boolean) => void): void {
    if (this.#isGone) {
      done(false);
      return;
    }
    this.#items.push({ bytes, isLast, done });
    this.#waitingBytes += bytes.length;
    this.#fill();
  }

  /** The stream is closed. */
  gone(): void {
    this.#isGone = true;
    for (const { done } of this.#items.splice(0)) done(false);
    this.#drain();
  }

  #fill(): void {
    const limitBytes = this.#sending.pieceBytes();
    while (this.#sentCount < this.#items.length && this.#onItsWayBytes < limitBytes) {
      this.#write(this.#items[this.#sentCount]!, limitBytes);
    }
  }

  #write(item: Item, limitBytes: number): void {
    const { stream } = this.#sending;
    const to = Math.min(item.bytes.length, this.#at + limitBytes);
    const piece = item.bytes.subarray(this.#at, to);
    const isWhole = to === item.bytes.length;
    this.#at = isWhole ? 0 : to;
    if (isWhole) this.#sentCount += 1;
    this.#onItsWayBytes += piece.length;
    this.#sending.began(piece.length, this.#onItsWayBytes);
    const taken = (error?: Error | null): void => (error ? this.gone() : this.#taken(piece.length, isWhole));
    if (!isWhole || !item.isLast) stream.write(piece, taken);
    else if (piece.length === 0) stream.end(taken);
    else stream.end(piece, taken);
  }

  #taken(sizeBytes: number, isWhole: boolean): void {
    if (this.#isGone) return;
    this.#onItsWayBytes -= sizeBytes;
    this.#waitingBytes -= sizeBytes;
    this.#sending.taken(this.#onItsWayBytes);
    if (isWhole) {
      this.#sentCount -= 1;
      this.#items.shift()?.done(true);
    }
    if (this.#items.length === 0) this.#drain();
    this.#fill();
  }

  #drain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }
}

const gone = (): Error => Object.assign(new Error("the client has gone"), { code: CLIENT_GONE });

export interface H2Writing {
  readonly sender: H2Sender;
  /** As announced; null when it was not. */
  readonly lengthBytes: number | null;
  /** HEAD and answers without content: what is written is forgotten. */
  readonly isForgotten: boolean;
  readonly isGone: () => boolean;
  readonly onEnd: () => void;
  readonly onAbort: () => void;
}

/** A body that is written in pieces, of exactly the length that was announced. */
export class H2BodyWriter implements BodyWriter {
  /** Bytes of the body that were handed over. */
  sentBytes = 0;
  isOver = false;
  readonly #writing: H2Writing;

  constructor(writing: H2Writing) {
    this.#writing = writing;
  }

  write(bytes: Uint8Array): Promise<void> {
    const { lengthBytes, isForgotten, isGone } = this.#writing;
    if (isGone()) return Promise.reject(gone());
    if (this.isOver) return Promise.reject(new Error("bug: the body has ended already"));
    if (lengthBytes !== null && this.sentBytes + bytes.length > lengthBytes) {
      this.abort();
      return Promise.reject(new Error(`bug: more than the ${lengthBytes} bytes that were announced`));
    }
    this.sentBytes += bytes.length;
    return isForgotten || bytes.length === 0 ? Promise.resolve() : this.#push(bytes, { isLast: false });
  }

  offer(bytes: Uint8Array): boolean {
    const { sender, lengthBytes, isForgotten, isGone } = this.#writing;
    if (isGone() || bytes.length === 0) return true;
    if (this.isOver) throw new Error("bug: the body has ended already");
    if (lengthBytes !== null && this.sentBytes + bytes.length > lengthBytes) {
      this.abort();
      throw new Error(`bug: more than the ${lengthBytes} bytes that were announced`);
    }
    this.sentBytes += bytes.length;
    if (isForgotten) return true;
    sender.push(bytes, { isLast: false }, () => {});
    return sender.isKeepingUp;
  }

  onDrain(drained: () => void): void {
    this.#writing.sender.onDrain(drained);
  }

  async end(): Promise<void> {
    const { lengthBytes, isForgotten, isGone, onEnd } = this.#writing;
    if (this.isOver) return;
    if (isGone()) throw gone();
    if (lengthBytes !== null && this.sentBytes < lengthBytes && !isForgotten) {
      this.abort();
      throw new Error(`bug: ${this.sentBytes} of the ${lengthBytes} bytes that were announced`);
    }
    this.isOver = true;
    if (!isForgotten) await this.#push(EMPTY, { isLast: true });
    onEnd();
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#writing.onAbort();
  }

  #push(bytes: Uint8Array, how: { readonly isLast: boolean }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writing.sender.push(bytes, how, (isTaken) => (isTaken ? resolve() : reject(gone())));
    });
  }
}

/**
 * A body that many read while it is still coming in.
 *
 *   filling ── whole() ──► whole        filling ── broken() ──► broken
 *
 * Nothing is copied for a reader: it gets views into the one buffer, as fast as its own connection takes them. A reader
 * stays with one body for its life, so what it gets is one version's bytes or a broken connection, never a mixture.
 * It fills from the front; a piece further on (a span) may come in beside it, for readers that begin there.
 */
import type { UpstreamReason } from "../origin/upstream.ts";

const GROW_FROM_BYTES = 64 * 1024;
/** Pieces beside the front of one body: what asks for more waits for the front. */
const SPANS_MAX = 8;

/** Bytes that fills may hold beside the cache; a fill that finds no room is refused. */
export class ByteBudget {
  readonly maxBytes: number;
  #usedBytes = 0;
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }
  get usedBytes(): number {
    return this.#usedBytes;
  }
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.maxBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }
  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

export type Refusal = Extract<UpstreamReason, "size" | "busy">;

/** Memory for a body of so many bytes; its content is not looked at before it is written. */
export type Allocate = (bytes: number) => Buffer;
/** Not from Node's pool: a small object must not keep a slab of others alive. */
export const allocatePlain: Allocate = (bytes) => Buffer.allocUnsafeSlow(bytes);
/** Memory that all threads of the process see. */
export const allocateShared: Allocate = (bytes) => Buffer.from(new SharedArrayBuffer(bytes));

/** What a reader needs of a body, wherever it is filled. */
export interface Body {
  readonly sizeBytes: number | undefined;
  readonly filledBytes: number;
  readonly state: "filling" | "whole" | "broken";
  reach(offset: number): number;
  isNear(offset: number, aheadBytes: number): boolean;
  view(start?: number, end?: number): Buffer;
  onMore(wake: () => void): () => void;
}

interface BodyOptions {
  /** Undefined where the origin does not announce it. */
  readonly sizeBytes: number | undefined;
  readonly maxBytes: number;
  readonly budget: ByteBudget;
  readonly allocate?: Allocate;
}

/** A piece that comes in beside the front: bytes from `start` to `end` (exclusive, grows) are there. */
export interface Span {
  readonly start: number;
  end: number;
}

export class FillingBody implements Body {
  readonly sizeBytes: number | undefined;
  readonly #maxBytes: number;
  readonly #budget: ByteBudget;
  readonly #allocate: Allocate;
  readonly #wakers = new Set<() => void>();
  readonly #spans: Span[] = [];
  #buffer: Buffer = Buffer.alloc(0);
  #takenBytes = 0;
  #filledBytes = 0;
  #state: "filling" | "whole" | "broken" = "filling";
  #wakePlanned = false;

  constructor({ sizeBytes, maxBytes, budget, allocate = allocatePlain }: BodyOptions) {
    this.sizeBytes = sizeBytes;
    this.#maxBytes = maxBytes;
    this.#budget = budget;
    this.#allocate = allocate;
  }

  /** Makes room for the announced size; why there is none otherwise. */
  open(): Refusal | undefined {
    return this.#grow(this.sizeBytes ?? GROW_FROM_BYTES);
  }

  /** Bytes that are there from the front on. */
  get filledBytes(): number {
    return this.#filledBytes;
  }
  get state(): "filling" | "whole" | "broken" {
    return this.#state;
  }

  /** The memory behind it, as far as it was made: for threads that read along. */
  get memory(): Buffer {
    return this.#buffer;
  }
  /** Pieces beside the front. */
  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** Where the bytes that are there from `offset` on end (exclusive); `offset` itself when there are none. */
  reach(offset: number): number {
    let end = offset < this.#filledBytes ? this.#filledBytes : offset;
    for (let again = this.#spans.length > 0; again; ) {
      again = false;
      for (const span of this.#spans) {
        if (span.start > end || span.end <= end) continue;
        end = span.end;
        again = true;
      }
    }
    return end;
  }

  /** Whether a piece that is coming in, or the front, gets to `offset` within `aheadBytes`. */
  isNear(offset: number, aheadBytes: number): boolean {
    const isBehind = (end: number): boolean => offset <= end + aheadBytes;
    return isBehind(this.#filledBytes) || this.#spans.some(({ start, end }) => start <= offset && isBehind(end));
  }

  /** What is there, or a part of it: a view, not a copy. `end` must not be beyond `reach(start)`. */
  view(start = 0, end = this.#filledBytes): Buffer {
    return this.#buffer.subarray(start, Math.min(end, this.#buffer.length));
  }

  /** Adds what the origin sent at the front; why it can't be taken otherwise. */
  append(chunk: Buffer): Refusal | undefined {
    const needed = this.#filledBytes + chunk.length;
    if (needed > (this.sizeBytes ?? this.#maxBytes)) return "size";
    if (needed > this.#buffer.length) {
      const refusal = this.#grow(Math.min(Math.max(needed, this.#buffer.length * 2), this.#maxBytes));
      if (refusal) return refusal;
    }
    chunk.copy(this.#buffer, this.#filledBytes);
    this.#filledBytes = needed;
    this.#wakeSoon();
    return undefined;
  }

  /** Begins a piece beside the front; undefined where the size is not known or there are too many. */
  span(start: number): Span | undefined {
    if (this.sizeBytes === undefined || this.#state !== "filling" || this.#spans.length >= SPANS_MAX) return undefined;
    const span: Span = { start, end: start };
    this.#spans.push(span);
    return span;
  }

  /** Adds to a piece; false when it is more than the body has, or the body is over. */
  appendTo(span: Span, chunk: Buffer): boolean {
    if (this.#state !== "filling" || span.end + chunk.length > this.#buffer.length) return false;
    chunk.copy(this.#buffer, span.end);
    span.end += chunk.length;
    this.#wakeSoon();
    return true;
  }

  /** Every byte is there, whichever way it came. */
  get isCovered(): boolean {
    return this.sizeBytes !== undefined && this.reach(0) >= this.sizeBytes;
  }

  whole(): void {
    if (this.isCovered) this.#filledBytes = this.sizeBytes ?? this.#filledBytes;
    this.#end("whole");
    // A buffer that was grown in the dark is cut to size, so that the cache holds what it counts.
    if (this.#buffer.length > this.#filledBytes) this.#resize(this.#filledBytes);
  }

  broken(): void {
    this.#end("broken");
  }

  /** Calls back after more has come in, at most once per turn of the event loop, and when the body ends. */
  onMore(wake: () => void): () => void {
    this.#wakers.add(wake);
    return () => this.#wakers.delete(wake);
  }

  #end(next: "whole" | "broken"): void {
    if (this.#state !== "filling") throw new Error(`bug: a body that is ${this.#state} can't become ${next}`);
    this.#state = next;
    this.#budget.giveBack(this.#takenBytes);
    this.#takenBytes = 0;
    this.#wakeSoon();
  }

  #grow(bytes: number): Refusal | undefined {
    if (bytes > this.#maxBytes) return "size";
    const more = bytes - this.#takenBytes;
    if (!this.#budget.take(more)) return "busy";
    this.#takenBytes = bytes;
    this.#resize(bytes);
    return undefined;
  }

  #resize(bytes: number): void {
    const room = this.#allocate(bytes);
    this.view().copy(room);
    this.#buffer = room;
  }

  #wakeSoon(): void {
    if (this.#wakePlanned) return;
    this.#wakePlanned = true;
    // Once per turn, not per chunk: with 500 readers the difference is what a cold object's first byte costs.
    setImmediate(() => {
      this.#wakePlanned = false;
      for (const wake of [...this.#wakers]) wake();
    });
  }
}

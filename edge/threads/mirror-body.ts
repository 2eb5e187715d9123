/** A body that another thread fills: the same memory, and what that thread tells of how far it has come. */
import type { Body } from "../cache/body.ts";
import type { Progress, SharedBytes } from "./protocol.ts";

export const bufferOf = ({ memory, offset, length }: SharedBytes): Buffer =>
  memory instanceof SharedArrayBuffer
    ? Buffer.from(memory, offset, length)
    : Buffer.from(memory.buffer, memory.byteOffset + offset, length);

export class MirrorBody implements Body {
  readonly sizeBytes: number | undefined;
  #memory: Buffer;
  #progress: Progress;
  readonly #wakers = new Set<() => void>();

  constructor(sizeBytes: number | undefined, bytes: SharedBytes, progress: Progress) {
    this.sizeBytes = sizeBytes;
    this.#memory = bufferOf(bytes);
    this.#progress = progress;
  }

  get filledBytes(): number {
    return this.#progress.filledBytes;
  }
  get state(): "filling" | "whole" | "broken" {
    return this.#progress.state;
  }

  reach(offset: number): number {
    let end = offset < this.filledBytes ? this.filledBytes : offset;
    for (let again = this.#progress.spans.length > 0; again; ) {
      const span = this.#progress.spans.find(({ start, end: to }) => start <= end && to > end);
      again = span !== undefined;
      if (span) end = span.end;
    }
    return end;
  }

  isNear(offset: number, aheadBytes: number): boolean {
    const isBehind = (end: number): boolean => offset <= end + aheadBytes;
    return isBehind(this.filledBytes) || this.#progress.spans.some((at) => at.start <= offset && isBehind(at.end));
  }

  view(start = 0, end = this.filledBytes): Buffer {
    return this.#memory.subarray(start, Math.min(end, this.#memory.length));
  }

  onMore(wake: () => void): () => void {
    this.#wakers.add(wake);
    return () => this.#wakers.delete(wake);
  }

  came(progress: Progress, bytes: SharedBytes | undefined): void {
    if (bytes) this.#memory = bufferOf(bytes);
    this.#progress = progress;
    for (const wake of [...this.#wakers]) wake();
  }
}

/** Where the body of an answer ends, by its length, its chunks or the connection (RFC 9112 §6.3, §7.1). */
import { ChunkFraming, type ChunkRules } from "../../../lib/http/chunk-framing.ts";
import { UpstreamError } from "../upstream.ts";
import type { AnswerHead } from "./answer-head.ts";

export interface BodyReader {
  readonly isDone: boolean;
  /** Puts the content of `bytes` from `from` on into `pieces`; gives where the body ended, or the end of the bytes. */
  read(bytes: Buffer, from: number, pieces: Buffer[]): number;
  /** The connection has ended: an UpstreamError when the body is not whole. */
  end(): void;
}

class LengthReader implements BodyReader {
  #leftBytes: number;
  constructor(sizeBytes: number) {
    this.#leftBytes = sizeBytes;
  }
  get isDone(): boolean {
    return this.#leftBytes === 0;
  }
  read(bytes: Buffer, from: number, pieces: Buffer[]): number {
    const to = Math.min(bytes.length, from + this.#leftBytes);
    this.#leftBytes -= to - from;
    if (to > from) pieces.push(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    return to;
  }
  end(): void {
    throw new UpstreamError("reset", new Error(`the connection ended ${this.#leftBytes} bytes too early`));
  }
}

class CloseReader implements BodyReader {
  isDone = false;
  read(bytes: Buffer, from: number, pieces: Buffer[]): number {
    if (from < bytes.length) pieces.push(bytes.subarray(from));
    return bytes.length;
  }
  end(): void {
    this.isDone = true;
  }
}

/** Sizes are below 2^53. */
const RULES: ChunkRules = { sizeDigitsMax: 13, extraBytesMax: 16 * 1024, allowsSpace: true };

class ChunkedReader implements BodyReader {
  readonly #framing = new ChunkFraming(RULES);

  get isDone(): boolean {
    return this.#framing.isDone;
  }

  read(bytes: Buffer, from: number, pieces: Buffer[]): number {
    const framing = this.#framing;
    let at = from;
    while (at < bytes.length && !framing.isDone) {
      if (!framing.isAtData) {
        framing.read(bytes[at]!);
        if (framing.fault) throw new UpstreamError("protocol", new Error(framing.fault));
        at += 1;
        continue;
      }
      const to = Math.min(bytes.length, at + framing.leftBytes);
      pieces.push(bytes.subarray(at, to));
      framing.took(to - at);
      at = to;
    }
    return at;
  }

  end(): void {
    throw new UpstreamError("reset", new Error("the connection ended before the last chunk"));
  }
}

/** The reader for the body that a head announces. */
export const bodyReaderOf = ({ framing, sizeBytes }: AnswerHead): BodyReader => {
  switch (framing) {
    case "chunked":
      return new ChunkedReader();
    case "close":
      return new CloseReader();
    default:
      return new LengthReader(sizeBytes);
  }
};

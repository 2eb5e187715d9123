/** A body that is written in pieces, of exactly the length that was announced. */
import type { Socket } from "node:net";
import type { BodyWriter } from "./exchange.ts";

/** What a write to a client that has left rejects with; nobody's fault and nothing to log. */
export const CLIENT_GONE = "CLIENT_GONE";

export const isClientGone = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === CLIENT_GONE;

const gone = (): Error => Object.assign(new Error("the client has gone"), { code: CLIENT_GONE });

/** For an answer that nobody will get. */
export const goneWriter: BodyWriter = {
  write: () => Promise.reject(gone()),
  offer: () => true,
  onDrain: () => {},
  end: () => Promise.reject(gone()),
  abort: () => {},
};

/** How the body is told from what follows it (RFC 9112 §6): by its length, by chunks, by the connection's end. */
export type Framing = "length" | "chunked" | "close" | "none";

export interface Writing {
  readonly socket: Socket;
  readonly framing: Framing;
  /** With framing `length`. */
  readonly lengthBytes: number | null;
  /** The last byte has been taken by the socket. */
  readonly onEnd: () => void;
  /** The connection is to be reset: a short answer must never look like a whole one. */
  readonly onAbort: () => void;
  /** Bytes of framing that were written beside the body. */
  readonly onFraming: (bytes: number) => void;
}

const LAST_CHUNK = "0\r\n\r\n";

export class RawBodyWriter implements BodyWriter {
  /** Bytes of the body that were handed over. */
  sentBytes = 0;
  isOver = false;
  readonly #writing: Writing;

  constructor(writing: Writing) {
    this.#writing = writing;
  }

  write(bytes: Uint8Array): Promise<void> {
    const { socket, framing, lengthBytes } = this.#writing;
    if (socket.destroyed) return Promise.reject(gone());
    if (this.isOver) return Promise.reject(new Error("bug: the body has ended already"));
    if (lengthBytes !== null && this.sentBytes + bytes.length > lengthBytes) {
      this.abort();
      return Promise.reject(new Error(`bug: more than the ${lengthBytes} bytes that were announced`));
    }
    this.sentBytes += bytes.length;
    if (framing === "none" || bytes.length === 0) return Promise.resolve();
    if (framing !== "chunked") return this.#taken(bytes);
    socket.cork();
    this.#chunkHead(bytes.length);
    socket.write(bytes);
    const taken = this.#taken("\r\n");
    socket.uncork();
    return taken;
  }

  offer(bytes: Uint8Array): boolean {
    const { socket, framing, lengthBytes } = this.#writing;
    if (socket.destroyed || bytes.length === 0) return true;
    if (this.isOver) throw new Error("bug: the body has ended already");
    if (lengthBytes !== null && this.sentBytes + bytes.length > lengthBytes) {
      this.abort();
      throw new Error(`bug: more than the ${lengthBytes} bytes that were announced`);
    }
    this.sentBytes += bytes.length;
    if (framing === "none") return true;
    if (framing !== "chunked") return socket.write(bytes);
    socket.cork();
    this.#chunkHead(bytes.length);
    socket.write(bytes);
    const takes = socket.write("\r\n", "latin1");
    socket.uncork();
    return takes;
  }

  onDrain(drained: () => void): void {
    const { socket } = this.#writing;
    const once = (): void => {
      socket.off("drain", once);
      socket.off("close", once);
      drained();
    };
    socket.on("drain", once);
    socket.on("close", once);
  }

  #chunkHead(sizeBytes: number): void {
    const line = `${sizeBytes.toString(16)}\r\n`;
    this.#writing.socket.write(line, "latin1");
    this.#writing.onFraming(line.length + 2);
  }

  async end(): Promise<void> {
    const { socket, framing, lengthBytes, onEnd } = this.#writing;
    if (socket.destroyed) throw gone();
    if (this.isOver) return;
    if (lengthBytes !== null && this.sentBytes < lengthBytes && framing !== "none") {
      this.abort();
      throw new Error(`bug: ${this.sentBytes} of the ${lengthBytes} bytes that were announced`);
    }
    this.isOver = true;
    if (framing === "chunked") {
      this.#writing.onFraming(LAST_CHUNK.length);
      await this.#taken(LAST_CHUNK);
    }
    onEnd();
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#writing.onAbort();
  }

  /** Resolves when the kernel has it, so that its memory may be used again. */
  #taken(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(gone()) : resolve());
      if (typeof bytes === "string") this.#writing.socket.write(bytes, "latin1", done);
      else this.#writing.socket.write(bytes, done);
    });
  }
}

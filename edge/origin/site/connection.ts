/** One connection to an origin: it serves one exchange at a time, or waits for the next one. */
import type { Socket } from "node:net";

/** Who uses the connection. */
export interface Listener {
  data(bytes: Buffer): void;
  /** It has ended, with the error that ended it. Called once; the connection is of no use any more. */
  ended(error: Error | undefined): void;
}

interface Owner {
  /** It can serve again, and does so for `keepMs` at the most. */
  kept(connection: OriginConnection, keepMs: number): void;
  gone(connection: OriginConnection): void;
}

/** A server closes when it likes: before that we do, or a request meets a closed connection. */
const KEEP_MS = 30_000;
const KEEP_MARGIN_MS = 1_000;

export class OriginConnection {
  readonly socket: Socket;
  readonly #owner: Owner;
  #listener: Listener | undefined;
  #isGone = false;
  /** It has served before: the server may have closed it in this very moment. */
  isKept = false;

  constructor(socket: Socket, owner: Owner) {
    this.socket = socket;
    this.#owner = owner;
    // Bytes that nobody asked for: the next answer could be anybody's.
    socket.on("data", (bytes: Buffer) => (this.#listener ? this.#listener.data(bytes) : this.destroy()));
    socket.on("end", () => this.#end(undefined));
    socket.on("error", (error) => this.#end(error));
    socket.on("timeout", () => this.destroy());
    socket.on("close", () => this.#end(new Error("the connection was closed")));
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whatever comes goes to `listener` from now on. */
  begin(listener: Listener): void {
    this.socket.setTimeout(0);
    this.#listener = listener;
  }

  /** A whole answer was read, and nothing but it. */
  keep(saidMs: number | undefined): void {
    this.#listener = undefined;
    if (this.#isGone) return;
    const keepMs = Math.min(KEEP_MS, (saidMs ?? Number.POSITIVE_INFINITY) - KEEP_MARGIN_MS);
    const isDirty = this.socket.writableLength > 0 || this.socket.readableLength > 0;
    if (keepMs <= 0 || isDirty) {
      this.destroy();
      return;
    }
    this.isKept = true;
    this.#owner.kept(this, keepMs);
  }

  /** It is closed, and its listener hears no more. */
  destroy(): void {
    this.#listener = undefined;
    this.#end(undefined);
  }

  /** It is closed, whatever it does. */
  abandon(): void {
    this.#end(new Error("the origin is closed"));
  }

  #end(error: Error | undefined): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.socket.destroy();
    const listener = this.#listener;
    this.#listener = undefined;
    this.#owner.gone(this);
    listener?.ended(error);
  }
}

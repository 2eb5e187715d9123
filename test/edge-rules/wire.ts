/** HTTP/1.1 messages off a socket, read without any HTTP library: the scripts judge bytes. */
import type { Socket } from "node:net";

/** How long a script waits for anything: far above what any step takes on a busy machine. */
export const DEADLINE_MS = 30_000;

export interface Head {
  /** Without its CRLF. */
  readonly startLine: string;
  readonly fields: readonly string[];
}
/** Resolves with what `promise` gives, or fails after the deadline with `what`. */
export const within = async <T>(promise: Promise<T>, what: string): Promise<T> => {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nothing came in ${DEADLINE_MS} ms: ${what}`)), DEADLINE_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** The bytes of a socket, taken from the front. */
export class Wire {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #isOver = false;
  #wake = Promise.withResolvers<void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#stir();
    });
    const over = (): void => {
      this.#isOver = true;
      this.#stir();
    };
    socket.on("end", over);
    socket.on("close", over);
    socket.on("error", over);
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  /** Waits until `found` gives something of the bytes so far; undefined when they end before. */
  async #until<T>(found: (bytes: Buffer) => T | undefined): Promise<T | undefined> {
    for (;;) {
      const result = found(this.#bytes);
      if (result !== undefined || this.#isOver) return result;
      await this.#wake.promise;
    }
  }
  #drop(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Up to and without `mark`, which is dropped; undefined when the bytes end before. */
  async takeUntil(mark: string): Promise<string | undefined> {
    const at = await this.#until((bytes) => {
      const found = bytes.indexOf(mark, 0, "latin1");
      return found < 0 ? undefined : found;
    });
    if (at === undefined) return undefined;
    const text = this.#drop(at).toString("latin1");
    this.#drop(mark.length);
    return text;
  }
  /** At least one byte and at most `most`; none when the bytes are over. */
  async takeSome(most: number): Promise<Buffer> {
    await this.#until((bytes) => (bytes.length > 0 ? true : undefined));
    return this.#drop(Math.min(most, this.#bytes.length));
  }
  /** Resolves when the other side has closed. */
  async closed(): Promise<void> {
    await this.#until(() => undefined);
  }
}

export const fieldOf = ({ fields }: Head, lowerName: string): string | undefined => {
  const values = fields.filter((_, index) => index % 2 === 1 && fields[index - 1]?.toLowerCase() === lowerName);
  return values.length === 0 ? undefined : values.join(", ");
};

/** undefined when the connection ends before a head. */
export const readHead = async (wire: Wire): Promise<Head | undefined> => {
  const text = await wire.takeUntil("\r\n\r\n");
  if (text === undefined) return undefined;
  const [startLine = "", ...lines] = text.split("\r\n");
  const fields = lines.flatMap((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return { startLine, fields };
};

/** Takes what comes of a body. */
export type Sink = (bytes: Buffer) => void;

const readExactly = async (wire: Wire, count: number, sink: Sink): Promise<boolean> => {
  let left = count;
  while (left > 0) {
    const bytes = await wire.takeSome(left);
    if (bytes.length === 0) return false;
    left -= bytes.length;
    sink(bytes);
  }
  return true;
};

const readChunked = async (wire: Wire, sink: Sink): Promise<boolean> => {
  for (;;) {
    const line = await wire.takeUntil("\r\n");
    const size = line === undefined ? Number.NaN : Number.parseInt(line, 16);
    if (Number.isNaN(size)) return false;
    if (size > 0 && !(await readExactly(wire, size, sink))) return false;
    // Behind the last chunk come trailer fields up to an empty line; behind any other one an empty line.
    for (let text = await wire.takeUntil("\r\n"); text !== ""; text = await wire.takeUntil("\r\n")) {
      if (text === undefined || size > 0) return false;
    }
    if (size === 0) return true;
  }
};

/**
 * Reads the body behind a head; true when it ended as its framing says. `untilClose`: one without framing ends with the
 * connection (RFC 9112 §6.3).
 */
export const readBody = async (wire: Wire, head: Head, to: { sink: Sink; untilClose: boolean }): Promise<boolean> => {
  if (fieldOf(head, "transfer-encoding")?.toLowerCase() === "chunked") return readChunked(wire, to.sink);
  const length = fieldOf(head, "content-length");
  if (length !== undefined) return readExactly(wire, Number(length), to.sink);
  if (!to.untilClose) return true;
  for (let bytes = await wire.takeSome(65_536); bytes.length > 0; bytes = await wire.takeSome(65_536)) to.sink(bytes);
  return wire.socket.errored === null;
};

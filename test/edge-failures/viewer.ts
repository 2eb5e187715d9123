/** Viewers on bare sockets: what they got, whether it looks whole to any client, and how many bytes it was. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Got {
  /** 0: the connection ended before a head. */
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  /** By its own framing (RFC 9112 §6.3): what a client can't tell from all there is. */
  readonly looksWhole: boolean;
  /** Everything that came, heads and framing too. */
  readonly wireBytes: number;
  field(lowerName: string): string | undefined;
}
export interface Wish {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Leaves after so many bytes. */
  readonly leaveAfterBytes?: number;
}

const DEADLINE_MS = 20_000;

const fieldIn = (head: string, lowerName: string): string | undefined => {
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (line.slice(0, colon).toLowerCase() === lowerName) return line.slice(colon + 1).trim();
  }
  return undefined;
};

/** The content of chunks, and whether the last one is there. */
const dechunk = (bytes: Buffer): { body: Buffer; isWhole: boolean; end: number } => {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf("\r\n", at);
    const sizeBytes = line === -1 ? Number.NaN : Number.parseInt(bytes.toString("latin1", at, line), 16);
    if (Number.isNaN(sizeBytes)) return { body: Buffer.concat(pieces), isWhole: false, end: at };
    if (sizeBytes === 0) {
      const end = bytes.indexOf("\r\n", line + 2);
      return { body: Buffer.concat(pieces), isWhole: end !== -1, end: end + 2 };
    }
    pieces.push(bytes.subarray(line + 2, line + 2 + sizeBytes));
    at = line + 2 + sizeBytes + 2;
    if (at > bytes.length) return { body: Buffer.concat(pieces), isWhole: false, end: bytes.length };
  }
};

interface Parsed {
  readonly got: Omit<Got, "wireBytes">;
  /** Undefined while more may come. */
  readonly end: number | undefined;
}
const parse = (bytes: Buffer, { method, mayBeOver }: { method: string; mayBeOver: boolean }): Parsed => {
  const at = bytes.indexOf("\r\n\r\n");
  const head = at === -1 ? "" : bytes.toString("latin1", 0, at);
  const status = Number(head.split(" ")[1] ?? 0);
  const field = (name: string): string | undefined => fieldIn(head, name);
  const rest = bytes.subarray(at === -1 ? bytes.length : at + 4);
  const base = { status, head, field };
  if (at === -1) return { got: { ...base, body: rest, looksWhole: false }, end: undefined };
  if (method === "HEAD" || status === 204 || status === 304) {
    return { got: { ...base, body: rest.subarray(0, 0), looksWhole: true }, end: at + 4 };
  }
  if (field("transfer-encoding") === "chunked") {
    // Looked at closely only where it may have ended: large ones come in many pieces.
    if (!mayBeOver && bytes.toString("latin1", bytes.length - 5) !== "0\r\n\r\n") {
      return { got: { ...base, body: rest, looksWhole: false }, end: undefined };
    }
    const { body, isWhole, end } = dechunk(rest);
    return { got: { ...base, body, looksWhole: isWhole }, end: isWhole ? at + 4 + end : undefined };
  }
  const length = field("content-length");
  if (length === undefined) return { got: { ...base, body: rest, looksWhole: true }, end: undefined };
  const isWhole = rest.length >= Number(length);
  return {
    got: { ...base, body: rest.subarray(0, Number(length)), looksWhole: isWhole },
    end: isWhole ? at + 4 + Number(length) : undefined,
  };
};

const requestOf = (path: string, { host = "localhost", method = "GET", headers = {} }: Wish): string => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.join("")}\r\n`;
};

/** A connection that asks one thing after the other. */
export class Viewer {
  readonly socket: Socket;
  /** All that ever came. */
  wireBytes = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #isOver = false;
  #isReset = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    const over = (): void => {
      this.#isOver = true;
      this.#wake();
    };
    socket.on("data", (bytes: Buffer) => {
      this.wireBytes += bytes.length;
      this.#pieces.push(bytes);
      this.#bytes += bytes.length;
      this.#wake();
    });
    socket.on("error", () => {
      this.#isReset = true;
      over();
    });
    socket.on("end", over);
    socket.on("close", over);
  }

  static async to(port: number): Promise<Viewer> {
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    return new Viewer(socket);
  }

  get(path: string, wish: Wish = {}): Promise<Got> {
    return this.say(requestOf(path, wish), wish);
  }

  /** Sends any bytes as a request; one answer that is not 1xx is read. */
  async say(text: string, { method = "GET", leaveAfterBytes = Number.POSITIVE_INFINITY }: Wish = {}): Promise<Got> {
    const before = this.wireBytes;
    this.socket.write(text, "latin1");
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      this.socket.destroy();
    }, DEADLINE_MS);
    try {
      for (let wanted = 0; ; ) {
        // Parsing anew for each piece would be quadratic: only when there is enough for a whole answer.
        const last = this.#pieces.at(-1);
        const isLastChunk = last?.toString("latin1", Math.max(0, last.length - 5)) === "0\r\n\r\n";
        if (this.#bytes >= wanted || isLastChunk || this.#isOver) {
          const all = Buffer.concat(this.#pieces);
          this.#pieces = [all];
          if (isLate) throw new Error(`nothing more came in ${DEADLINE_MS} ms: ${text.slice(0, 200)}`);
          const { got, end } = parse(all, { method, mayBeOver: this.#isOver || all.length >= leaveAfterBytes });
          if (end !== undefined) return this.#take(got, end, before);
          if (this.#isOver || all.length >= leaveAfterBytes) {
            if (!this.#isOver) this.socket.destroy();
            const isShort = got.field("content-length") === undefined && this.#isReset;
            return this.#take(isShort ? { ...got, looksWhole: false } : got, all.length, before);
          }
          const announced = Number(got.field("content-length") ?? 0);
          const more = all.length > 2 ** 20 && announced === 0 ? all.length / 8 : 1;
          wanted = Math.min(leaveAfterBytes, Math.max(announced, all.length + more));
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(late);
    }
  }

  #take(got: Omit<Got, "wireBytes">, end: number, before: number): Got {
    const rest = Buffer.concat(this.#pieces).subarray(end);
    this.#pieces = [rest];
    this.#bytes = rest.length;
    return { ...got, wireBytes: this.wireBytes - before };
  }

  leave(): void {
    this.socket.destroy();
  }
}

/** One request on a connection of its own. */
export const view = async (port: number, path: string, wish: Wish = {}): Promise<Got> => {
  const viewer = await Viewer.to(port);
  try {
    return await viewer.get(path, wish);
  } finally {
    viewer.leave();
  }
};

/** Sends all of it, ends its side, and gives everything that came until the other side ended too. */
export const exchangeAll = async (port: number, bytes: Buffer): Promise<string> => {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const pieces: Buffer[] = [];
  const over = Promise.withResolvers<void>();
  const late = setTimeout(() => over.reject(new Error(`no end in ${DEADLINE_MS} ms: ${bytes}`)), DEADLINE_MS);
  socket.on("data", (piece: Buffer) => pieces.push(piece));
  socket.on("error", () => over.resolve()); // a reset is an end
  socket.on("close", () => over.resolve());
  socket.on("end", () => over.resolve());
  socket.end(bytes);
  try {
    await over.promise;
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
  return Buffer.concat(pieces).toString("latin1");
};

/** Answers that are kept ready: one buffer of head and body, made again when the Date in it is a second old. */
import type { HeaderLines, PreparedAnswer } from "./exchange.ts";
import { dateFor, statusLine } from "./raw-lines.ts";

/** Above it a copy of the body would cost more than the second write that it saves. */
export const ONE_WRITE_BYTES_MAX = 64 * 1024;

/** Made by `prepare` alone. */
export class Prepared implements PreparedAnswer {
  readonly status: number;
  readonly headers: HeaderLines;
  readonly body: Uint8Array;
  #bytes: Buffer | undefined;
  #second = -1;

  constructor(status: number, headers: HeaderLines, body: Uint8Array) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  /** Head and body as they go to a client of HTTP/1.1 that stays connected. */
  bytesAt(second: number): Buffer {
    if (this.#bytes && this.#second === second) return this.#bytes;
    const { status, headers, body } = this;
    const head = `${statusLine(status)}${headers}Content-Length: ${body.length}\r\n${dateFor(headers, second)}\r\n`;
    // Not into the old memory: a socket may still hold it.
    const bytes = Buffer.allocUnsafeSlow(head.length + body.length);
    bytes.write(head, 0, "latin1");
    bytes.set(body, head.length);
    this.#bytes = bytes;
    this.#second = second;
    return bytes;
  }
}

/** An answer for `sendPrepared`. The body must not change afterwards. */
export const prepare = (status: number, headers: HeaderLines, body: Uint8Array): PreparedAnswer =>
  new Prepared(status, headers, body);

/** The body of an HTTP/2 request, collected. Its framing and length are nghttp2's to check. */
import type { ServerHttp2Stream } from "node:http2";
import { Fault } from "../../contracts/errors.ts";

const EMPTY = Buffer.alloc(0);
const FIRST_BYTES = 4 * 1024;
const ENDS_EARLY = new Fault("REQUEST_MALFORMED", { reason: "its body ends early" });

export class H2Body {
  /** Rejects with BODY_TOO_LARGE, BODY_LATE or REQUEST_MALFORMED. */
  readonly collected: Promise<Buffer>;
  isOver = false;
  /** It is collected, or will not be. */
  onOver: () => void = () => {};
  readonly #stream: ServerHttp2Stream;
  readonly #limitBytes: number;
  #content: Buffer = EMPTY;
  #sizeBytes = 0;
  #markBytes = 0;
  readonly #resolve: (body: Buffer) => void;
  readonly #reject: (fault: Fault) => void;

  constructor(stream: ServerHttp2Stream, lengthBytes: number | undefined, limitBytes: number) {
    this.#stream = stream;
    this.#limitBytes = limitBytes;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.collected = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    if (lengthBytes !== undefined && lengthBytes > limitBytes) this.#tooLarge();
    else if (stream.endAfterHeaders) this.#done();
    else if (stream.closed || stream.destroyed) this.#fail(ENDS_EARLY);
    else this.#collect();
  }

  /** Whether at least so many bytes came since it was last asked. */
  hasGotOn(bytes: number): boolean {
    const hasGotOn = this.#sizeBytes - this.#markBytes >= bytes;
    this.#markBytes = this.#sizeBytes;
    return hasGotOn;
  }

  late(seconds: number): void {
    this.#fail(new Fault("BODY_LATE", { seconds }));
  }

  /** The stream is closed: nothing more will come. */
  closed(): void {
    this.#fail(ENDS_EARLY);
  }

  #collect(): void {
    this.#stream.on("data", (bytes: Buffer) => this.#came(bytes));
    this.#stream.on("end", () => {
      if (this.isOver) return;
      // A stream that is reset ends too.
      if (this.#stream.aborted) this.#fail(ENDS_EARLY);
      else this.#done();
    });
  }

  #came(bytes: Buffer): void {
    if (this.isOver) return;
    if (this.#sizeBytes + bytes.length > this.#limitBytes) {
      this.#tooLarge();
      return;
    }
    this.#keep(bytes);
  }

  /** Into memory that doubles: many small frames must not become many small buffers. */
  #keep(bytes: Buffer): void {
    const needed = this.#sizeBytes + bytes.length;
    if (needed > this.#content.length) {
      const grown = Buffer.allocUnsafe(Math.max(FIRST_BYTES, needed, this.#content.length * 2));
      this.#content.copy(grown, 0, 0, this.#sizeBytes);
      this.#content = grown;
    }
    bytes.copy(this.#content, this.#sizeBytes);
    this.#sizeBytes = needed;
  }

  #done(): void {
    this.#over();
    this.#resolve(this.#content.subarray(0, this.#sizeBytes));
  }

  #tooLarge(): void {
    this.#fail(new Fault("BODY_TOO_LARGE", { limitBytes: this.#limitBytes }));
  }

  #fail(fault: Fault): void {
    if (this.isOver) return;
    this.#stream.pause(); // its window stays shut
    this.#content = EMPTY;
    this.#over();
    this.#reject(fault);
  }

  #over(): void {
    this.isOver = true;
    this.onOver();
  }
}

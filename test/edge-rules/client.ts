/** A client of a script: one connection, whose answers are read one after the other. */
import { once } from "node:events";
import { connect } from "node:net";
import { type Head, readBody, readHead, Wire, within } from "./wire.ts";

/** An answer whose body may still be coming. */
export class Answer {
  readonly head: Head;
  readonly status: number;
  /** True when the body ended as its framing says; false when it was cut. */
  readonly finished: Promise<boolean>;
  #body = Buffer.alloc(0);
  #isOver = false;
  #came = Promise.withResolvers<void>();

  constructor(wire: Wire, head: Head, hasBody: boolean) {
    this.head = head;
    this.status = Number(head.startLine.split(" ")[1]);
    const sink = (bytes: Buffer): void => {
      this.#body = Buffer.concat([this.#body, bytes]);
      this.#stir();
    };
    this.finished = hasBody ? readBody(wire, head, { sink, untilClose: true }) : Promise.resolve(true);
    void this.finished.then(() => {
      this.#isOver = true;
      this.#stir();
    });
  }

  #stir(): void {
    this.#came.resolve();
    this.#came = Promise.withResolvers<void>();
  }
  get body(): Buffer {
    return this.#body;
  }
  /** Resolves when `count` bytes of the body are there, or it is over. */
  async hasBytes(count: number): Promise<void> {
    while (this.#body.length < count && !this.#isOver) await this.#came.promise;
  }
}

export class ScriptClient {
  readonly #wire: Wire;
  /** Methods of the requests that are not answered yet; raw bytes count as GET. */
  readonly #methods: string[] = [];
  #answer: Answer | undefined;

  private constructor(wire: Wire) {
    this.#wire = wire;
  }

  static async open(port: number): Promise<ScriptClient> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    return new ScriptClient(new Wire(socket));
  }

  send(bytes: Buffer, method: string): void {
    this.#methods.push(method);
    this.#wire.socket.write(bytes);
  }

  /** The answer that is coming in, else the next one; interim answers are passed over. */
  async answer(): Promise<Answer> {
    if (this.#answer) return this.#answer;
    const method = this.#methods.shift();
    for (;;) {
      const head = await within(readHead(this.#wire), "an answer's head");
      if (head === undefined) throw new Error("the connection ended without an answer");
      const status = Number(head.startLine.split(" ")[1]);
      if (status >= 100 && status < 200) continue;
      this.#answer = new Answer(this.#wire, head, method !== "HEAD" && status !== 204 && status !== 304);
      return this.#answer;
    }
  }
  /** The next answer of this connection is another one. */
  answerIsDone(): void {
    this.#answer = undefined;
  }

  async closed(): Promise<void> {
    await within(this.#wire.closed(), "the end of the connection");
  }
  leave(): void {
    this.#wire.socket.destroy();
  }
}

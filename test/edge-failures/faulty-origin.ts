/** An origin that can be told to misbehave: it answers each request by a function that has the bare socket. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** A request as it came. */
export interface Asked {
  readonly method: string;
  readonly target: string;
  /** Value of a field by its lower-case name. */
  readonly field: (name: string) => string | undefined;
  readonly socket: Socket;
}
export type Behave = (asked: Asked) => void;

const CRLF = "\r\n";
export const headOf = (status: string, ...lines: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...lines, "", ""].join(CRLF);

/** A first and a last offset of a Range, as far as `sizeBytes` goes; undefined where there is none. */
export const rangeOf = ({ field }: Asked, sizeBytes: number): { from: number; to: number } | undefined => {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(field("range") ?? "") ?? [];
  if (first === undefined) return undefined;
  return { from: Number(first), to: last ? Math.min(sizeBytes, Number(last) + 1) : sizeBytes };
};

export class FaultyOrigin {
  behave: Behave;
  /** Method and target of each request, the cache's own looks at its health left out. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(behave: Behave) {
    this.behave = behave;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async open(t: { after(clean: () => Promise<void>): void }, behave: Behave): Promise<FaultyOrigin> {
    const origin = new FaultyOrigin(behave);
    await origin.listen();
    t.after(() => origin.close());
    return origin;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }
  get connectionCount(): number {
    return this.#sockets.size;
  }
  countOf(target: string): number {
    return this.asked.filter((one) => one === `GET ${target}`).length;
  }

  /** On the port that it had before, if it had one. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("bug: no port");
    this.#port = address.port;
  }

  /** Nothing is accepted any more, and every connection is reset. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    let text = "";
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        text = text.slice(end + 4 + length);
        this.#came(socket, head);
      }
    });
  }

  #came(socket: Socket, head: string): void {
    const [startLine = "", ...lines] = head.split(CRLF);
    const [method = "", target = ""] = startLine.split(" ");
    const fields = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    if (method === "HEAD" && !fields.has("user-agent")) {
      socket.write(headOf("200 OK", "Content-Length: 0"));
      return;
    }
    this.asked.push(`${method} ${target}`);
    this.behave({ method, target, field: (name) => fields.get(name), socket });
  }
}

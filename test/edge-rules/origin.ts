/** The origin of a script: it answers what the script says, byte by byte, when the script says it. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { fieldOf, type Head, readBody, readHead, Wire, within } from "./wire.ts";

/** What the clients of scripts call themselves. A HEAD without it is the cache's own look at the origin's health. */
export const AGENT = "script";

/** A request that came, with the connection to answer it on. */
export interface OriginRequest extends Head {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  readonly socket: Socket;
}

export class ScriptedOrigin {
  #server: Server | undefined;
  #port = 0;
  readonly #sockets = new Set<Socket>();
  /** Came, but not yet taken by a step. */
  readonly #waiting: OriginRequest[] = [];
  #came = Promise.withResolvers<void>();

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => void this.#serve(socket));
    this.#server = server;
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("bug: no port");
    this.#port = address.port;
  }

  /** Nothing is accepted any more, and every connection is reset. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (!server) return;
    server.close();
    await once(server, "close");
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const wire = new Wire(socket);
    for (let head = await readHead(wire); head !== undefined; head = await readHead(wire)) {
      const chunks: Buffer[] = [];
      await readBody(wire, head, { sink: (bytes) => chunks.push(bytes), untilClose: false });
      const [method = "", target = ""] = head.startLine.split(" ");
      if (method === "HEAD" && fieldOf(head, "user-agent") === undefined) {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        continue;
      }
      this.#waiting.push({ ...head, method, target, body: Buffer.concat(chunks), socket });
      this.#came.resolve();
      this.#came = Promise.withResolvers<void>();
    }
  }

  /** What came and was asked for by no step, as text. */
  get unasked(): string[] {
    return this.#waiting.map(({ method, target }) => `${method} ${target}`);
  }

  /** The oldest request of this kind; waits for it. */
  async take(method: string, target: string): Promise<OriginRequest> {
    const found = async (): Promise<OriginRequest> => {
      for (;;) {
        const at = this.#waiting.findIndex((one) => one.method === method && one.target === target);
        const [request] = at < 0 ? [] : this.#waiting.splice(at, 1);
        if (request) return request;
        await this.#came.promise;
      }
    };
    try {
      return await within(found(), `${method} ${target} at the origin`);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; it got ${JSON.stringify(this.unasked)}`);
    }
  }
}

/** Raw listeners and clients that say exactly what a test wants, byte by byte. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Writable } from "node:stream";
import type { TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import pino from "pino";
import { type Log, quietLog } from "../log/log.ts";
import type { RawHandler } from "./exchange.ts";
import { Deadlines } from "./raw-deadlines.ts";
import { openRawListener, type RawListener, type RawListenerOptions } from "./raw-listener.ts";

const WAIT_MS = 30_000;

/** A listener on a free port, closed at the end of the test. */
export const rawListener = async (
  t: TestContext,
  handle: RawHandler,
  options: Partial<RawListenerOptions> = {},
): Promise<RawListener> => {
  const listener = await openRawListener({
    name: "test",
    host: "127.0.0.1",
    port: 0,
    portVariable: "PORT",
    log: quietLog,
    ready: () => ({ ready: true, checks: {} }),
    handle,
    ...options,
  });
  t.after(() => listener.close(0));
  return listener;
};

/** A log that is kept, line by line. */
export const keptLog = (): { readonly log: Log; readonly lines: Record<string, unknown>[] } => {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  return { log: pino({ level: "debug" }, stream), lines };
};

/** A connection of a client that may do anything. */
export class RawClient {
  readonly socket: Socket;
  /** `reset`, `end` or undefined while it is open. */
  ending: "reset" | "end" | undefined;
  #received: Buffer[] = [];
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => {
      this.#received.push(bytes);
      this.#wake();
    });
    socket.on("error", () => {
      this.ending = "reset";
      this.#wake();
    });
    socket.on("end", () => {
      this.ending ??= "end";
      this.#wake();
    });
    socket.on("close", () => {
      this.ending ??= "end";
      this.#wake();
    });
  }

  static async to(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }
  get bytes(): Buffer {
    const whole = Buffer.concat(this.#received);
    this.#received = [whole];
    return whole;
  }

  send(text: string | Uint8Array): void {
    if (typeof text === "string") this.socket.write(text, "latin1");
    else this.socket.write(text);
  }

  /** Waits until it holds. */
  async until(holds: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(WAIT_MS);
    const late = new Promise<never>((_, reject) => {
      deadline.addEventListener("abort", () => reject(new Error(`nothing more came after: ${this.text.slice(-300)}`)));
    });
    while (!holds()) {
      const more = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([more, late]);
    }
  }

  /** Everything until the server ends or resets the connection. */
  async toEnd(): Promise<string> {
    await this.until(() => this.ending !== undefined);
    return this.text;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Sends all of it, ends its side, and gives everything that came until the server ended too. */
export const exchange = async (port: number, text: string | Uint8Array): Promise<string> => {
  const client = await RawClient.to(port);
  client.send(text);
  client.socket.end();
  const answer = await client.toEnd();
  client.destroy();
  return answer;
};

/** Dates as `<date>`, made request ids as `<id>`. */
export const masked = (text: string): string =>
  text
    .replace(/^Date: .* GMT\r$/gm, "Date: <date>\r")
    .replace(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, "<id>");

/** The status lines of what may be several answers. */
export const statusesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

/** The bodies of several answers, none of which has a body that looks like an answer. */
export const bodiesOf = (text: string): string[] =>
  text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((answer) => answer !== "")
    .map((answer) => answer.slice(answer.indexOf("\r\n\r\n") + 4));

/** Lets everything happen that is already under way. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await turn();
};

/** A listener whose time the test moves. */
export const timed = async (t: TestContext, handle: RawHandler, limits = {}) => {
  const deadlines = new Deadlines(500);
  const log = keptLog();
  const listener = await rawListener(t, handle, { deadlines, log: log.log, limits });
  const pass = async (seconds: number): Promise<void> => {
    await settle();
    for (let ms = 0; ms < seconds * 1_000; ms += 500) deadlines.advance(500);
    await settle();
  };
  const client = async (text = ""): Promise<RawClient> => {
    const made = await RawClient.to(listener.port);
    t.after(() => made.destroy());
    if (text !== "") made.send(text);
    await settle();
    return made;
  };
  return { listener, pass, client, log };
};

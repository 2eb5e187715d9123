/**
 * An HTTP/1.1 listener on raw sockets: strict about what it takes, bounded in everything, and cheaper than node:http,
 * which costs more than most of what is answered through it. It has the three health addresses of every listener.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { codeOf, type FaultData } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import type { AccessLog } from "./access-log.ts";
import type { RawHandler } from "./exchange.ts";
import { healthAnswer, isHealthPath, type Ready } from "./health.ts";
import { listening } from "./listening.ts";
import type { Refusal } from "./problem.ts";
import { type ConnectionHost, RawConnection } from "./raw-connection.ts";
import { Deadlines } from "./raw-deadlines.ts";
import type { Exchange } from "./raw-exchange.ts";
import { type RawLimits, rawLimits } from "./raw-limits.ts";
import { ListenerCounts } from "./raw-metrics.ts";
import { networkOf, refusalBytes } from "./raw-refusal.ts";
import { isClientGone } from "./raw-writer.ts";

/** An exchange that is over, as its accounts need it. */
export interface NotedExchange {
  /** What its handler left there. */
  readonly context: unknown;
  /** 499: the client left before an answer was begun. */
  readonly status: number;
  /** Handed to the connection, before TLS: head, framing and body. */
  readonly wireBytes: number;
  /** From the request's head to the answer's; the whole time when there was no answer. */
  readonly firstByteMs: number;
}

export interface RawListenerOptions {
  readonly name: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The variable that the port comes from. */
  readonly portVariable: string;
  readonly log: Log;
  readonly ready: Ready;
  readonly handle: RawHandler;
  /** What differs from the product's limits. */
  readonly limits?: Partial<RawLimits>;
  /** Closed by who opened it, after the listener. */
  readonly accessLog?: AccessLog;
  /** Told of each exchange that is over. */
  readonly noted?: (exchange: NotedExchange) => void;
  /** Told of the bytes that refused connections were sent: no exchange has them. */
  readonly refusedBytes?: (bytes: number) => void;
  /** TLS instead of plain connections. */
  readonly tls?: TlsOptions;
  /** Several listeners, of one process or more, share the port: the kernel gives each a share of the connections. */
  readonly reusePort?: boolean;
  /** Its time; the monotonic clock by default. */
  readonly deadlines?: Deadlines;
}

export interface RawListener {
  readonly port: number;
  readonly connectionCount: number;
  /** Stops accepting, lets requests in flight end for `graceMs`, then cuts what is left. */
  close(graceMs?: number): Promise<void>;
}

const CLOSE_GRACE_MS = 5_000;
const BACKLOG = 4_096;
const WRITE_BYTES_AHEAD = 64 * 1024;
const TICK_MS = 500;
/** What nginx logs where the client went away before its answer. */
const CLIENT_LEFT = 499;
/** Clients that are told that there is no room; beyond that they are cut without a word. */
const TURNED_AWAY_MAX = 256;

class RawServer implements ConnectionHost {
  readonly limits: RawLimits;
  readonly deadlines: Deadlines;
  isClosing = false;
  readonly server: Server;
  readonly #options: RawListenerOptions;
  readonly #connections = new Set<RawConnection>();
  /** Open connections of each address that has some. */
  readonly #perAddress = new Map<string, number>();
  readonly #counts: ListenerCounts;
  readonly #turnedAway = new Set<RawConnection>();

  /** Of a stop that waits for the last connection. */
  #onEmpty: () => void = () => {};
  #closing: Promise<void> | undefined;

  constructor(options: RawListenerOptions) {
    this.#options = options;
    this.limits = rawLimits(options.limits);
    this.deadlines = options.deadlines ?? new Deadlines(TICK_MS);
    if (!options.deadlines) this.deadlines.start();
    this.#counts = new ListenerCounts(options.name, () => this.#connections.size);
    const settings = { allowHalfOpen: true, noDelay: true, highWaterMark: WRITE_BYTES_AHEAD };
    const opened = (socket: Socket): void => this.#opened(socket);
    this.server = options.tls
      ? createTlsServer({ handshakeTimeout: this.limits.firstByteMs, ...options.tls, ...settings }, opened)
      : createServer(settings, opened);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  dispatch(exchange: Exchange): void {
    try {
      const isHealth = isHealthPath(exchange.path) && (exchange.method === "GET" || exchange.method === "HEAD");
      const answering = isHealth ? this.#answerHealth(exchange) : this.#options.handle(exchange);
      if (answering === undefined) return;
      answering.then(
        () => this.#handlerEnded(exchange),
        (error: unknown) => this.#failed(exchange, error),
      );
    } catch (error) {
      this.#failed(exchange, error);
    }
  }

  overdue(exchange: Exchange): void {
    const { log, name } = this.#options;
    const { method, path, requestId } = exchange;
    log.error({ listener: name, method, path, requestId }, "no answer in time");
    if (exchange.status === 0) exchange.giveUp({ code: "DEADLINE_PASSED", data: { what: name } });
    else exchange.cut();
  }

  note(exchange: Exchange, isWhole: boolean): void {
    const { sentBytes, httpMinor } = exchange;
    const tookMs = performance.now() - exchange.startedMs;
    const status = exchange.status === 0 ? CLIENT_LEFT : exchange.status;
    if (isWhole) this.#counts.answered(status, sentBytes, tookMs / 1_000);
    else this.#counts.cut();
    const { accessLog, noted } = this.#options;
    accessLog?.note({ request: exchange, httpMinor, status, sentBytes, tookMs, isWhole });
    if (!noted) return;
    const firstByteMs = exchange.answeredMs === 0 ? tookMs : exchange.answeredMs - exchange.startedMs;
    noted({ context: exchange.context, status, wireBytes: exchange.headBytes + sentBytes, firstByteMs });
  }

  refused(connection: RawConnection, refusal: Refusal): void {
    this.#counts.refused(refusal.code);
    const { log, name } = this.#options;
    log.debug({ listener: name, address: connection.remoteAddress, ...refusal }, "refused");
    const bytes = refusalBytes(refusal);
    this.#options.refusedBytes?.(bytes.length);
    connection.socket.write(bytes);
  }

  closed(connection: RawConnection): void {
    this.#turnedAway.delete(connection);
    if (this.#connections.delete(connection)) this.#countOff(connection);
    this.#lookEmpty();
  }

  #lookEmpty(): void {
    if (this.#connections.size + this.#turnedAway.size === 0) this.#onEmpty();
  }

  #countOff(connection: RawConnection): void {
    const address = networkOf(connection.remoteAddress);
    const count = (this.#perAddress.get(address) ?? 1) - 1;
    if (count === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, count);
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#stop();
    const cut = setTimeout(() => {
      for (const connection of [...this.#connections, ...this.#turnedAway]) connection.socket.destroy();
    }, graceMs);
    return this.#closing.finally(() => clearTimeout(cut));
  }

  async #stop(): Promise<void> {
    this.isClosing = true;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    this.server.close();
    for (const connection of [...this.#connections]) connection.finish();
    this.#lookEmpty();
    await empty;
    if (!this.#options.deadlines) this.deadlines.stop();
    this.#counts.close();
  }

  #opened(socket: Socket): void {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || this.#turnedAway.size >= TURNED_AWAY_MAX) {
      socket.destroy(); // it has left already, or there are too many even to say so
      return;
    }
    const connection = new RawConnection(socket, remoteAddress, this);
    const address = networkOf(remoteAddress);
    const count = this.#perAddress.get(address) ?? 0;
    if (this.#connections.size >= this.limits.connections || count >= this.limits.connectionsPerAddress) {
      this.#turnedAway.add(connection);
      connection.turnAway({ code: "CONNECTIONS_FULL" });
      return;
    }
    this.#perAddress.set(address, count + 1);
    this.#connections.add(connection);
  }

  async #answerHealth(exchange: Exchange): Promise<void> {
    const { status, contentType, text } = await healthAnswer(exchange.path, this.#options.ready);
    const headers = `Content-Type: ${contentType}\r\nCache-Control: no-store\r\n`;
    exchange.send(status, headers, Buffer.from(text));
  }

  #handlerEnded(exchange: Exchange): void {
    if (exchange.isGone || (exchange.status !== 0 && !exchange.isOpen)) return;
    this.#failed(exchange, new Error("bug: the handler ended before its answer"));
  }

  #failed(exchange: Exchange, error: unknown): void {
    const { log, name } = this.#options;
    const { method, path } = exchange;
    if (exchange.isGone || isClientGone(error)) {
      log.debug({ listener: name, method, path, err: error }, "client left");
      return;
    }
    const code = codeOf(error);
    const { requestId } = exchange;
    if (code === undefined) log.error({ listener: name, method, path, requestId, err: error }, "request failed");
    if (exchange.status === 0) exchange.problem({ code: code ?? "INTERNAL", data: code ? dataOf(error) : {} });
    else if (exchange.isOpen) {
      if (code) log.warn({ listener: name, method, path, requestId, err: error }, "answer cut");
      exchange.cut();
    }
  }
}

const dataOf = (error: unknown): FaultData => (error as { data?: FaultData }).data ?? {};

/** Opens a listener. Rejects with a ConfigError when it can't be where it is to be. */
export const openRawListener = async (options: RawListenerOptions): Promise<RawListener> => {
  const server = new RawServer(options);
  const port = await listening(server.server, options, { backlog: BACKLOG, reusePort: options.reusePort === true });
  server.server.on("error", (error) => options.log.error({ listener: options.name, err: error }, "listener"));
  return {
    port,
    get connectionCount() {
      return server.connectionCount;
    },
    close: (graceMs = CLOSE_GRACE_MS) => server.close(graceMs),
  };
};

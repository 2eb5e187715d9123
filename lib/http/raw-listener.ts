/**
 * An HTTP/1.1 listener on raw sockets: strict about what it takes, bounded in everything, and cheaper than node:http,
 * which costs more than most of what is answered through it. It has the three health addresses of every listener. With
 * TLS it speaks HTTP/2 too, to those who ask for it (ALPN), and answers them by the same handler.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from "node:tls";
import { codeOf, type FaultData } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import type { AccessLog } from "./access-log.ts";
import type { RawHandler, RawRequest } from "./exchange.ts";
import { H2Connection } from "./h2-connection.ts";
import type { AnsweredExchange, H2Host } from "./h2-host.ts";
import { healthAnswer, isHealthPath, type Ready } from "./health.ts";
import { listening } from "./listening.ts";
import type { Refusal } from "./problem.ts";
import { type ConnectionHost, RawConnection } from "./raw-connection.ts";
import { Deadlines } from "./raw-deadlines.ts";
import { type RawLimits, rawLimits } from "./raw-limits.ts";
import { ListenerCounts } from "./raw-metrics.ts";
import { networkOf, refusalBytes } from "./raw-refusal.ts";
import { isClientGone } from "./raw-writer.ts";
import type { Certificates } from "./tls-certificates.ts";
import { limitHandshakes } from "./tls-handshakes.ts";

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
  /** Whether the health addresses are the listener's own for this request; always, unless told. */
  readonly hasHealth?: (request: RawRequest) => boolean;
  readonly handle: RawHandler;
  /** What differs from the product's limits. */
  readonly limits?: Partial<RawLimits>;
  /** Closed by who opened it, after the listener. */
  readonly accessLog?: AccessLog;
  /** Told of each exchange that is over. */
  readonly noted?: (exchange: NotedExchange) => void;
  /** Told of the bytes that refused connections were sent: no exchange has them. */
  readonly refusedBytes?: (bytes: number) => void;
  /** TLS instead of plain connections, as node:tls has it; HTTP/2 when its ALPNProtocols have `h2`. */
  readonly tls?: TlsOptions;
  /** TLS instead of plain connections, with HTTP/1.1 and HTTP/2. What stands in `tls` goes over it. */
  readonly certificates?: Certificates;
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
const PROTOCOLS = ["h2", "http/1.1"];
/** What nginx logs where the client went away before its answer. */
const CLIENT_LEFT = 499;
/** Clients that are told that there is no room; beyond that they are cut without a word. */
const TURNED_AWAY_MAX = 256;

type Connection = RawConnection | H2Connection;

class RawServer implements ConnectionHost, H2Host {
  readonly limits: RawLimits;
  readonly deadlines: Deadlines;
  isClosing = false;
  readonly server: Server;
  readonly #options: RawListenerOptions;
  readonly #connections = new Set<Connection>();
  /** Open connections of each address that has some. */
  readonly #perAddress = new Map<string, number>();
  readonly #counts: ListenerCounts;
  readonly #turnedAway = new Set<Connection>();

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
    const { certificates, tls } = options;
    if (!certificates && !tls) {
      this.server = createServer(settings, opened);
      return;
    }
    const own = { ...certificates?.serverOptions(PROTOCOLS), ...tls };
    const server = createTlsServer({ handshakeTimeout: this.limits.firstByteMs, ...own, ...settings }, opened);
    certificates?.follow(server);
    const { log, name } = options;
    server.on("tlsClientError", (error, socket) => {
      log.debug({ listener: name, err: error }, "no TLS");
      socket.destroy(); // node:tls leaves one open that has ended its side
    });
    // Those that shake hands count too.
    server.maxConnections = this.limits.connections + TURNED_AWAY_MAX;
    limitHandshakes(server, this.limits.connectionsPerAddress + TURNED_AWAY_MAX);
    this.server = server;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  dispatch(exchange: AnsweredExchange): void {
    try {
      const { hasHealth } = this.#options;
      const isRead = exchange.method === "GET" || exchange.method === "HEAD";
      const isHealth = isRead && isHealthPath(exchange.path) && (hasHealth?.(exchange) ?? true);
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

  overdue(exchange: AnsweredExchange): void {
    const { log, name } = this.#options;
    const { method, path, requestId } = exchange;
    log.error({ listener: name, method, path, requestId }, "no answer in time");
    if (exchange.status === 0) exchange.giveUp({ code: "DEADLINE_PASSED", data: { what: name } });
    else exchange.cut();
  }

  note(exchange: AnsweredExchange, isWhole: boolean): void {
    const { sentBytes, httpMinor } = exchange;
    const tookMs = performance.now() - exchange.startedMs;
    const status = exchange.status === 0 ? CLIENT_LEFT : exchange.status;
    if (isWhole) this.#counts.answered(status, sentBytes, tookMs / 1_000);
    else this.#counts.cut();
    const { accessLog, noted } = this.#options;
    if (!accessLog && !noted) return;
    const { context } = exchange;
    const firstByteMs = exchange.answeredMs === 0 ? tookMs : exchange.answeredMs - exchange.startedMs;
    accessLog?.note({ request: exchange, httpMinor, status, sentBytes, tookMs, isWhole, firstByteMs, context });
    noted?.({ context, status, wireBytes: exchange.headBytes + sentBytes, firstByteMs });
  }

  refused(connection: Connection, refusal: Refusal): void {
    this.#counts.refused(refusal.code);
    const { log, name } = this.#options;
    log.debug({ listener: name, address: connection.remoteAddress, ...refusal }, "refused");
    if (connection instanceof H2Connection) return; // says so itself
    const bytes = refusalBytes(refusal);
    this.#options.refusedBytes?.(bytes.length);
    connection.socket.write(bytes);
  }

  sentBeside(sizeBytes: number): void {
    this.#options.refusedBytes?.(sizeBytes);
  }

  closed(connection: Connection): void {
    this.#turnedAway.delete(connection);
    if (this.#connections.delete(connection)) this.#countOff(connection);
    this.#lookEmpty();
  }

  #lookEmpty(): void {
    if (this.#connections.size + this.#turnedAway.size === 0) this.#onEmpty();
  }

  #countOff(connection: Connection): void {
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
    const isH2 = socket instanceof TLSSocket && socket.alpnProtocol === "h2";
    const connection = isH2
      ? new H2Connection(socket, remoteAddress, this)
      : new RawConnection(socket, remoteAddress, this);
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

  async #answerHealth(exchange: AnsweredExchange): Promise<void> {
    const { status, contentType, text } = await healthAnswer(exchange.path, this.#options.ready);
    const headers = `Content-Type: ${contentType}\r\nCache-Control: no-store\r\n`;
    exchange.send(status, headers, Buffer.from(text));
  }

  #handlerEnded(exchange: AnsweredExchange): void {
    if (exchange.isGone || (exchange.status !== 0 && !exchange.isOpen)) return;
    this.#failed(exchange, new Error("bug: the handler ended before its answer"));
  }

  #failed(exchange: AnsweredExchange, error: unknown): void {
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

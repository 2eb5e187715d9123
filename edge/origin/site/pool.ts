/** Connections to one origin: kept, bounded in number, the last used one first. */
import { UpstreamError } from "../upstream.ts";
import type { Connector } from "./connect.ts";
import { OriginConnection } from "./connection.ts";

export interface PoolRules {
  readonly connectionsMax: number;
  /** Kept without work. */
  readonly idleMax: number;
  readonly connectMs: number;
  readonly tlsMs: number;
  /** Waiting for a free connection. */
  readonly queueMs: number;
}
/** Requests that wait for a connection: more than any origin answers in the time that they may wait. */
const WAITING_MAX = 10_000;

interface Waiter {
  /** Undefined: there is room for a new one. */
  readonly go: (connection: OriginConnection | undefined) => void;
}

export class OriginPool {
  readonly #connector: Connector;
  readonly #rules: PoolRules;
  readonly #open = new Set<OriginConnection>();
  readonly #idle: OriginConnection[] = [];
  readonly #waiting: Waiter[] = [];
  /** Connections that are there or being made. */
  #count = 0;
  /** Aborted when it is closed. */
  readonly #stop = new AbortController();

  constructor(connector: Connector, rules: PoolRules) {
    this.#connector = connector;
    this.#rules = rules;
  }

  get connectionCount(): number {
    return this.#count;
  }

  /** One that has no exchange. `isFresh`: one that has never served. UpstreamError, or the signal's reason. */
  async take({ isFresh, signal }: { readonly isFresh: boolean; readonly signal: AbortSignal }) {
    this.#stop.signal.throwIfAborted();
    const kept = this.#idle.pop();
    if (kept && !isFresh) return kept;
    kept?.destroy();
    if (this.#count >= this.#rules.connectionsMax) {
      const given = await this.#turn(signal);
      if (given && !isFresh) return given;
      given?.destroy();
    }
    return this.#connect(signal);
  }

  close(): void {
    this.#stop.abort(new UpstreamError("busy", new Error("the origin is closed")));
    for (const connection of this.#open) connection.abandon();
    for (const { go } of this.#waiting.splice(0)) go(undefined);
  }

  async #connect(signal: AbortSignal): Promise<OriginConnection> {
    this.#stop.signal.throwIfAborted();
    this.#count += 1;
    try {
      const socket = await this.#connector.open({
        ...this.#rules,
        signal: AbortSignal.any([signal, this.#stop.signal]),
      });
      const connection = new OriginConnection(socket, {
        kept: (one, keepMs) => this.#keep(one, keepMs),
        gone: (one) => this.#gone(one),
      });
      this.#open.add(connection);
      if (this.#stop.signal.aborted) connection.destroy();
      return connection;
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  #keep(connection: OriginConnection, keepMs: number): void {
    const waiter = this.#waiting.shift();
    if (waiter) {
      waiter.go(connection);
      return;
    }
    if (this.#idle.length >= this.#rules.idleMax || this.#stop.signal.aborted) {
      connection.destroy();
      return;
    }
    connection.socket.setTimeout(keepMs);
    // An answer's end may have left it paused: the server's end would not be seen.
    connection.socket.resume();
    this.#idle.push(connection);
  }

  #gone(connection: OriginConnection): void {
    this.#open.delete(connection);
    const place = this.#idle.indexOf(connection);
    if (place >= 0) this.#idle.splice(place, 1);
    this.#leave();
  }

  #leave(): void {
    this.#count -= 1;
    this.#waiting.shift()?.go(undefined);
  }

  #turn(signal: AbortSignal): Promise<OriginConnection | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= WAITING_MAX) return reject(new UpstreamError("busy"));
      const stop = (reason: unknown): void => {
        leave();
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(reason);
      };
      const onAbort = (): void => stop(signal.reason);
      const timer = setTimeout(() => stop(new UpstreamError("busy")), this.#rules.queueMs);
      const leave = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        go: (connection) => {
          leave();
          resolve(connection);
        },
      };
      this.#waiting.push(waiter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}

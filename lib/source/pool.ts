/** A few connections to one server: taken, used by one exchange at a time, given back or thrown away. */
import { Turns } from "./turns.ts";
import type { Watch } from "./watch.ts";

export interface Connection {
  /** The server has closed it, or something went wrong on it. */
  readonly isBroken: boolean;
  close(): void;
}

export interface Lease<C> {
  readonly connection: C;
  /** It has served before: the server may have closed it in this very moment. */
  readonly isKept: boolean;
}

interface PoolRules<C> {
  readonly connectionsMax: number;
  /** A connection that nobody wants is closed after so long. */
  readonly idleMs: number;
  readonly connect: (watch: Watch) => Promise<C>;
}

interface Idle<C> {
  readonly connection: C;
  readonly timer: NodeJS.Timeout;
}

export class ConnectionPool<C extends Connection> {
  readonly #rules: PoolRules<C>;
  readonly #turns: Turns;
  readonly #idle: Idle<C>[] = [];
  #isClosed = false;

  constructor(rules: PoolRules<C>) {
    this.#rules = rules;
    this.#turns = new Turns(rules.connectionsMax);
  }

  /** Waits for its turn, within the watch; `isFresh` takes none that was kept. */
  async take(watch: Watch, { isFresh = false } = {}): Promise<Lease<C>> {
    await this.#turns.take(watch);
    try {
      const kept = this.#kept();
      if (kept && !isFresh) return { connection: kept, isKept: true };
      kept?.close();
      return { connection: await this.#rules.connect(watch), isKept: false };
    } catch (error) {
      this.#turns.leave();
      throw error;
    }
  }

  /** Gives a connection back; a broken one is closed. */
  give(connection: C): void {
    if (connection.isBroken || this.#isClosed) connection.close();
    else this.#keep(connection);
    this.#turns.leave();
  }

  close(): void {
    this.#isClosed = true;
    for (const { connection, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      connection.close();
    }
  }

  #kept(): C | undefined {
    for (let last = this.#idle.pop(); last; last = this.#idle.pop()) {
      clearTimeout(last.timer);
      if (!last.connection.isBroken) return last.connection;
      last.connection.close();
    }
    return undefined;
  }

  #keep(connection: C): void {
    const timer = setTimeout(() => {
      const place = this.#idle.findIndex((one) => one.connection === connection);
      if (place >= 0) this.#idle.splice(place, 1);
      connection.close();
    }, this.#rules.idleMs);
    timer.unref();
    this.#idle.push({ connection, timer });
  }
}

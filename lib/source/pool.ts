/** A few connections to one server: taken, used by one exchange at a time, given back or thrown away. */
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
  readonly #idle: Idle<C>[] = [];
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(rules: PoolRules<C>) {
    this.#rules = rules;
  }

  /** Waits for its turn, within the watch; `isFresh` takes none that was kept. */
  async take(watch: Watch, { isFresh = false } = {}): Promise<Lease<C>> {
    await this.#turn(watch);
    try {
      const kept = this.#kept();
      if (kept && !isFresh) return { connection: kept, isKept: true };
      kept?.close();
      return { connection: await this.#rules.connect(watch), isKept: false };
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Gives a connection back; a broken one is closed. */
  give(connection: C): void {
    if (connection.isBroken) connection.close();
    else this.#keep(connection);
    this.#leave();
  }

  close(): void {
    for (const { connection, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      connection.close();
    }
  }

  async #turn(watch: Watch): Promise<void> {
    if (this.#taken < this.#rules.connectionsMax) {
      this.#taken += 1;
      return;
    }
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn.resolve);
    try {
      await watch.race(turn.promise);
    } catch (error) {
      const place = this.#waiting.indexOf(turn.resolve);
      // Not there any more: its turn came in the same moment, and is the next one's.
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.#leave();
      throw error;
    }
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#taken -= 1;
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

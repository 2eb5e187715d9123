/**
 * What is asked of the server of one source: each exchange under a watch, all of them ended when the source is closed.
 */
import type { ErrorCode } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import { asFault } from "./faults.ts";
import { type NetworkLimits, Watch, type Watched } from "./watch.ts";

interface ExchangeRules {
  readonly kind: string;
  readonly log: Log;
  readonly limits: NetworkLimits;
  /** The code of an error that the protocol's own words explain. */
  readonly known?: (error: unknown) => ErrorCode | undefined;
}

export class Exchanges {
  readonly #rules: ExchangeRules;
  readonly #running = new Set<Watch>();
  #isClosed = false;

  constructor(rules: ExchangeRules) {
    this.#rules = rules;
  }

  /** Runs `work`; whatever it ends with is of the catalogue, or the caller's own reason. */
  async run<T>(what: Watched, work: (watch: Watch) => Promise<T>): Promise<T> {
    what.signal?.throwIfAborted();
    const watch = new Watch(what, this.#rules.limits);
    this.#running.add(watch);
    try {
      if (this.#isClosed) throw new Error("the source is closed");
      return await work(watch);
    } catch (error) {
      // Whatever a cut exchange says of itself, the reason is why it was cut.
      const reason = watch.signal.aborted ? watch.signal.reason : error;
      const { kind, log, known } = this.#rules;
      throw asFault(reason, { kind, path: what.path, log, signal: what.signal }, known);
    } finally {
      this.#running.delete(watch);
      watch.end();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const watch of this.#running) watch.abort(new Error("the source is closed"));
  }
}

/** Deadlines of everything that is asked of a server: silence, total time, and the caller who leaves. */
import { Fault } from "../../contracts/errors.ts";
import type { SourceTools } from "./settings.ts";

const TIMEOUT_MS = 10_000;
/** A server that drips is given up: what comes at less than 512 kbit/s is no source for video. */
const BYTES_PER_SECOND_MIN = 64 * 1024;

export interface NetworkLimits {
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly connectionsMax: number;
}

/** The limits of a source; `connectionsMax` is its kind's default. */
export const limitsOf = (tools: SourceTools, connectionsMax: number): NetworkLimits => ({
  connectTimeoutMs: tools.connectTimeoutMs ?? TIMEOUT_MS,
  idleTimeoutMs: tools.idleTimeoutMs ?? TIMEOUT_MS,
  connectionsMax: tools.connectionsMax ?? connectionsMax,
});

interface Watched {
  readonly path: string;
  readonly limits: NetworkLimits;
  readonly signal: AbortSignal | undefined;
  /** What is to come at most; null: not known, then silence alone counts. */
  readonly bytes: number | null;
}

/**
 * Watches one exchange. `signal` aborts with the caller's reason, or with SOURCE_TIMEOUT: when no connection stood in
 * time, nothing came for too long, or all of it takes longer than a slow line would.
 */
export class Watch {
  readonly signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #limits: NetworkLimits;
  readonly #late: () => void;
  #silence: NodeJS.Timeout | undefined;
  readonly #total: NodeJS.Timeout | undefined;

  constructor({ path, limits, signal, bytes }: Watched) {
    this.#limits = limits;
    this.signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    this.#late = () => this.#stop.abort(new Fault("SOURCE_TIMEOUT", { path }));
    if (bytes !== null) {
      const slowMs = (bytes / BYTES_PER_SECOND_MIN) * 1000;
      this.#total = setTimeout(this.#late, limits.connectTimeoutMs + limits.idleTimeoutMs + slowMs);
    }
    this.connecting();
  }

  /** From here on the time for a connection runs. */
  connecting(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(this.#late, this.#limits.connectTimeoutMs);
  }

  /** It stands: from here on silence counts. */
  connected(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(this.#late, this.#limits.idleTimeoutMs);
  }

  /** Bytes came. */
  progress(): void {
    this.#silence?.refresh();
  }

  /** `work`, or the signal's reason as soon as it aborts; what becomes of `work` then is the caller's to end. */
  async race<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    if (signal.aborted) {
      work.catch(() => {});
      throw signal.reason;
    }
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([work, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  end(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#total);
  }
}

/** Runs `work` under a watch, and ends the watch with it. */
export const watched = async <T>(what: Watched, work: (watch: Watch) => Promise<T>): Promise<T> => {
  what.signal?.throwIfAborted();
  const watch = new Watch(what);
  try {
    return await work(watch);
  } catch (error) {
    // Whatever a cut exchange says of itself, the reason is why it was cut.
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    watch.end();
  }
};

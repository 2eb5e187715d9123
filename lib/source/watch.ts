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

export interface Watched {
  readonly path: string;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  /** What is to come at most; null: not known, then silence alone counts. */
  readonly bytes: number | null;
}

/**
 * Watches one exchange. `signal` aborts with the caller's reason, or with SOURCE_TIMEOUT: when no connection stood in
 * time, nothing came for too long, or all of it takes longer than a slow line would.
 */
export class Watch {
  readonly path: string;
  readonly #stop = new AbortController();
  readonly #limits: NetworkLimits;
  readonly #caller: AbortSignal | undefined;
  readonly #left = () => this.#stop.abort(this.#caller?.reason);
  readonly #total: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor({ path, signal, bytes }: Watched, limits: NetworkLimits) {
    this.path = path;
    this.#limits = limits;
    this.#caller = signal;
    signal?.addEventListener("abort", this.#left, { once: true });
    if (signal?.aborted) this.#left();
    if (bytes !== null) {
      const slowMs = (bytes / BYTES_PER_SECOND_MIN) * 1000;
      this.#total = setTimeout(() => this.#late(), limits.connectTimeoutMs + limits.idleTimeoutMs + slowMs);
    }
    this.connecting();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** From here on the time for a connection runs. */
  connecting(): void {
    this.#wait(this.#limits.connectTimeoutMs);
  }

  /** It stands: from here on silence counts. */
  connected(): void {
    this.#wait(this.#limits.idleTimeoutMs);
  }

  /** Bytes came. */
  progress(): void {
    this.#silence?.refresh();
  }

  abort(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /** `work`, or the signal's reason as soon as it aborts; what becomes of `work` then is the caller's to end. */
  async race<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await Promise.race([aborted.promise, work]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  end(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#total);
    this.#caller?.removeEventListener("abort", this.#left);
  }

  #wait(ms: number): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#late(), ms);
  }

  #late(): void {
    this.#stop.abort(new Fault("SOURCE_TIMEOUT", { path: this.path }));
  }
}

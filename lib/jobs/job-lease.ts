import { randomUUID } from "node:crypto";
import type { JobStore } from "./job.store.ts";

/**
 * A process that dies is missed for so long. Renewed every second, so that nine renewals in a row have to fail before
 * it ends: a database that restarts (0.2 to 5 s) or a network that hiccups ends no work.
 */
export const JOB_LEASE_TTL_MS = 10_000;
const RENEWALS_PER_TTL = 10;
const CHECKS_PER_TTL = 100;
/** Of the lease: what is done must have ended when others may claim; SIGKILL to ffmpeg and its exit take 50 ms. */
const MARGIN = 0.1;

export interface JobLeaseOptions {
  readonly store: JobStore;
  readonly nodeId: string;
  readonly ttlMs: number;
  /** Called once, synchronously, before anybody else may claim: what it covers must be stopped. */
  readonly onLost: (reason: string) => void;
  /** After every renewal. */
  readonly onRenewed: (incarnation: string) => Promise<void>;
}

/**
 * The lease of one process on all the jobs that it runs: a row in `job_worker`. One object is one incarnation; whoever
 * lost it makes a new one.
 *
 * States: new → held → over. `held` ends by itself: its own deadline (monotonic clock, from before the renewal was
 * sent, less a margin) passes before the database lets anybody else claim.
 */
export class JobLease {
  readonly incarnation = randomUUID();
  readonly #options: JobLeaseOptions;
  #state: "new" | "held" | "over" = "new";
  #endsAtMs = 0;
  #renewing: Promise<void> | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: JobLeaseOptions) {
    this.#options = options;
  }

  /** Throws DATABASE_DOWN. */
  async open(): Promise<void> {
    const { store, nodeId, ttlMs } = this.#options;
    const sentAtMs = performance.now();
    await store.openLease(this.incarnation, nodeId, ttlMs);
    this.#endsAtMs = sentAtMs + ttlMs;
    this.#state = "held";
    this.#timers = [
      setInterval(() => this.renewNow(), ttlMs / RENEWALS_PER_TTL),
      setInterval(() => this.check(), ttlMs / CHECKS_PER_TTL),
    ];
  }

  /** Whether what is claimed under it is surely still ours. */
  check(): boolean {
    if (this.#state !== "held") return false;
    const { ttlMs } = this.#options;
    if (performance.now() > this.#endsAtMs - ttlMs * MARGIN) this.#lose("it was not renewed in time");
    return this.#state === "held";
  }

  renewNow(): void {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
  }

  /** Gives it back; whatever is still claimed under it may be claimed by others. */
  async close(): Promise<void> {
    if (this.#state !== "held") return;
    this.#end();
    await this.#options.store.closeLease(this.incarnation).catch(() => {});
  }

  #lose(reason: string): void {
    if (this.#state !== "held") return;
    this.#end();
    this.#options.onLost(reason);
  }

  #end(): void {
    this.#state = "over";
    for (const timer of this.#timers) clearInterval(timer);
  }

  async #renew(): Promise<void> {
    const { store, ttlMs, onRenewed } = this.#options;
    const sentAtMs = performance.now();
    try {
      const renewed = await store.renewLease(this.incarnation, ttlMs);
      if (!renewed) return this.#lose("it has ended in the database");
      this.#endsAtMs = sentAtMs + ttlMs;
      if (this.check()) await onRenewed(this.incarnation);
    } catch {
      // The deadline decides.
    }
  }
}

/**
 * Jobs: work that outlives the process that began it. A job is a row, written in the transaction of the state that it
 * belongs to; graphile-worker tells workers that there is work, and what proves whose a job is is its `epoch`: it grows
 * with every claim, and a result of a lower one is refused (JOB_FENCED).
 *
 *   queued → running → done
 *     ↑         │ ↘ dead        attempts are used up, or the fault says that trying again is of no use
 *     └─────────┘   cancelled   also from queued
 *   a failure, or a lease that lapsed
 *
 * Order: priority, then the tenant with the fewest running jobs, then age.
 */
import type { Tx } from "../db/database.ts";

export type JobState = "queued" | "running" | "done" | "dead" | "cancelled";

export interface JobSpec {
  /** `transcode.chunk`, `content.purge` … */
  readonly kind: string;
  readonly tenantId: string;
  /** JSON. */
  readonly payload: object;
  /** Lower is sooner; 0 unless told. */
  readonly priority?: number;
  /** Of all live jobs of this tenant and kind one has it: a second one is not made. */
  readonly key?: string;
  /** Not before. */
  readonly runAtMs?: number;
  /** 5 unless told. */
  readonly attemptsMax?: number;
  /** What it is for, so that its jobs can be listed and cancelled together: `title`, its id. */
  readonly subject?: { readonly kind: string; readonly id: string };
}

export interface JobProgress {
  /** 0 to 100. */
  readonly percent?: number;
  /** Frames that are encoded per second. */
  readonly fps?: number;
  readonly etaSeconds?: number;
  /** A word for people: `encoding`. */
  readonly note?: string;
}

/** A job while it runs here. */
export interface JobRun<P = unknown> {
  readonly jobId: string;
  readonly tenantId: string;
  readonly kind: string;
  readonly payload: P;
  /** 1 at the first try. */
  readonly attempt: number;
  /** Part of the name of everything that is written outside of PostgreSQL. */
  readonly epoch: number;
  /** Aborted when it was cancelled, its lease is lost or this process stops: what is being done ends at once. */
  readonly signal: AbortSignal;
  /** Told to those who watch, at most twice a second; may be lost. */
  progress(progress: JobProgress): void;
}

export interface JobOutcome {
  /** JSON, kept with the job. */
  readonly result?: object;
  /** Runs in the transaction that ends the job, as its tenant: what it writes is there if and only if it is done. */
  readonly write?: (tx: Tx) => Promise<void>;
}

export interface JobHandler<P = unknown> {
  /**
   * A catalogue error that may not be tried again ends the job at once as dead; any other one brings it back after a
   * pause, until its attempts are used up.
   */
  run(run: JobRun<P>): Promise<JobOutcome>;
  /** In the transaction that makes it dead or cancelled, as its tenant. */
  ended?(
    tx: Tx,
    job: { readonly jobId: string; readonly payload: P; readonly state: "dead" | "cancelled"; readonly reason: string },
  ): Promise<void>;
}

export interface JobKind {
  /** Jobs of this kind that run side by side in this process; kinds of one `pool` share its slots. */
  readonly slots: number;
  readonly pool?: string;
  readonly handler: JobHandler<never>;
}

export interface JobWorkers {
  start(): Promise<void>;
  /** Takes no more; what runs is given back (its signal is aborted) and tried elsewhere without costing an attempt. */
  stop(): Promise<void>;
}

/** The workers of one process: every actor in it registers its kinds before `start`. */
export interface Jobs extends JobWorkers {
  register(kind: string, options: JobKind): void;
}

import { setTimeout as pause } from "node:timers/promises";
import { codeOf, Fault } from "../../contracts/errors.ts";
import type { Clock } from "../clock.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Log } from "../log/log.ts";
import { deaths, retries, runSeconds } from "./figures.ts";
import type { Hints } from "./hints.ts";
import { type Claim, finish, holdFence, isDone, type JobStore, putBack, type Reason } from "./job.store.ts";
import type { JobHandler, JobOutcome, JobProgress, JobRun } from "./port.ts";
import { isAway, reasonOf, verdictOn } from "./retry.ts";

export type AbortReason = "cancelled" | "lost" | "stopping";
const FAULT_OF = { cancelled: "JOB_CANCELLED", lost: "JOB_FENCED", stopping: "SHUTTING_DOWN" } as const;

const PROGRESS_EVERY_MS = 500;
const AGAIN_MS = 250;
const HOUR_MS = 3_600_000;
/** A process that stops does not wait longer for a database that is away. */
const STOPPING_TRIES_MS = 3_000;

export interface RunningOptions {
  readonly claim: Claim;
  readonly handler: JobHandler<never>;
  readonly db: Database;
  readonly store: JobStore;
  readonly hints: Hints;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  readonly waitMaxMs: number;
}

interface Back {
  readonly pauseMs: number;
  readonly counts: boolean;
  readonly waits: boolean;
  readonly reason?: Reason;
}

export type Ended = "done" | "again" | "dead" | "cancelled" | "lost";

/**
 * One job in the hands of this process, from its claim to the transaction that ends the claim.
 *
 * Whatever ends it is tried until it is written or the job is somebody else's: a database that is away for a moment
 * costs no work.
 */
export class Running {
  readonly #options: RunningOptions;
  readonly #abort = new AbortController();
  #reason: AbortReason | undefined;
  #stoppingSinceMs = Number.POSITIVE_INFINITY;
  #progress: JobProgress | undefined;
  #progressTimer: NodeJS.Timeout | undefined;

  constructor(options: RunningOptions) {
    this.#options = options;
  }

  /** The first reason stays, but a lost lease outweighs everything: nothing may be written any more. */
  abort(reason: AbortReason): void {
    if (this.#reason === undefined || reason === "lost") this.#reason = reason;
    if (reason === "stopping") this.#stoppingSinceMs = performance.now();
    this.#abort.abort(new Fault(FAULT_OF[reason]));
  }

  /** Throws only if what became of it could not be written: then it is tried again when the lease has ended. */
  async run(): Promise<Ended> {
    const startedAtMs = performance.now();
    this.#changed();
    const end = await this.#run();
    this.#changed();
    runSeconds.observe({ kind: this.#options.claim.kind, end }, (performance.now() - startedAtMs) / 1e3);
    return end;
  }

  async #run(): Promise<Ended> {
    try {
      const outcome = await this.#handle();
      return await this.#insist(() => this.#done(outcome));
    } catch (error) {
      if (this.#reason === "lost" || codeOf(error) === "JOB_FENCED") return "lost";
      return await this.#unsuccessful(error);
    }
  }

  /** Ends it without a result. */
  async end(state: "dead" | "cancelled", error: unknown): Promise<"dead" | "cancelled"> {
    const { claim, db, log } = this.#options;
    const reason = reasonOf(error);
    let end = state;
    try {
      end = await this.#insist(() => db.tenantTx(claim.tenantId, (tx) => this.#endIn(tx, state, reason)));
    } catch (refusal) {
      if (isAway(refusal) || codeOf(refusal) === "JOB_FENCED") throw refusal;
      // One that can't be ended would come back for ever.
      log.error({ err: refusal, jobId: claim.jobId, kind: claim.kind }, "bug: a kind refused the end of its job");
      await this.#insist(() =>
        db.tenantTx(claim.tenantId, async (tx) => {
          await holdFence(tx, claim);
          await finish(tx, claim, { state, reason });
        }),
      );
    }
    if (end === "dead") deaths.inc({ kind: claim.kind, code: reason.code });
    this.#changed();
    return end;
  }

  #changed(): void {
    this.#options.hints.tell(this.#options.claim.hint);
  }

  async #endIn(tx: Tx, state: "dead" | "cancelled", reason: Reason): Promise<"dead" | "cancelled"> {
    const { claim, handler } = this.#options;
    const { cancelled } = await holdFence(tx, claim);
    // What it died of may well be that nobody wants it any more, of which it had not heard.
    const end = cancelled ? "cancelled" : state;
    await handler.ended?.(tx, { jobId: claim.jobId, payload: claim.payload, state: end, reason: reason.message });
    await finish(tx, claim, { state: end, reason });
    return end;
  }

  async #handle(): Promise<JobOutcome> {
    const { claim, handler } = this.#options;
    const { jobId, tenantId, kind, payload, attempt, epoch } = claim;
    const { signal } = this.#abort;
    const progress = (told: JobProgress) => this.#tell(told);
    const run: JobRun<never> = { jobId, tenantId, kind, payload, attempt, epoch, signal, progress };
    try {
      signal.throwIfAborted();
      return await handler.run(run);
    } finally {
      clearTimeout(this.#progressTimer);
      this.#progress = undefined;
    }
  }

  async #done({ result, write }: JobOutcome): Promise<"done"> {
    const { claim, db } = this.#options;
    let finishing: Promise<unknown> | undefined;
    const committed = db.tenantTx(claim.tenantId, async (tx): Promise<"done"> => {
      const { cancelled } = await holdFence(tx, claim).catch(async (fenced: unknown) => {
        // The answer to an earlier COMMIT may have been lost.
        if (await isDone(tx, claim)) return { cancelled: null };
        throw fenced;
      });
      if (cancelled === null) return "done";
      if (cancelled) throw new Fault("JOB_CANCELLED");
      await write?.(tx);
      // Not waited for: the COMMIT leaves with it, and fails if it does.
      finishing = finish(tx, claim, { state: "done", result });
      finishing.catch(() => {});
      return "done";
    });
    try {
      return await committed;
    } catch (error) {
      await finishing;
      throw error;
    }
  }

  async #unsuccessful(error: unknown): Promise<Ended> {
    const { claim, log, random } = this.#options;
    const words = { jobId: claim.jobId, kind: claim.kind, tenantId: claim.tenantId, attempt: claim.attempt };
    if (this.#reason === "cancelled" || codeOf(error) === "JOB_CANCELLED") {
      return await this.end("cancelled", new Fault("JOB_CANCELLED"));
    }
    if (this.#reason === "stopping") return await this.#again({ pauseMs: 0, counts: false, waits: false });
    const isLate = this.#waitedMs() > this.#options.waitMaxMs;
    const verdict = verdictOn(error, { ...claim, isLate }, random());
    log.warn({ err: error, ...words, next: verdict.next }, "a job failed");
    if (verdict.next === "dead") return await this.end("dead", isAway(error) ? this.#tooLate(error) : error);
    const reason = reasonOf(error);
    retries.inc({ kind: claim.kind, code: reason.code });
    return await this.#again({ ...verdict, reason });
  }

  /** It waits again, unless it was cancelled meanwhile. */
  async #again(back: Back): Promise<Ended> {
    const end = await this.#putBack(back);
    return end === "cancelled" ? await this.end("cancelled", new Fault("JOB_CANCELLED")) : end;
  }

  #waitedMs(): number {
    const { claim, clock } = this.#options;
    return claim.waitingSinceMs === null ? 0 : clock.nowMs() - claim.waitingSinceMs;
  }

  #tooLate(error: unknown): Fault {
    const hours = Math.round(this.#waitedMs() / HOUR_MS);
    return new Fault("JOB_WAITED", { hours, reason: reasonOf(error).message });
  }

  #putBack({ pauseMs, counts, waits, reason }: Back): Promise<"again" | "cancelled"> {
    const { claim, db, clock } = this.#options;
    const nowMs = clock.nowMs();
    // A failure says that what it needs is there; a process that stops says nothing about it.
    const waiting = waits
      ? { waitCount: claim.waitCount + 1, waitingSinceMs: claim.waitingSinceMs ?? nowMs }
      : { waitCount: counts ? 0 : claim.waitCount, waitingSinceMs: counts ? null : claim.waitingSinceMs };
    const back = { counts, ...waiting, runAtMs: nowMs + pauseMs, ...(reason ? { reason } : {}) };
    return this.#insist(() =>
      db.tenantTx(claim.tenantId, async (tx) => {
        const { cancelled } = await holdFence(tx, claim);
        if (cancelled) return "cancelled" as const;
        await putBack(tx, claim, back);
        return "again" as const;
      }),
    );
  }

  /** Over an outage of the database, as long as the job is ours. */
  async #insist<T>(step: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await step();
      } catch (error) {
        const late = performance.now() - this.#stoppingSinceMs > STOPPING_TRIES_MS;
        if (!isAway(error) || codeOf(error) === "SHUTTING_DOWN" || this.#reason === "lost" || late) throw error;
        await pause(AGAIN_MS);
      }
    }
  }

  #tell(told: JobProgress): void {
    if (this.#abort.signal.aborted) return;
    this.#progress = { ...this.#progress, ...told };
    this.#progressTimer ??= setTimeout(() => void this.#writeProgress(), PROGRESS_EVERY_MS);
  }

  async #writeProgress(): Promise<void> {
    const { store, claim } = this.#options;
    const told = this.#progress;
    this.#progress = undefined;
    if (told && !this.#abort.signal.aborted) await store.progress(claim, told).catch(() => {});
    this.#changed();
    this.#progressTimer = undefined;
    // What was told meanwhile.
    if (this.#progress) this.#tell({});
  }
}

import { setTimeout as pause } from "node:timers/promises";
import { Fault } from "../../contracts/errors.ts";
import type { Clock } from "../clock.ts";
import { type Database, openDatabase } from "../db/database.ts";
import type { Log } from "../log/log.ts";
import { Delivery } from "./delivery.ts";
import { waitSeconds } from "./figures.ts";
import { Hints } from "./hints.ts";
import { type Claim, JobStore } from "./job.store.ts";
import { JOB_LEASE_TTL_MS, JobLease } from "./job-lease.ts";
import { Lane } from "./lane.ts";
import type { JobKind, Jobs } from "./port.ts";
import { Running } from "./running.ts";
import { keepQueue } from "./upkeep.ts";

const SWEEP_MS = 1_000;
const LEASE_AGAIN_MS = 500;
// Lease, claims and progress must not wait behind what others do with the database of this process.
const OWN_CONNECTIONS = 3;
/** An object store that is away for a long weekend costs nobody a title. */
const WAIT_MAX_MS = 7 * 86_400_000;
const STATEMENT_TIMEOUT_MS = 3_000;
/** For what runs to end after its signal; a job that does not is left to its lease. */
const STOP_DEADLINE_MS = 8_000;

export interface WorkersOptions {
  readonly db: Database;
  readonly log: Log;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly leaseTtlMs?: number;
  readonly waitMaxMs?: number;
  /** 0 to 1. */
  readonly random?: () => number;
}

interface Held {
  readonly claim: Claim;
  /** Under which it was claimed. */
  readonly lease: JobLease;
}

/**
 * The workers of one process: a lease on everything that it runs, wake-ups from graphile-worker, and a sweep each
 * second for what no wake-up tells: leases of others that ended, jobs to be ended without a run, lost wake-ups.
 */
export class Workers implements Jobs {
  readonly #options: Required<WorkersOptions>;
  readonly #kinds = new Map<string, JobKind>();
  readonly #running = new Map<string, Running>();
  readonly #runs = new Set<Promise<void>>();
  #own: Database | undefined;
  #store: JobStore | undefined;
  #hints: Hints | undefined;
  #lease: JobLease | undefined;
  #delivery: Delivery | undefined;
  #lanes: readonly Lane<Held>[] = [];
  #sweeping: Promise<void> | undefined;
  #stopping = new AbortController();
  #state: "new" | "started" | "stopped" = "new";

  constructor(options: WorkersOptions) {
    this.#options = { leaseTtlMs: JOB_LEASE_TTL_MS, waitMaxMs: WAIT_MAX_MS, random: Math.random, ...options };
  }

  register(kind: string, options: JobKind): void {
    if (this.#state !== "new") throw new Error(`bug: the kind ${kind} is registered after the start`);
    if (this.#kinds.has(kind)) throw new Error(`bug: the kind ${kind} is registered twice`);
    this.#kinds.set(kind, options);
  }

  async start(): Promise<void> {
    if (this.#state !== "new") throw new Error("bug: workers start once");
    this.#state = "started";
    if (this.#kinds.size === 0) return;
    const { db, log, nodeId } = this.#options;
    this.#own = openDatabase({
      url: db.url,
      applicationName: `jobs: ${nodeId}`,
      poolMax: OWN_CONNECTIONS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    this.#store = new JobStore(this.#own);
    this.#hints = new Hints(this.#own);
    await this.#openLease().catch(() => {}); // the sweep tries again
    this.#lanes = this.#makeLanes();
    this.#delivery = new Delivery({ url: db.url, nodeId, log, lanes: this.#lanes });
    this.#delivery.start();
    this.#sweeping = this.#sweepOn();
  }

  async stop(): Promise<void> {
    if (this.#state !== "started") return;
    this.#state = "stopped";
    this.#stopping.abort();
    for (const running of this.#running.values()) running.abort("stopping");
    // A claim whose answer is on its way is given back as well.
    const claimed = this.#lanes.map((lane) => lane.settled());
    const calm = Promise.all([this.#delivery?.stop(), this.#sweeping, ...claimed]);
    const ended = calm.then(() => Promise.all(this.#runs));
    await Promise.race([ended, pause(STOP_DEADLINE_MS, undefined, { ref: false })]);
    // Only now: with it go the claims on what did not end in time.
    if (this.#running.size === 0) await this.#lease?.close();
    await this.#hints?.flush();
    await this.#own?.close();
  }

  /** Kinds of one pool share its slots: the largest number that one of them names. */
  #makeLanes(): Lane<Held>[] {
    const pools = new Map<string, { kinds: string[]; count: number }>();
    for (const [kind, { pool = `of ${kind}`, slots }] of this.#kinds) {
      const lane = pools.get(pool) ?? { kinds: [], count: 0 };
      pools.set(pool, { kinds: [...lane.kinds, kind], count: Math.max(lane.count, slots) });
    }
    return [...pools.values()].map(
      ({ kinds, count }) =>
        new Lane({
          kinds,
          slots: count,
          claim: (of, most) => this.#claim(of, most),
          run: (held) => this.#run(held),
          onHungry: () => this.#delivery?.freed(),
          onSpare: () => this.#wakeOthers(kinds),
        }),
    );
  }

  /** None while there is no lease: a wake-up that is of no use is spent, and the sweep makes another one. */
  async #claim(kinds: readonly string[], count: number): Promise<readonly Held[]> {
    const { nodeId, clock, log } = this.#options;
    const lease = this.#lease;
    if (this.#state !== "started" || !lease?.check()) return [];
    try {
      const claims = await this.#store!.claim(lease.incarnation, nodeId, { kinds, count, nowMs: clock.nowMs() });
      return claims.map((claim) => ({ claim, lease }));
    } catch (error) {
      log.warn({ err: error, kinds }, "no job could be claimed");
      return [];
    }
  }

  /** Who has a free slot takes what this process can't; without an answer the next sweep does the same. */
  #wakeOthers(kinds: readonly string[]): void {
    if (this.#state !== "started") return;
    this.#store!.sweep(kinds, this.#options.clock.nowMs()).catch(() => {});
  }

  #runningOf(claim: Claim): Running {
    const { db, log, clock, random, waitMaxMs } = this.#options;
    const { handler } = this.#kinds.get(claim.kind)!;
    return new Running({ claim, handler, db, store: this.#store!, hints: this.#hints!, log, clock, random, waitMaxMs });
  }

  /** Never rejects. */
  async #run({ claim, lease }: Held): Promise<void> {
    const { jobId, kind, waitedMs } = claim;
    const running = this.#runningOf(claim);
    this.#running.set(jobId, running);
    waitSeconds.observe({ kind }, Math.max(0, waitedMs) / 1e3);
    // What happened between the question and its answer.
    if (!lease.check()) running.abort("lost");
    else if (this.#state !== "started") running.abort("stopping");
    const run = running.run().then(
      () => {},
      (error: unknown) => this.#options.log.warn({ err: error, jobId, kind }, "the end of a job was not written"),
    );
    this.#runs.add(run);
    await run;
    this.#runs.delete(run);
    if (this.#running.get(jobId) === running) this.#running.delete(jobId);
  }

  async #openLease(): Promise<void> {
    const { nodeId, leaseTtlMs, log } = this.#options;
    const lease = new JobLease({
      store: this.#store!,
      nodeId,
      ttlMs: leaseTtlMs,
      onLost: (reason) => {
        log.warn({ reason, jobs: this.#running.size }, "the lease on jobs is lost: what runs is given up");
        for (const running of this.#running.values()) running.abort("lost");
      },
      onRenewed: async (incarnation) => {
        for (const jobId of await this.#store!.cancelledOf(incarnation)) this.#running.get(jobId)?.abort("cancelled");
      },
    });
    await lease.open();
    this.#lease = lease;
  }

  async #sweepOn(): Promise<void> {
    const { signal } = this.#stopping;
    let troubled = false;
    while (!signal.aborted) {
      try {
        await this.#sweep();
        troubled = false;
      } catch (error) {
        if (!troubled) this.#options.log.warn({ err: error }, "jobs can't be looked after at the moment");
        troubled = true;
      }
      const ms = this.#lease?.check() ? SWEEP_MS : LEASE_AGAIN_MS;
      await pause(ms, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #sweep(): Promise<void> {
    if (!this.#lease?.check()) await this.#openLease();
    const store = this.#store!;
    const kinds = [...this.#kinds.keys()];
    await keepQueue(this.#own!);
    if (this.#lease) await store.letGo(this.#lease.incarnation, [...this.#running.keys()]);
    for (;;) {
      const lease = this.#lease;
      if (!lease?.check() || this.#state !== "started") return;
      const claim = await store.claimEnding(lease.incarnation, kinds);
      if (!claim) break;
      await this.#runningOf(claim).end(
        claim.cancelled ? "cancelled" : "dead",
        claim.cancelled ? new Fault("JOB_CANCELLED") : new Fault("JOB_LAPSED"),
      );
    }
    await store.sweep(kinds, this.#options.clock.nowMs());
  }
}

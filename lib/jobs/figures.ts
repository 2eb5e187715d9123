/** What the metrics say of jobs. */
import type { Database } from "../db/database.ts";
import { counter, gauge, histogram } from "../metrics/metrics.ts";

export const runSeconds = histogram({
  name: "castellan_job_seconds",
  help: "Time of one run of a job in a worker, by how it ended (again: it is tried once more).",
  labels: ["kind", "end"],
  buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1_800, 3_600],
});
export const waitSeconds = histogram({
  name: "castellan_job_wait_seconds",
  help: "Time from the moment when a job could have started to its claim.",
  labels: ["kind"],
  buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1_800, 3_600],
});
export const retries = counter({
  name: "castellan_job_retries_total",
  help: "Runs that failed and are tried again, by the code of their error.",
  labels: ["kind", "code"],
});
export const deaths = counter({
  name: "castellan_job_deaths_total",
  help: "Jobs that ended as dead, by the code of their error.",
  labels: ["kind", "code"],
});
export const reaped = counter({
  name: "castellan_job_reaped_total",
  help: "Jobs that were taken back from workers whose lease had ended.",
});

/** A process has one; tests have several, one after the other. */
let shown: Database | undefined;

/** Live jobs of all tenants, read when the metrics are. */
export function showQueue(db: Database): void {
  shown = db;
  const depth = gauge({
    name: "castellan_job_queue",
    help: "Live jobs by state: waiting (could start), delayed (to a later time), away (what they need is), running.",
    labels: ["kind", "state"],
    collect: async () => {
      depth.reset();
      // A page of metrics without these is better than none.
      for (const { kind, state, count } of await depthsOf(shown)) depth.set({ kind, state }, count);
    },
  });
}

interface Depth {
  readonly kind: string;
  readonly state: string;
  readonly count: number;
}

const depthsOf = async (db: Database | undefined): Promise<readonly Depth[]> => {
  const read = db?.query<Depth>(
    `select kind, case when holder is not null then 'running' when waiting_since is not null then 'away'
       when run_at > now() then 'delayed' else 'waiting' end as state, count(*)
     from job_queue where not is_over group by 1, 2`,
  );
  return (await read?.catch(() => undefined))?.rows ?? [];
};

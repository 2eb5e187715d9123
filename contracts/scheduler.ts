/** Jobs as people see them. Pool actor. */
import { z } from "zod";
import { Instant, NextCursor, Page, TenantId } from "./ids.ts";
import { ask, fact } from "./kit.ts";

export const JobId = z.uuid();
export const JOB_STATES = ["queued", "running", "done", "dead", "cancelled"] as const;
export const JobState = z.enum(JOB_STATES);
export const Job = z.object({
  id: JobId,
  kind: z.string(),
  state: JobState,
  /** It is live and will end as cancelled. */
  cancelling: z.boolean(),
  subject: z.object({ kind: z.string(), id: z.string() }).nullable(),
  priority: z.int(),
  attempt: z.int(),
  attemptsMax: z.int(),
  percent: z.number().nullable(),
  fps: z.number().nullable(),
  etaSeconds: z.number().nullable(),
  note: z.string().nullable(),
  /** Why it failed last. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  /** It waits for something that is away: what (a code of the catalogue), since when, and what was said last. */
  waiting: z.object({ code: z.string(), reason: z.string(), since: Instant, lookCount: z.int() }).nullable(),
  nodeId: z.string().nullable(),
  createdAt: Instant,
  /** Not before. */
  runAt: Instant.nullable(),
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
  updatedAt: Instant,
});

const Word = z.string().min(1).max(100);
const JOB_READ = { scope: "job:read", tag: "jobs" } as const;
const JOB_WRITE = { scope: "job:write", tag: "jobs", method: "POST" } as const;

export const listJobs = ask("scheduler.list", {
  input: z.strictObject({
    kind: Word.optional(),
    state: JobState.optional(),
    subjectKind: Word.optional(),
    subjectId: Word.optional(),
    ...Page,
  }),
  result: z.object({ data: z.array(Job), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { ...JOB_READ, method: "GET", path: "/jobs", summary: "List jobs, the newest first." },
});
export const getJob = ask("scheduler.get", {
  input: z.strictObject({ jobId: JobId }),
  result: z.object({ data: Job.extend({ result: z.unknown() }) }),
  deadlineMs: 5_000,
  errors: ["JOB_NOT_FOUND"],
  retriable: true,
  rest: { ...JOB_READ, method: "GET", path: "/jobs/:jobId", summary: "A job with its result." },
});
/** An order about one job: answers with the job as it is then. */
const orderOf = <N extends string>(name: N, rest: { readonly path: string; readonly summary: string }) =>
  ask(name, {
    input: z.strictObject({ jobId: JobId }),
    result: z.object({ data: Job }),
    deadlineMs: 5_000,
    errors: ["JOB_NOT_FOUND", "JOB_STATE"],
    rest: { ...JOB_WRITE, status: 202, ...rest },
  });
export const cancelJob = orderOf("scheduler.cancel", {
  path: "/jobs/:jobId/cancel",
  summary: "Cancel a job: one that waits ends at once, one that runs is told within 2 s.",
});
export const replayJob = orderOf("scheduler.replay", {
  path: "/jobs/:jobId/replay",
  summary: "Queue a dead job again, its attempts at 0.",
});
/** At most this many at once; ask again while `count` is as many. */
export const REPLAY_MAX = 1_000;
export const replayJobs = ask("scheduler.replayDead", {
  input: z.strictObject({ kind: Word.optional() }),
  result: z.object({ data: z.object({ count: z.int() }) }),
  deadlineMs: 10_000,
  errors: [],
  rest: {
    ...JOB_WRITE,
    path: "/jobs/replay",
    status: 202,
    summary: "Queue all dead jobs again (of a kind): 1,000 at once.",
  },
});
export const jobStats = ask("scheduler.stats", {
  input: z.strictObject({}),
  result: z.object({
    data: z.array(z.object({ kind: z.string(), state: JobState, count: z.int(), oldestAgeSeconds: z.number() })),
  }),
  deadlineMs: 5_000,
  errors: [],
  retriable: true,
  rest: {
    ...JOB_READ,
    method: "GET",
    path: "/jobs/stats",
    summary: "Jobs per kind and state, and the oldest one's age.",
  },
});

/** All jobs of a title as one: each has the same weight. */
export const SubjectProgress = z.object({
  percent: z.number(),
  /** none: there never was a job, or it was long ago. */
  state: z.enum(["none", ...JOB_STATES]),
  etaSeconds: z.number().nullable(),
  jobCount: z.int(),
  /** Of these wait or run. */
  liveCount: z.int(),
});
export const subjectProgress = ask("scheduler.subjectProgress", {
  input: z.strictObject({ titleId: z.uuid() }),
  result: z.object({ data: SubjectProgress }),
  deadlineMs: 5_000,
  errors: [],
  retriable: true,
  rest: { ...JOB_READ, method: "GET", path: "/titles/:titleId/progress", summary: "How far the work on a title is." },
});

export const Watched = z.union([z.object({ jobId: JobId }), z.object({ subject: z.object({ kind: Word, id: Word }) })]);
/** The number of a transaction (xid8); compared as a number. */
export const TransactionId = z.string().regex(/^\d{1,19}$/);
/**
 * A place among changes: behind this job's in this transaction. Of instants, which begin with transactions and become
 * visible with their ends, none can be named behind which nothing is missing.
 */
export const ChangeCursor = z.object({ changed: TransactionId, jobId: JobId });
/** What of the watched jobs changed behind a place, in order, 500 at most; for the streams of events. */
export const watchJobs = ask("scheduler.watch", {
  input: z.object({ watched: Watched, after: ChangeCursor }),
  result: z.object({
    changes: z.array(z.object({ job: Job, changed: TransactionId })),
    isMore: z.boolean(),
    progress: SubjectProgress,
    /** All transactions before this one are over: what they changed is in `changes`, or on the pages behind. */
    settled: TransactionId,
  }),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});
/** A hint: a job of a tenant changed. */
export const jobChanged = fact(
  "scheduler.jobChanged",
  z.object({
    tenantId: TenantId,
    jobId: JobId,
    subject: z.object({ kind: z.string(), id: z.string() }).nullable(),
  }),
);

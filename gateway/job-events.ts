/**
 * Server-sent events of jobs (WHATWG HTML §9.2): `GET /api/v1/jobs/:jobId/events` and
 * `GET /api/v1/jobs/events?subjectKind=title&subjectId=…`.
 *
 * Events: `job` (a whole job, each time that it changed), `progress` (all of them as one), `end` (nothing more comes).
 * An id is a place among the changes (`transaction-job`) up to which all is told: a client that comes back with
 * `Last-Event-ID` hears what changed behind it, with a little that it may know already. What is told is asked of the
 * scheduler after each hint of a change, at most twice a second, and every few seconds without one, page by page: a
 * lost hint, a restart of anybody or thousands of changes at once lose nothing.
 */
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import { z } from "zod";
import { codeOf, Fault } from "../contracts/errors.ts";
import { type ChangeCursor, JobId, jobChanged, type Watched as WatchedOf, watchJobs } from "../contracts/scheduler.ts";
import { on, parseInput, send } from "../lib/actor/contract.ts";
import { gauge } from "../lib/metrics/metrics.ts";
import { checkScope } from "./authentication.ts";
import { fieldsOfBody } from "./body.ts";
import type { Exchange, Principal } from "./exchange.ts";
import { API_BASE } from "./routes.ts";

type Watched = z.output<typeof WatchedOf>;
type Cursor = z.output<typeof ChangeCursor>;
type Page = z.output<typeof watchJobs.result>;

const STREAMS_MAX = 2_000; // about 20 kB each: 40 MB
const STREAMS_PER_TENANT_MAX = 200;
const TELL_EVERY_MS = 500;
const POLL_MS = 3_000; // without a hint
const HEARTBEAT_MS = 15_000;
/** A job may be on its way: an upload is watched before its first job is there. */
const NO_JOB_YET_MS = 60_000;
/** Also behind a job that has ended: work on a title is a chain of jobs, each enqueued by news of the last one. */
const QUIET_MS = 2_500;
const STREAM_MS_MAX = 3_600_000; // the client comes back by itself
/** A client that reads nothing for so long is gone. */
const STALLED_MS = 30_000;
const RETRY_MS = 1_000;
const NO_JOB = "00000000-0000-0000-0000-000000000000"; // before all of a transaction
const LAST_EVENT_ID = /^(\d{1,19})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const ONE = new RegExp(`^${API_BASE}/jobs/([^/]+)/events$`);
const OF_SUBJECT = `${API_BASE}/jobs/events`;

export interface JobEventsDeps {
  readonly broker: ServiceBroker;
  readonly authenticate: (exchange: Exchange) => Promise<Principal>;
}

/** All open streams of one gateway. */
export class JobEvents {
  readonly #deps: JobEventsDeps;
  readonly #streams = new Set<Stream>();
  #stopped = false;

  constructor(deps: JobEventsDeps) {
    this.#deps = deps;
    const open = gauge({
      name: "castellan_gateway_job_streams",
      help: "Streams of job events that are open.",
      collect: () => open.set({}, this.#streams.size),
    });
  }

  /** Puts the hearing of hints onto the broker; gives what takes it away and ends every stream. */
  mount(): () => Promise<void> {
    const { broker } = this.#deps;
    const service = broker.createService({
      name: "gateway-job-events",
      events: on(jobChanged, (change) => {
        for (const stream of this.#streams) stream.hint(change);
      }),
    });
    return async () => {
      this.close();
      await broker.destroyService(service);
    };
  }

  /** Ends every stream; their clients come back to another gateway. */
  close(): void {
    this.#stopped = true;
    for (const stream of this.#streams) stream.close();
  }

  has({ path }: Exchange): boolean {
    return path === OF_SUBJECT || ONE.test(path);
  }

  /** Answers until the stream ends. Throws a Fault as long as nothing is written. */
  async serve(exchange: Exchange): Promise<void> {
    exchange.route = exchange.path === OF_SUBJECT ? OF_SUBJECT : `${API_BASE}/jobs/:jobId/events`;
    const principal = await this.#admit(exchange);
    const watched = watchedOf(exchange);
    const admitted = async () => void (await this.#admit(exchange));
    const stream = new Stream({ exchange, principal, watched, broker: this.#deps.broker, admitted });
    this.#makeRoom(principal);
    this.#streams.add(stream);
    try {
      await stream.run();
    } finally {
      this.#streams.delete(stream);
    }
  }

  async #admit(exchange: Exchange): Promise<Principal> {
    const principal = await this.#deps.authenticate(exchange);
    checkScope(principal, "job:read");
    return principal;
  }

  #makeRoom({ tenantId }: Principal): void {
    if (this.#stopped) throw new Fault("SHUTTING_DOWN");
    let ofTenant = 0;
    for (const stream of this.#streams) if (stream.tenantId === tenantId) ofTenant += 1;
    if (this.#streams.size >= STREAMS_MAX || ofTenant >= STREAMS_PER_TENANT_MAX) throw new Fault("JOB_STREAMS_FULL");
  }
}

const OneJob = z.strictObject({ jobId: JobId });
const OneSubject = z.strictObject({ subjectKind: z.string().min(1).max(100), subjectId: z.string().min(1).max(100) });

const watchedOf = ({ path, query }: Exchange): Watched => {
  const asked = fieldsOfBody(Object.fromEntries(query));
  const jobId = ONE.exec(path)?.[1];
  if (jobId !== undefined) return parseInput(OneJob, { ...asked, jobId });
  const { subjectKind, subjectId } = parseInput(OneSubject, asked);
  return { subject: { kind: subjectKind, id: subjectId } };
};

interface StreamOptions {
  readonly exchange: Exchange;
  readonly principal: Principal;
  readonly watched: Watched;
  readonly broker: ServiceBroker;
  /** Throws when the key is no longer good. */
  readonly admitted: () => Promise<void>;
}

interface News {
  readonly text: string;
  /** There is no job, or not yet. */
  readonly isEmpty: boolean;
  /** No job is live. */
  readonly isOver: boolean;
  /** There is more to read at once. */
  readonly isMore: boolean;
}
const NO_NEWS: News = { text: "", isEmpty: false, isOver: false, isMore: false };

const idOf = ({ changed, jobId }: Cursor): string => `${changed}-${jobId}`;
const isBefore = (one: string, other: string): boolean => BigInt(one) < BigInt(other);

/** One client that watches. */
class Stream {
  readonly #options: StreamOptions;
  readonly #closed = new AbortController();
  readonly #openedAtMs = performance.now();
  #overSinceMs: number | null = null;
  readonly #isComingBack: boolean;
  /** Behind this it reads next. */
  #cursor: Cursor;
  /** What the first page of those that are being read said: where the next ones begin. */
  #settled: string | null = null;
  #hinted = false;
  #hasTold = false;
  #wake = (): void => {};
  #toldProgress = "";
  /** Transactions of changes that will be read again: told, but others of their time were not over yet. */
  readonly #toldJobs = new Map<string, string>();

  constructor(options: StreamOptions) {
    this.#options = options;
    const { request, response } = options.exchange;
    const [, changed = "0", jobId = NO_JOB] = LAST_EVENT_ID.exec(String(request.headers["last-event-id"] ?? "")) ?? [];
    this.#cursor = { changed, jobId };
    this.#isComingBack = changed !== "0";
    // Who has gone while the key was looked up is not heard of again.
    if (response.closed) this.close();
    else response.once("close", () => this.close());
  }

  get tenantId(): string {
    return this.#options.principal.tenantId;
  }

  close(): void {
    this.#closed.abort();
    this.#wake();
  }

  hint({ tenantId, jobId, subject }: z.output<typeof jobChanged.payload>): void {
    const { watched } = this.#options;
    if (tenantId !== this.tenantId) return;
    const isOurs =
      "jobId" in watched
        ? watched.jobId === jobId
        : subject?.kind === watched.subject.kind && subject.id === watched.subject.id;
    if (!isOurs) return;
    this.#hinted = true;
    this.#wake();
  }

  async run(): Promise<void> {
    const { exchange, watched } = this.#options;
    // Before the head: what is wrong with the request, or away, is answered with a problem.
    const news = await this.#read();
    if (news.isEmpty && "jobId" in watched) throw new Fault("JOB_NOT_FOUND", watched);
    if (this.#closed.signal.aborted) return;
    if (news.isOver && this.#isComingBack && !this.#hasTold) {
      // To an EventSource this says: do not come again.
      exchange.response.writeHead(204, { "Cache-Control": "no-store" }).end();
      return;
    }
    this.#writeHead();
    const heartbeat = setInterval(() => void this.#beat(), HEARTBEAT_MS);
    try {
      await this.#tell(news);
    } finally {
      clearInterval(heartbeat);
      exchange.response.end();
    }
  }

  async #tell(first: News): Promise<void> {
    const { signal } = this.#closed;
    for (let news = first; !signal.aborted; news = await this.#read().catch(() => NO_NEWS)) {
      await this.#write(news.text);
      if (news.isMore) continue;
      const openMs = performance.now() - this.#openedAtMs;
      if (this.#isEnd(news, openMs)) return void (await this.#write(this.#event("end", {}, this.#cursor)));
      if (openMs > STREAM_MS_MAX) return;
      await pause(TELL_EVERY_MS, undefined, { signal }).catch(() => {});
      await this.#untilHint(POLL_MS - TELL_EVERY_MS);
    }
  }

  #isEnd({ isOver, isEmpty }: News, openMs: number): boolean {
    if (!isOver) {
      this.#overSinceMs = null;
      return isEmpty && openMs > NO_JOB_YET_MS;
    }
    this.#overSinceMs ??= openMs;
    return "jobId" in this.#options.watched || openMs - this.#overSinceMs >= QUIET_MS;
  }

  async #untilHint(ms: number): Promise<void> {
    if (this.#hinted || this.#closed.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #read(): Promise<News> {
    const { broker, principal, watched, exchange } = this.#options;
    const { tenantId, tenant, scopes } = principal;
    this.#hinted = false;
    const meta = { tenantId, tenant, scopes, requestId: exchange.requestId };
    const page = await send(broker, watchJobs, { watched, after: this.#cursor }, meta);
    const events = this.#changeEvents(page);
    const words = JSON.stringify(page.progress);
    if (!page.isMore && words !== this.#toldProgress) {
      events.push(this.#event("progress", page.progress, this.#cursor));
      this.#toldProgress = words;
    }
    const { jobCount, liveCount } = page.progress;
    return {
      text: events.join(""),
      isEmpty: jobCount === 0,
      isOver: jobCount > 0 && liveCount === 0,
      isMore: page.isMore,
    };
  }

  /** Of what it has not told yet; the cursor moves behind the page, or after the last one behind what is settled. */
  #changeEvents({ changes, isMore, ...page }: Page): string[] {
    const settled = this.#settled ?? page.settled;
    const end: Cursor = { changed: settled, jobId: NO_JOB };
    const events: string[] = [];
    for (const { job, changed } of changes) {
      const isTold = this.#toldJobs.get(job.id) === changed;
      const isSettled = isBefore(changed, settled);
      if (!isSettled) this.#toldJobs.set(job.id, changed);
      // To come back behind what is not settled would be to miss what overlapped it.
      if (!isTold) events.push(this.#event("job", job, isSettled ? { changed, jobId: job.id } : end));
      this.#cursor = { changed, jobId: job.id };
    }
    this.#settled = isMore ? settled : null;
    if (isMore) return events;
    this.#cursor = end;
    for (const [jobId, changed] of this.#toldJobs) if (isBefore(changed, settled)) this.#toldJobs.delete(jobId);
    return events;
  }

  #event(name: "job" | "progress" | "end", data: object, cursor: Cursor): string {
    this.#hasTold ||= name === "job";
    return `event: ${name}\nid: ${idOf(cursor)}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  #writeHead(): void {
    const { response } = this.#options.exchange;
    response.writeHead(200, {
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
      "X-Accel-Buffering": "no", // nginx would keep events back
      Connection: "close", // it would be of no use to a next request, and hold up a gateway that stops
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** Waits for a client that reads slowly: it hears of fewer steps, and nothing piles up. */
  async #write(text: string): Promise<void> {
    const { response } = this.#options.exchange;
    if (text === "" || response.destroyed || response.write(text)) return;
    const { signal } = this.#closed;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(STALLED_MS)]);
    await once(response, "drain", { signal: deadline }).catch(() => response.destroy());
  }

  /** Also looks whether the key is still good. */
  async #beat(): Promise<void> {
    const { response } = this.#options.exchange;
    if (!response.writableNeedDrain && !response.destroyed) response.write(": still here\n\n");
    await this.#options.admitted().catch((error: unknown) => {
      // An actor that is away says nothing about the key.
      const code = codeOf(error);
      if (code === "UNAUTHENTICATED" || code === "SCOPE_MISSING") this.close();
    });
  }
}

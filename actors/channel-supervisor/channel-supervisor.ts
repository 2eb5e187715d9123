/**
 * The live owner of one channel. Compares what the rows want with what streamers run and acts on the difference; never
 * remembers more than it can read again. One loop per channel: rows are read every 10 s and when asked, origins are
 * looked at when they report, when a back-off ends and when a check is due.
 */
import { channelObserved, type OriginOutcome, supervisorKey } from "../../contracts/channel-supervisor.ts";
import { codeOf, fail } from "../../contracts/errors.ts";
import { type Anchor, type StreamReport, setAnchor } from "../../contracts/streamer.ts";
import { sameJson } from "../../domain/payload/payload.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/events.ts";
import type { Log } from "../../lib/log/log.ts";
import { Anchors, hashConflicts } from "./anchors.ts";
import type { CastisHow, CastisPace } from "./castis-client.ts";
import * as store from "./channel-supervisor.store.ts";
import { OriginRunner } from "./origin-runner.ts";
import { type Observed, unclearMsOf, unknownOrigin } from "./origin-state.ts";
import type { Reports } from "./reports.ts";
import { type AskStreamer, type ChannelContext, wantOf } from "./want.ts";

export interface SupervisorDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly reports: Reports;
  readonly ask: AskStreamer;
  readonly castis: CastisPace & CastisHow;
}
export interface SupervisorPlace {
  readonly tenantId: string;
  readonly channelId: number;
  readonly leaseEpoch: number;
  readonly alive: () => boolean;
}

const ROWS_EVERY_MS = 10_000;
const LOOP_MAX_MS = 2_000;
const LOOP_MIN_MS = 50;
const OFF_AIR_MS = 10_000; // longer than an ffmpeg takes that is started again

export class ChannelSupervisor {
  readonly #deps: SupervisorDeps;
  readonly #place: SupervisorPlace;
  readonly #runners = new Map<number, OriginRunner>();
  #anchors: Anchors;
  #unlisten: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #rowsAtMs = 0;
  #claimed: Promise<store.Claimed> | undefined;
  #written: Observed = { origins: {} };
  #writing: Promise<void> = Promise.resolve();
  #stopped = false;
  #requestId: string | undefined;

  constructor(deps: SupervisorDeps, place: SupervisorPlace) {
    this.#deps = deps;
    this.#place = place;
    this.#anchors = this.#makeAnchors(null);
  }

  /** Raises the fence and begins to look after the channel. */
  async start(): Promise<void> {
    await this.#readRows();
    this.#arm(0);
  }

  /** Nothing is written or commanded any more; streams run on. */
  async stop(_reason: string): Promise<void> {
    this.kill();
    await this.#writing.catch(() => {});
  }

  kill(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const unlisten of this.#unlisten) unlisten();
    this.#unlisten = [];
  }

  /** Reads the rows and brings all origins to them, side by side. */
  async settle(input: { push: readonly number[]; restart: boolean; requestId?: string | undefined }): Promise<{
    leaseEpoch: number;
    origins: OriginOutcome[];
  }> {
    this.#requestId = input.requestId;
    const { channelId, leaseEpoch } = this.#place;
    if ((await this.#readRows()) === undefined) return fail("CHANNEL_NOT_FOUND", { channelId });
    const runners = [...this.#runners.values()];
    await Promise.all(
      runners.map((runner) => {
        const { row, run } = runner.want;
        const isRid = runner.observed.remote === "none" || runner.observed.remote === "foreign";
        const force = input.push.includes(row.id) || (!run && !isRid);
        return runner.settle({ force: force || input.restart, restart: input.restart });
      }),
    );
    await this.#write();
    this.#arm(LOOP_MIN_MS);
    return {
      leaseEpoch,
      origins: runners.map(({ want: { row }, observed: { status, playbackUrl, failure } }) => ({
        originId: row.id,
        streamerId: row.streamerId,
        status,
        playbackUrl,
        failure,
      })),
    };
  }

  get #isAlive(): boolean {
    return !this.#stopped && this.#place.alive();
  }

  #arm(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#loop(), delayMs);
  }

  async #loop(): Promise<void> {
    await this.#quietly("reconcile", async () => {
      const nowMs = this.#deps.clock.nowMs();
      if (nowMs - this.#rowsAtMs >= ROWS_EVERY_MS) await this.#readRows();
      for (const runner of this.#runners.values()) {
        runner.look();
        // Not waited for: a node that hangs must not keep the channel's other origins.
        if (runner.dueAtMs <= nowMs) void this.#quietly("reconcile an origin", () => this.#tick(runner));
      }
      await this.#write();
    });
    const dueMs = Math.min(
      ...[...this.#runners.values()].map((r) => (r.isBusy ? Number.POSITIVE_INFINITY : r.dueAtMs)),
    );
    const waitMs = dueMs - this.#deps.clock.nowMs();
    this.#arm(Math.min(LOOP_MAX_MS, Math.max(LOOP_MIN_MS, waitMs)));
  }

  async #tick(runner: OriginRunner): Promise<void> {
    await runner.tick();
    await this.#write();
  }

  /** Trouble with the database, or a lost lease, ends a round and not the loop; streams run on meanwhile. */
  async #quietly(what: string, run: () => Promise<unknown>): Promise<void> {
    if (!this.#isAlive) return;
    try {
      await run();
    } catch (error) {
      const { channelId, leaseEpoch } = this.#place;
      const level = codeOf(error) === undefined ? "error" : "debug";
      this.#deps.log[level]({ err: error, channelId, leaseEpoch }, `channel-supervisor: ${what} failed`);
    }
  }

  #tx<T>(run: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#deps.db.tenantTx(this.#place.tenantId, run);
  }

  /** Undefined when the channel has no rows (any more). */
  async #readRows(): Promise<store.WantedChannel | undefined> {
    const { channelId } = this.#place;
    const wanted = await this.#tx((tx) => store.readWanted(tx, channelId));
    if (!this.#isAlive) return fail("ACTOR_MOVED", { key: supervisorKey(this.#place) });
    if (wanted === undefined) {
      this.#runners.clear();
      return undefined;
    }
    const { hadOwner } = await this.#claim();
    this.#rowsAtMs = this.#deps.clock.nowMs();
    const context = this.#context(wanted);
    for (const id of this.#runners.keys()) if (!wanted.origins.some((row) => row.id === id)) this.#runners.delete(id);
    for (const row of wanted.origins) {
      const want = wantOf(context, row);
      const runner = this.#runners.get(row.id);
      if (runner !== undefined) runner.update(want);
      else this.#runners.set(row.id, this.#makeRunner(want, { hadOwner }));
    }
    this.#listen();
    return wanted;
  }

  #context(channel: store.WantedChannel): ChannelContext {
    const { tenantId, leaseEpoch } = this.#place;
    const { reports, ask, db, castis } = this.#deps;
    return {
      channel,
      tenantId,
      leaseEpoch,
      reports,
      castis,
      alive: () => this.#isAlive,
      ask: (nodeId, order, params) => ask({ nodeId, meta: this.#meta(channel.tenant) }, order, params),
      anchor: () => this.#anchors.current,
      heldByOther: async (claim) => {
        const tenants = await db.tenantTx(null, (tx) => store.otherTenants(tx, tenantId));
        for (const other of tenants) if (await db.tenantTx(other, (tx) => store.hasStream(tx, claim))) return true;
        return false;
      },
    };
  }

  #meta(tenant: string): { tenantId: string; tenant: string; requestId?: string } {
    const requestId = this.#requestId;
    return { tenantId: this.#place.tenantId, tenant, ...(requestId === undefined ? {} : { requestId }) };
  }

  #makeRunner(want: OriginRunner["want"], { hadOwner }: { hadOwner: boolean }): OriginRunner {
    const {
      clock,
      castis: { checkEveryMs, deadlineMs },
    } = this.#deps;
    const { leaseEpoch } = this.#place;
    const unclearMs = unclearMsOf(deadlineMs);
    const unknown = unknownOrigin(clock.nowMs(), hadOwner ? unclearMs : 0);
    const known = this.#written.origins[want.row.id];
    const { remote, unclearUntilMs } = unknown;
    const observed =
      known === undefined
        ? unknown
        : known.remote === "none" && hadOwner
          ? { ...known, remote, unclearUntilMs }
          : known;
    const deps = {
      clock,
      leaseEpoch,
      unclearMs,
      checkEveryMs,
      alive: () => this.#isAlive,
      changed: () => this.#arm(LOOP_MIN_MS),
    };
    return new OriginRunner(deps, want, observed);
  }

  #claim(): Promise<store.Claimed> {
    this.#claimed ??= this.#tx((tx) => store.claimRuntime(tx, this.#place)).then(
      (claimed) => {
        if (claimed === undefined) return fail("ACTOR_MOVED", { key: supervisorKey(this.#place) });
        this.#written = claimed.observed;
        this.#anchors = this.#makeAnchors(claimed.anchor);
        return claimed;
      },
      (error: unknown) => {
        this.#claimed = undefined;
        throw error;
      },
    );
    return this.#claimed;
  }

  #makeAnchors(current: Anchor | null): Anchors {
    return new Anchors(
      {
        store: {
          write: (anchor) => this.#tx((tx) => store.writeAnchor(tx, this.#place, anchor)),
          writeResidual: (at) => this.#tx((tx) => store.writeResidual(tx, this.#place, at)),
        },
        tell: (originId, anchor) => {
          const runner = this.#runners.get(originId);
          if (runner !== undefined) void this.#quietly("tell the anchor", () => this.#tell(runner, anchor));
        },
      },
      current,
    );
  }

  async #tell({ want: { row }, want }: OriginRunner, anchor: Anchor): Promise<void> {
    const { nodeId, ordinal } = row;
    if (nodeId === null || ordinal === null) return;
    const { leaseEpoch } = this.#place;
    const { tenant, streamId } = want;
    await this.#deps.ask({ nodeId, meta: this.#meta(tenant) }, setAnchor, {
      ordinal,
      leaseEpoch,
      tenant,
      streamId,
      anchor,
    });
  }

  #listen(): void {
    for (const unlisten of this.#unlisten) unlisten();
    this.#unlisten = [...this.#runners.values()].flatMap((runner) => {
      const { nodeId, ordinal } = runner.want.row;
      if (nodeId === null || ordinal === null) return [];
      return [
        this.#deps.reports.listen({ nodeId, ordinal }, () => void this.#quietly("hear", () => this.#hear(runner))),
      ];
    });
  }

  async #hear(runner: OriginRunner): Promise<void> {
    this.#compareHashes();
    runner.look();
    if (runner.dueAtMs <= this.#deps.clock.nowMs()) this.#arm(0);
    const stream = runner.want.heard?.().stream;
    if (stream !== undefined && runner.want.run) await this.#anchors.consider(runner.want.row.id, stream);
  }

  /** None of an origin that has given nothing for a while: it must not keep those that differ from it off the air. */
  #initHashesOf(runner: OriginRunner): StreamReport["initHashes"] {
    const { heard, stream } = runner.want.heard?.() ?? {};
    if (heard === undefined || stream === undefined) return {};
    if (stream.state === "live" || stream.state === "slate") runner.onAirAtMs = heard.atMs;
    return this.#deps.clock.nowMs() - runner.onAirAtMs > OFF_AIR_MS ? {} : stream.initHashes;
  }

  #compareHashes(): void {
    const runners = [...this.#runners.values()].filter(({ want }) => want.run);
    const conflicts = hashConflicts(
      runners.map((runner) => ({ originId: runner.want.row.id, hashes: this.#initHashesOf(runner) })),
    );
    for (const runner of runners) {
      const rendition = conflicts.get(runner.want.row.id);
      runner.hashConflict =
        rendition === undefined ? null : `its init segment of ${rendition} differs from the channel's first origin`;
    }
  }

  /** What has changed goes to channel_runtime; what others may know of it, to the outbox in the same transaction. */
  #write(): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(() => this.#writeNow());
    return this.#writing;
  }

  async #writeNow(): Promise<void> {
    const observed: Observed = { origins: Object.fromEntries([...this.#runners].map(([id, r]) => [id, r.observed])) };
    if (sameJson(timeless(observed), timeless(this.#written)) || this.#claimed === undefined) return;
    const { tenantId, channelId, leaseEpoch } = this.#place;
    const news = newsOf(observed);
    const isNews = !sameJson(news, newsOf(this.#written));
    const written = await this.#tx(async (tx) => {
      if (!(await store.writeObserved(tx, this.#place, observed))) return false;
      const payload = { tenantId, channelId, leaseEpoch, origins: news };
      if (isNews) await publishFact(tx, channelObserved, supervisorKey(this.#place), payload);
      return true;
    });
    if (written) {
      this.#written = observed;
      return;
    }
    this.kill();
    fail("ACTOR_MOVED", { key: supervisorKey(this.#place) });
  }
}

const newsOf = ({ origins }: Observed) =>
  Object.entries(origins).map(([id, { status, playbackUrl, message, gone }]) => ({
    originId: Number(id),
    status,
    playbackUrl,
    message,
    gone,
  }));

/** When something was seen is written along, but is no reason to write. */
const timeless = ({ origins }: Observed): unknown =>
  Object.fromEntries(Object.entries(origins).map(([id, origin]) => [id, { ...origin, observedAtMs: 0 }]));

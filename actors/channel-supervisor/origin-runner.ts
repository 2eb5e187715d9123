/** Brings one origin to what the rows want, one step at a time, and says what became of it. */
import type { OriginOutcome } from "../../contracts/channel-supervisor.ts";
import type { StreamReport } from "../../contracts/streamer.ts";
import { type Payload, sameJson } from "../../domain/payload/payload.ts";
import type { Clock } from "../../lib/clock.ts";
import type { WantedOrigin } from "./channel-supervisor.store.ts";
import { backoffMs, nextStep, type OriginObserved, type Situation, type Step } from "./origin-state.ts";
import { type Heard, REPORT_STALE_MS } from "./reports.ts";
import type { Command, PushOutcome, Refusal, Target } from "./target.ts";

/** What the rows say about one origin, with its streamer at hand. */
export interface Want {
  readonly row: WantedOrigin;
  /** It shall run: the row is present, the channel is running and not deleted. */
  readonly run: boolean;
  /** It shall go for good, not only stop. */
  readonly removal: boolean;
  readonly tenant: string;
  readonly streamId: string;
  readonly payload: Payload;
  readonly target: Target;
  readonly playbackUrl: string;
  /** What its streamer said last; null where streamers say nothing (castis). */
  readonly heard: (() => { heard: Heard | undefined; stream: StreamReport | undefined }) | null;
}

export interface RunnerDeps {
  readonly clock: Clock;
  readonly leaseEpoch: number;
  /** How long a command without an answer may still be carried out. */
  readonly unclearMs: number;
  /** How often a stream on a castis node is looked at. */
  readonly checkEveryMs: number;
  /** False as soon as the lease is gone: nothing may be commanded then. */
  readonly alive: () => boolean;
  /** Something of `observed` has changed. */
  readonly changed: () => void;
}

/** A report that was sent before our command was carried out may arrive after its answer. */
const REPORT_LAG_MS = 1_000;
/** One lost request is no dead node. */
const SILENT_CHECKS_MAX = 2;

const STATUS_OF_STATE = {
  starting: "pending",
  live: "active",
  slate: "active",
  backoff: "failed",
  failed: "failed",
  stopped: "failed",
} as const satisfies Record<StreamReport["state"], OriginOutcome["status"]>;

export class OriginRunner {
  observed: OriginObserved;
  /** Set from outside: its init segments can't be mixed with those of the channel's other origins. */
  hashConflict: string | null = null;
  /** Set from outside: when it was last heard to give media, ms since 1970. */
  onAirAtMs = 0;
  readonly #deps: RunnerDeps;
  #want: Want;
  #queue: Promise<unknown> = Promise.resolve();
  #busyCount = 0;
  #failureCount = 0;
  #silentChecks = 0;
  #retryAtMs = 0;
  #checkAtMs = 0;
  /** When the streamer last took a command, or when we began to listen to it. */
  #quietSinceMs: number;

  constructor(deps: RunnerDeps, want: Want, observed: OriginObserved) {
    this.#deps = deps;
    this.#want = want;
    this.observed = observed;
    this.#quietSinceMs = deps.clock.nowMs();
    this.#retarget();
  }

  get want(): Want {
    return this.#want;
  }
  get isBusy(): boolean {
    return this.#busyCount > 0;
  }
  /** When the next step is due, in ms since 1970; Infinity where all is as wanted. */
  get dueAtMs(): number {
    if (this.observed.generation !== this.#want.row.generation) return 0;
    const situation = this.#situation({ force: false, restart: false });
    const step = nextStep({ ...situation, retryDue: true, checkDue: this.#want.heard === null });
    if (step === "none") return Number.POSITIVE_INFINITY;
    return step === "check" ? this.#checkAtMs : this.#retryAtMs;
  }

  update(want: Want): void {
    this.#want = want;
    this.#retarget();
  }

  /** One step at the caller's wish; resolves when it is done. Steps of one origin never overlap. */
  settle(options: { force: boolean; restart: boolean }): Promise<void> {
    const run = this.#queue.then(() => this.#step(options));
    this.#queue = run.catch(() => {});
    return run;
  }

  /** One step if one is due, unless another is under way. */
  async tick(): Promise<void> {
    if (!this.isBusy) await this.settle({ force: false, restart: false });
  }

  /** Looks again at what the streamer said. */
  look(): void {
    if (!this.isBusy) this.#conclude();
  }

  #retarget(): void {
    const { key } = this.#want.target;
    if (this.observed.target === null || this.observed.target === key) return;
    // The streamer's entry points elsewhere now; what was at its old address is given up.
    this.#set({ target: null, remote: "none", sent: null, unclearUntilMs: 0, failure: null, state: null });
  }

  async #step(options: { force: boolean; restart: boolean }): Promise<void> {
    this.#busyCount += 1;
    try {
      if (!this.#deps.alive()) return;
      // A changed row is acted upon at once, and so is a streamer that has just come back.
      const isNew = this.observed.generation !== this.#want.row.generation;
      const step = nextStep(this.#situation({ ...options, force: options.force || isNew }));
      const { generation } = this.#want.row;
      await this.#take(step);
      this.#set({ generation });
    } finally {
      this.#busyCount -= 1;
      this.#conclude();
    }
  }

  async #take(step: Step): Promise<void> {
    const want = this.#want;
    switch (step) {
      case "push":
        return this.#pushed(await want.target.push(this.#command()), want);
      case "restart":
        return this.#pushed(await want.target.restart(this.#command()), want);
      case "remove":
        return this.#remove();
      case "check":
        return this.#check();
      case "none":
        if (!this.#want.run) this.#set({ failure: null, state: null });
        return;
    }
  }

  #command(): Command {
    const { remote, sent, unclearUntilMs } = this.observed;
    return { payload: this.#want.payload, remote, sent, unclear: this.#deps.clock.nowMs() < unclearUntilMs };
  }

  #pushed(outcome: PushOutcome, { payload, row, heard }: Want): void {
    const nowMs = this.#deps.clock.nowMs();
    const accepted = outcome.refusal === null;
    const keeps = outcome.remote === "ours" && !accepted;
    this.#set({
      remote: outcome.remote,
      // A change that was refused before it began leaves the old payload there.
      ...(keeps ? {} : { sent: payload, sentTrusted: heard && row.sourceTrusted }),
      target: this.#want.target.key,
      state: outcome.state,
      observedAtMs: nowMs,
      failure: this.#failure(outcome.refusal),
      ...(outcome.unclear ? { unclearUntilMs: nowMs + this.#deps.unclearMs } : {}),
    });
    this.#quietSinceMs = nowMs;
    this.#silentChecks = 0;
    this.#checkAtMs = nowMs + this.#deps.checkEveryMs;
    this.#retryLater(outcome.remote === "foreign" ? this.#deps.checkEveryMs : undefined);
  }

  async #remove(): Promise<void> {
    const { remote, refusal } = await this.#want.target.remove(this.#command());
    this.#set({ remote, failure: this.#failure(refusal), state: null, observedAtMs: this.#deps.clock.nowMs() });
    if (refusal === null) this.#failureCount = 0;
    else this.#retryLater();
  }

  async #check(): Promise<void> {
    const outcome = await this.#want.target.check(this.#want.payload);
    const nowMs = this.#deps.clock.nowMs();
    this.#checkAtMs = nowMs + this.#deps.checkEveryMs;
    if (outcome.found === "unreachable") {
      this.#silentChecks += 1;
      this.#checkAtMs = nowMs + backoffMs(this.#silentChecks - 1);
      if (this.#silentChecks >= SILENT_CHECKS_MAX)
        this.#set({ failure: this.#failure(outcome.refusal), state: "unreachable", observedAtMs: nowMs });
      return;
    }
    this.#silentChecks = 0;
    if (outcome.found === "same") {
      this.#failureCount = 0;
      this.#set({ failure: null, state: null, observedAtMs: nowMs });
      return;
    }
    // Somebody removed it, or put another one in its place: the next step finds out what can be done.
    const remote = outcome.found === "missing" ? "none" : "foreign";
    this.#set({ remote, state: null, observedAtMs: nowMs, failure: this.#failure(REPLACED[outcome.found]) });
    this.#retryAtMs = outcome.found === "missing" ? nowMs : nowMs + this.#deps.checkEveryMs;
  }

  #retryLater(delayMs: number = backoffMs(this.#failureCount++)): void {
    this.#retryAtMs = this.#deps.clock.nowMs() + delayMs;
  }

  #failure(refusal: Refusal | null): OriginObserved["failure"] {
    return refusal && { streamerId: this.#want.row.streamerId, status: refusal.status, message: refusal.message };
  }

  #situation({ force, restart }: { force: boolean; restart: boolean }): Situation {
    const nowMs = this.#deps.clock.nowMs();
    const { payload, target, run, row } = this.#want;
    const { sent, sentTrusted } = this.observed;
    const trusted = row.sourceTrusted;
    return {
      wanted: run,
      remote: this.observed.remote,
      upToDate: this.observed.target === target.key && sameJson(sent, payload) && (sentTrusted ?? trusted) === trusted,
      reported: this.#reported(nowMs),
      restart,
      force,
      retryDue: nowMs >= this.#retryAtMs,
      checkDue: this.#want.heard === null && nowMs >= this.#checkAtMs,
    };
  }

  #reported(nowMs: number): Situation["reported"] {
    if (this.#want.heard === null || this.#isSilent(nowMs)) return null;
    const { heard, stream } = this.#want.heard();
    if (heard === undefined || heard.atMs < this.#quietSinceMs + REPORT_LAG_MS) return null;
    if (stream === undefined) return "missing";
    if (stream.leaseEpoch < this.#deps.leaseEpoch) return "olderEpoch";
    return stream.state === "failed" || stream.state === "stopped" ? "dead" : "fine";
  }

  /** One of our streamers that has not been heard of for too long; its streams may well run on. */
  #isSilent(nowMs: number): boolean {
    if (this.#want.heard === null) return false;
    const heardAtMs = this.#want.heard().heard?.atMs ?? 0;
    return nowMs - Math.max(heardAtMs, this.#quietSinceMs) > REPORT_STALE_MS;
  }

  /** From all that is known to the status that others see. */
  #conclude(): void {
    const { run, removal, playbackUrl, heard } = this.#want;
    const { remote, failure } = this.observed;
    const isRid = remote === "none" || remote === "foreign";
    if (!run) {
      const leftover = failure === null ? null : `not removed yet: ${failure.message}`;
      this.#set({ status: failure === null ? "stopped" : "failed", message: leftover, gone: removal && isRid });
      if (isRid) this.#set({ status: "stopped", message: null, failure: null });
      return;
    }
    const nowMs = this.#deps.clock.nowMs();
    if (failure !== null || remote !== "ours") {
      const status = remote === "foreign" ? "conflict" : failure === null ? "pending" : "failed";
      this.#set({ status, message: failure?.message ?? null, gone: false });
      return;
    }
    if (heard !== null && this.#isSilent(nowMs)) {
      const message = `the streamer node has not reported for ${REPORT_STALE_MS / 1000} s`;
      this.#set({ status: "failed", message, state: "unreachable", playbackUrl, gone: false });
      return;
    }
    if (this.#reported(nowMs) === "missing") {
      this.#set({
        status: "failed",
        message: "the stream does not run on its streamer",
        state: "stopped",
        gone: false,
      });
      return;
    }
    this.#concludeRunning();
  }

  #concludeRunning(): void {
    const word = this.#want.heard?.();
    // A report from before our last command tells of the stream before it.
    const stream = word?.heard !== undefined && word.heard.atMs >= this.#quietSinceMs ? word.stream : undefined;
    const state = stream?.state ?? (this.observed.state === "unreachable" ? null : this.observed.state);
    if (state === "live" || state === "slate") this.#failureCount = 0;
    const status = state === null ? (this.#want.heard === null ? "active" : "pending") : STATUS_OF_STATE[state];
    this.#set({
      state,
      status: this.hashConflict === null ? status : "conflict",
      message: this.hashConflict ?? stream?.message ?? null,
      playbackUrl: this.#want.playbackUrl,
      gone: false,
    });
  }

  #set(fields: Partial<OriginObserved>): void {
    const next = { ...this.observed, ...fields };
    if (sameJson({ ...next, observedAtMs: 0 }, { ...this.observed, observedAtMs: 0 })) {
      this.observed = next;
      return;
    }
    this.observed = next;
    this.#deps.changed();
  }
}

const REPLACED = {
  missing: { status: 404, message: "the stream is gone from the node" },
  different: { status: 500, message: "a stream of this name exists with another configuration" },
} as const satisfies Record<string, Refusal>;

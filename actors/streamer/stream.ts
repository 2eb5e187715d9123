/**
 * One stream on this streamer: runs ffmpeg, places what it gives in stream time, and keeps viewers supplied.
 *
 * Its states and arrows are in stream-state.ts; every change goes through `#enter`.
 */
import { codeOf } from "../../contracts/errors.ts";
import type { Anchor, StreamReport, StreamSpec } from "../../contracts/streamer.ts";
import type { Sample } from "../../domain/mp4/fragment.ts";
import type { Clock } from "../../lib/clock.ts";
import { liveArguments } from "../../lib/ffmpeg/encode.ts";
import type { SourceInfo } from "../../lib/ffmpeg/source-info.ts";
import type { Log } from "../../lib/log/log.ts";
import { HeldSamples } from "./held-samples.ts";
import type { StartIngest } from "./ingest.ts";
import { learnFrom } from "./learned.ts";
import type { LiveView } from "./live-http.ts";
import { streamCount } from "./metrics.ts";
import { LEADING_RENDITION, Output } from "./output.ts";
import { type Machine, type Payload, type Plan, parsePayload, planOf, wantedRate } from "./plan.ts";
import { Retries } from "./retries.ts";
import { Runs } from "./runs.ts";
import { AUDIO_RENDITION, type MakeSlate } from "./slate.ts";
import { type Input, isListener, largeFifoBytes, type SourceOpener } from "./source.ts";
import type { KeptStream, Learned } from "./state-file.ts";
import { ARROWS, type State } from "./stream-state.ts";
import { AnchoredTimeline, LoopTimeline, type Timeline } from "./timeline.ts";

/** Datagrams come or they don't; servers may pause. A source whose time went back gives nothing either. */
const STALL_MS = { udp: 4_000, other: 10_000 };
/** Longer than a source needs that comes back 2 s later than it was, and waits for its key frame. */
const TOO_LATE_MS = 5_000;
/** A first look finds a source with a key frame every second; one that it missed is looked at for longer. */
const ANALYSIS_MS = { known: 500, first: 1_200, again: 3_000 };

export interface StreamDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly machine: Machine;
  readonly ringBytesMax: number;
  readonly opener: SourceOpener;
  readonly makeSlate: MakeSlate;
  readonly startIngest: StartIngest;
  /** Something that a report shows has changed. */
  readonly changed: () => void;
  /** Something that must outlive this process has changed. */
  readonly keep: () => void;
}

export class Stream {
  readonly spec: StreamSpec;
  readonly posted: KeptStream["posted"];
  leaseEpoch: number;
  readonly #deps: StreamDeps;
  readonly #payload: Payload;
  #state: State = "stopped";
  #message: string | null = null;
  #anchor: Anchor | null;
  #ownAnchor: Anchor | null;
  #learned: Learned | null;
  #output: Output | null = null;
  #timeline: Timeline | null = null;
  readonly #runs: Runs;
  readonly #held = new HeldSamples();
  readonly #retries = new Retries();
  #runStartedMs = 0;
  #spawnedMs = 0;
  #lastSampleMs = 0;
  #stallMs = STALL_MS.other;
  #waitsForCaller = false;
  #tooLateSinceMs: number | null = null;

  constructor(deps: StreamDeps, kept: KeptStream) {
    this.#deps = deps;
    this.#runs = new Runs(deps.startIngest);
    this.spec = kept.spec;
    this.posted = kept.posted;
    this.leaseEpoch = kept.leaseEpoch;
    this.#anchor = kept.anchor ?? kept.spec.anchor;
    this.#ownAnchor = kept.ownAnchor;
    this.#learned = kept.learned;
    this.#payload = parsePayload(kept.spec.payload);
  }

  get key(): string {
    return `${this.spec.tenant}/${this.spec.streamId}`;
  }
  get state(): State {
    return this.#state;
  }
  get anchorEpoch(): number {
    return this.#anchor?.anchorEpoch ?? 0;
  }

  start(): void {
    if (this.#state === "stopped") this.#begin();
  }
  /** Kills what runs and starts again at once. */
  restart(): void {
    // A supervisor asks for it as long as the stream is failed: that must not undo the pauses between runs for nothing.
    if (this.#state !== "backoff" && this.#state !== "failed") this.#retries.forget();
    this.#beginAgain("restart was asked for");
  }
  async stop(): Promise<void> {
    this.#enter("stopped", null);
    await this.#runs.stop();
  }

  /** The channel's anchor, first or moved. */
  setAnchor(anchor: Anchor): void {
    if (this.#isLoop || anchor.anchorEpoch < this.anchorEpoch) return;
    this.#anchor = anchor;
    this.#deps.keep();
    const rate = this.#output?.plan.grid.frameRate;
    const isOtherRate = rate && (rate.num !== anchor.frameRateNum || rate.den !== anchor.frameRateDen);
    if (isOtherRate && !this.#output?.begun) {
      this.#timeline = null;
      this.#beginAgain("the channel has another frame rate");
    } else if (this.#timeline instanceof AnchoredTimeline) {
      this.#timeline.setAnchor(anchor, this.#deps.clock.nowMs());
      this.#flush();
    }
  }

  /** To be called about every 20 ms; `isLate`: this process was held up, and samples may wait in the pipes. */
  tick({ isLate }: { isLate: boolean }): void {
    const nowMs = this.#deps.clock.nowMs();
    const isWaiting = this.#state === "backoff" || this.#state === "failed";
    if (isWaiting && this.#retries.isDue(nowMs)) this.#begin();
    this.#flush();
    const output = this.#output;
    if (!output) return;
    const residualMs = this.#timeline?.residualMs;
    if (residualMs != null) output.presentation.setResidual(residualMs);
    if (!isLate) output.tick(nowMs); // else a lost input would be seen where none was lost
    if (this.#state === "live" && output.isSlate) this.#enter("slate", "no picture comes from the source");
    else if (this.#state === "slate" && !output.isSlate) this.#enter("live", null);
    if (this.#runs.hasChild) this.#watchStall(nowMs);
  }

  #watchStall(nowMs: number): void {
    if (this.#waitsForCaller && this.#lastSampleMs < this.#spawnedMs) return;
    if (nowMs - Math.max(this.#spawnedMs, this.#lastSampleMs) < this.#stallMs) return;
    this.#ended(`nothing came from the source for ${this.#stallMs / 1000} s`);
  }

  get #isLoop(): boolean {
    return this.#payload.url.startsWith("pl:");
  }

  #enter(next: State, message: string | null): void {
    if (next === this.#state && message === this.#message) return;
    if (next !== this.#state) {
      if (!ARROWS[this.#state].includes(next)) throw new Error(`bug: a stream went from ${this.#state} to ${next}`);
      this.#deps.log.info(
        { stream: this.key, from: this.#state, to: next, message: message ?? undefined },
        `stream ${next}`,
      );
    }
    if (this.#state !== "stopped") streamCount.dec({ state: this.#state });
    if (next !== "stopped") streamCount.inc({ state: next });
    this.#state = next;
    this.#message = message;
    this.#deps.changed();
  }

  /** Another run, at once; what still runs is killed. */
  #beginAgain(why: string): void {
    if (this.#state === "stopped") return;
    this.#deps.log.info({ stream: this.key, why }, "ffmpeg is started again");
    this.#begin();
  }

  #begin(): void {
    const run = this.#dropRun();
    this.#runStartedMs = this.#deps.clock.nowMs();
    this.#enter("starting", this.#message);
    this.#launch(run).catch((error: unknown) => {
      if (!this.#runs.isCurrent(run)) return;
      if (!codeOf(error)) this.#deps.log.error({ err: error, stream: this.key }, "a stream could not be started");
      this.#ended((error as Error).message);
    });
  }

  #dropRun(): number {
    this.#held.clear();
    this.#tooLateSinceMs = null;
    this.#timeline?.restarted();
    return this.#runs.drop();
  }

  /** Opens the source and starts ffmpeg; gives up silently when a later run has begun meanwhile. */
  async #launch(run: number): Promise<void> {
    const { opener } = this.#deps;
    const { source, address } = await opener.check(this.#payload.url, this.spec);
    await this.#runs.settled();
    if (!this.#runs.isCurrent(run)) return;
    if (source.kind === "pl") return this.#launchLoop(run, source.name);
    const fifoBytes = largeFifoBytes(source);
    if (fifoBytes !== null) this.#deps.log.warn({ stream: this.key, fifoBytes }, "fifo_size asks for much memory");
    const output = this.#outputFor(this.#plan());
    const timeline = this.#anchoredTimeline(output.plan);
    const how = { address, trusted: this.spec.trusted, analysisMs: this.#analysisMs };
    this.#waitsForCaller = isListener(source);
    this.#stallMs = source.kind === "udp" ? STALL_MS.udp : STALL_MS.other;
    this.#spawn(run, opener.networkInput(source, how), { output, phaseTicks: timeline.phaseTicks });
  }

  async #launchLoop(run: number, name: string): Promise<void> {
    const { opener, clock } = this.#deps;
    const loop = await opener.openLoop(this.spec.tenant, name, wantedRate(this.#payload));
    if (!this.#runs.isCurrent(run)) return;
    const { frameRate, width, height } = loop;
    this.#learned = { frameRate, width, height, hasAudio: true, interlaced: false };
    const output = this.#outputFor(this.#plan());
    const loopStartedAt = this.spec.loopStartedAt ?? 0;
    const timeline = this.#timeline instanceof LoopTimeline ? this.#timeline : new LoopTimeline(loopStartedAt);
    this.#timeline = timeline;
    const { segmentTicks } = output.plan.grid;
    const at = { streamKey: this.key, loopStartedAt, nowMs: clock.nowMs(), segmentTicks };
    const { input, startTicks } = await opener.loopInput(loop, at);
    if (!this.#runs.isCurrent(run)) return;
    timeline.startAt(startTicks);
    this.#spawn(run, input, { output, phaseTicks: 0 });
  }

  #spawn(run: number, input: Input, { output, phaseTicks }: { output: Output; phaseTicks: number }): void {
    const hasAudio = this.#learned?.hasAudio ?? true;
    const { settings } = output.plan;
    const args = liveArguments({
      ...{ input: input.args, settings, phaseTicks, hasAudio },
      interlaced: this.#learned?.interlaced ?? false,
    });
    const outputs = [...settings.rungs.map(({ name }) => name), ...(hasAudio ? [AUDIO_RENDITION] : [])];
    this.#spawnedMs = this.#deps.clock.nowMs();
    const log = this.#deps.log.child({ stream: this.key });
    this.#runs.spawn(
      run,
      { args, outputs, env: input.env, log },
      {
        onSource: (info) => this.#learn(info),
        onTracksChanged: () => this.#tracksChanged(),
        onInit: (name, init, info) => output.setInit(name, init, info),
        onSample: (name, sample) => this.#take(name, sample),
        onEnd: (reason) => this.#ended(reason),
      },
    );
  }

  #ended(reason: string): void {
    const times = { startedMs: this.#runStartedMs, lastSampleMs: this.#lastSampleMs, nowMs: this.#deps.clock.nowMs() };
    this.#dropRun();
    const isFailed = this.#retries.ended(times);
    this.#output?.presentation.inputLost();
    this.#enter("backoff", reason);
    if (isFailed) this.#enter("failed", reason);
  }

  get #analysisMs(): number {
    if (this.#learned) return ANALYSIS_MS.known;
    return this.#runs.spawnCount === 0 ? ANALYSIS_MS.first : ANALYSIS_MS.again;
  }
  #plan(): Plan {
    const anchor = this.#isLoop ? null : this.#anchor;
    const anchorRate = anchor && { num: anchor.frameRateNum, den: anchor.frameRateDen };
    return planOf(this.#payload, { anchorRate, learned: this.#learned }, this.#deps.machine);
  }
  /** An output that viewers have seen stays as it is; one that nothing came into yet follows the plan. */
  #outputFor(plan: Plan): Output {
    const kept = this.#output;
    if (kept && (kept.begun || kept.plan.shape === plan.shape)) return kept;
    const { ringBytesMax, makeSlate, log } = this.#deps;
    this.#output = new Output({ plan, ringBytesMax, makeSlate, log: log.child({ stream: this.key }) });
    return this.#output;
  }
  #anchoredTimeline({ grid }: Plan): AnchoredTimeline {
    if (this.#timeline instanceof AnchoredTimeline && this.#timeline.gopTicks === grid.gopTicks) return this.#timeline;
    const timeline = new AnchoredTimeline({
      grid,
      shared: this.#anchor,
      own: this.#ownAnchor,
      alone: this.posted !== null,
      changed: () => {
        this.#anchor = timeline.shared;
        this.#ownAnchor = timeline.own;
        this.#deps.keep();
        this.#deps.changed();
      },
    });
    this.#timeline = timeline;
    return timeline;
  }

  /** What ffmpeg says about the source; another run where the command was made for something else. */
  #learn(info: SourceInfo): void {
    if (this.#isLoop) return;
    const isShown = this.#output?.begun === true;
    const lesson = learnFrom(this.#learned, info, { isShown });
    if (lesson.kind === "unclear") this.#ended("the size of the source's picture is not known yet");
    if (lesson.kind !== "new") return;
    this.#learned = lesson.learned;
    this.#deps.keep();
    const isOtherPlan = !isShown && this.#plan().shape !== this.#output?.plan.shape;
    if (lesson.otherCommand || isOtherPlan) this.#beginAgain("the source is not what was expected");
  }
  #tracksChanged(): void {
    if (this.#isLoop || !this.#learned || this.#learned.hasAudio) return;
    this.#learned = { ...this.#learned, hasAudio: true };
    this.#beginAgain("the source has audio now");
  }

  #take(name: string, sample: Sample): void {
    const nowMs = this.#deps.clock.nowMs();
    this.#lastSampleMs = nowMs;
    if (this.#place(name, sample, nowMs)) return;
    this.#held.add(name, sample, nowMs);
    this.#flush();
  }
  /** False: the time line is not decided yet. */
  #place(name: string, sample: Sample, nowMs: number): boolean {
    const timescale = this.#output?.presentation.rendition(name)?.info?.timescale;
    if (!this.#timeline || !timescale) return true; // before its init segment: nothing that could be shown
    const leads = name === LEADING_RENDITION;
    const step = this.#timeline.take({ leads, key: sample.key, dts: sample.dts, timescale }, nowMs);
    if (step.kind === "hold") return false;
    if (step.kind === "restart") {
      this.#ended(step.why);
      return true;
    }
    const output = this.#output;
    if (leads) output?.presentation.setResidual(this.#timeline.residualMs ?? 0);
    output?.append(name, { ...sample, dts: step.dts }, nowMs);
    if (leads) this.#watchSlate(nowMs);
    if (this.#state === "starting" && !output?.isSlate) this.#enter("live", null);
    return true;
  }
  /** A picture that comes but is too late for what viewers have seen: another run, under an anchor that it fits. */
  #watchSlate(nowMs: number): void {
    if (!this.#output?.isSlate) this.#tooLateSinceMs = null;
    else if (this.#tooLateSinceMs === null) this.#tooLateSinceMs = nowMs;
    else if (nowMs - this.#tooLateSinceMs > TOO_LATE_MS) this.#ended("the picture comes too late");
  }
  /** Held samples go on as soon as the time line is decided. */
  #flush(): void {
    if (this.#held.isEmpty || !this.#timeline?.decide(this.#deps.clock.nowMs())) return;
    for (const { name, sample, nowMs } of this.#held.takeAll()) {
      if (this.#runs.hasChild) this.#place(name, sample, nowMs); // the first one may show that another run is needed
    }
  }

  /** What viewers get; undefined until there is something. */
  get view(): LiveView | undefined {
    if (!this.#output?.presentation.ready || !this.#timeline) return undefined;
    const { presentation, plan } = this.#output;
    return {
      presentation,
      firstSegmentNumber: this.#timeline.firstSegmentNumber,
      zeroMs: this.#timeline.zeroMs,
      declaredBps: plan.declaredBps,
    };
  }

  get report(): StreamReport {
    const presentation = this.#output?.presentation;
    const isOwn = this.#ownAnchor !== null;
    return {
      tenant: this.spec.tenant,
      streamId: this.spec.streamId,
      channelId: this.posted === null ? this.spec.channelId : null,
      state: this.#state,
      leaseEpoch: this.leaseEpoch,
      anchorEpoch: this.#isLoop ? null : (this.#anchor?.anchorEpoch ?? null),
      firstSegmentNumber: presentation?.firstSegmentNumber ?? null,
      lastSegmentNumber: presentation?.lastSegmentNumber ?? null,
      startCount: this.#runs.spawnCount,
      anchorProposal: this.#timeline?.proposal ?? null,
      residualMs: isOwn || this.#isLoop ? null : (this.#timeline?.residualMs ?? null),
      initHashes: this.#output?.initHashes ?? {},
      message: this.#message ?? (isOwn ? "its source's time line differs from the channel's" : null),
    };
  }

  get kept(): KeptStream {
    return {
      spec: this.spec,
      leaseEpoch: this.leaseEpoch,
      posted: this.posted,
      learned: this.#learned,
      anchor: this.#anchor,
      ownAnchor: this.#ownAnchor,
    };
  }
}

/**
 * From a source's timestamps to stream time: under the channel's anchor where the source fits it, under an anchor of
 * its own where it does not and the channel's can't be moved. Pure: the owner brings the clock and the samples.
 *
 * States: waiting (for the first key frame) → settling (measuring how late frames arrive) → running;
 * settling → proposing (a first or a moved anchor is asked for) → running; settling, proposing → misplaced (key frames
 * lie elsewhere: ffmpeg must be started again). `restarted` leads back to waiting.
 */
import {
  type AnchorPoint,
  fitsAnchor,
  hasJumped,
  phaseTicks,
  placeTicks,
  proposeAnchor,
  WRAP_TICKS,
} from "../../domain/live/anchor.ts";
import { DriftFilter } from "../../domain/live/drift.ts";
import type { Grid } from "../../domain/live/grid.ts";

/** What the owner does with a sample. */
export type Step =
  /** Not decided yet: keep it, it will be asked for again. */
  | { readonly kind: "hold" }
  | { readonly kind: "place"; readonly dts: number }
  /** The source has jumped, or the key frames lie elsewhere: a new run of ffmpeg is needed. */
  | { readonly kind: "restart"; readonly why: string };

export interface Arrival {
  /** Of the track that decides: the largest video rendition. */
  readonly leads: boolean;
  readonly key: boolean;
  readonly dts: number;
  readonly timescale: number;
}
export interface Timeline {
  readonly proposal: AnchorPoint | null;
  /** Null: no anchor is in use (yet), or none is needed. */
  readonly residualMs: number | null;
  readonly firstSegmentNumber: number;
  /** Date of stream time 0, ms since 1970, before any drift. */
  readonly zeroMs: number;
  /** Ticks to shift the next run's key frames by. */
  readonly phaseTicks: number;
  restarted(): void;
  /** Time has passed: true when held samples can be placed now. */
  decide(nowMs: number): boolean;
  take(arrival: Arrival, nowMs: number): Step;
}

/** The encoder's first frames arrive late, by what probing took; the least late of this time tells the clock. */
const SETTLE_MS = 700;
/** Without an answer for so long the proposal is used: streams outlive supervisors and the database. */
const ANSWER_WAIT_MS = 10_000;
/** An anchor that was moved so recently is not moved again by us: sources with unrelated clocks would fight over it. */
const MOVED_RECENTLY_MS = 60_000;
const BEHIND_MAX_MS = 10_000; // slow is not a jump, but beyond this the backlog is given up
const BACK_JUMP_MS = 1_000;
const LOOP_BEHIND_MAX_MS = 30_000; // a run begins with what the last segments held, read faster than its pace
const HOLD: Step = { kind: "hold" };

const toTicks = (time: number, timescale: number): number => (time * 90_000) / timescale;

export interface AnchoredOptions {
  readonly grid: Grid;
  /** The channel's. */
  readonly shared: AnchorPoint | null;
  /** One of our own, from an earlier run. */
  readonly own: AnchorPoint | null;
  /** Nobody else keeps anchors (streams of the castis API): a proposal is taken at once. */
  readonly alone: boolean;
  /** `shared` or `own` changed by themselves. */
  readonly changed: () => void;
}

export class AnchoredTimeline implements Timeline {
  readonly #options: AnchoredOptions;
  readonly #drift = new DriftFilter(0);
  #state: "waiting" | "settling" | "proposing" | "running" | "misplaced" = "waiting";
  #shared: AnchorPoint | null;
  #own: AnchorPoint | null;
  #used: AnchorPoint | null = null;
  #proposal: AnchorPoint | null = null;
  #movedAtMs = Number.NEGATIVE_INFINITY;
  #runPhase = 0;
  #firstTicks = 0;
  #sinceMs = 0;
  /** Least delay of the leading track's frames, wall clock ms minus source ms. */
  #delayMs = Number.POSITIVE_INFINITY;
  #lastTicks = 0;

  constructor(options: AnchoredOptions) {
    this.#options = options;
    this.#shared = options.shared;
    this.#own = options.own;
    this.#use(options.own ?? options.shared);
  }

  get shared(): AnchorPoint | null {
    return this.#shared;
  }
  get own(): AnchorPoint | null {
    return this.#own;
  }
  get gopTicks(): number {
    return this.#options.grid.gopTicks;
  }
  get proposal(): AnchorPoint | null {
    return this.#proposal;
  }
  get residualMs(): number | null {
    return this.#used === null ? null : this.#drift.residualMs;
  }
  /** An anchor's offset makes stream time the wall clock since 1970, to within a segment. */
  readonly zeroMs = 0;
  get firstSegmentNumber(): number {
    return (this.#shared ?? this.#used)?.firstSegmentNumber ?? 0;
  }
  get phaseTicks(): number {
    return this.#runPhase;
  }

  restarted(): void {
    this.#state = "waiting";
  }

  /** The channel's anchor, first or moved. A source that runs and does not fit it goes on as it is. */
  setAnchor(anchor: AnchorPoint, nowMs: number): void {
    if (this.#shared && anchor.anchorEpoch < this.#shared.anchorEpoch) return;
    if (this.#shared && anchor.anchorEpoch > this.#shared.anchorEpoch) this.#movedAtMs = nowMs;
    const isSame = this.#shared?.anchorEpoch === anchor.anchorEpoch && this.#shared.offsetTicks === anchor.offsetTicks;
    this.#shared = anchor;
    this.#proposal = null;
    if (isSame) return;
    if (this.#state === "running") {
      const placed = placeTicks(this.#lastTicks, anchor, nowMs);
      if (fitsAnchor(placed) && this.#phaseOf(anchor, placed.wraps) === this.#runPhase) {
        this.#own = null;
        this.#use(anchor);
      } else this.#own = this.#used;
    } else if (this.#own === null) this.#use(anchor);
    this.#options.changed();
  }

  decide(nowMs: number): boolean {
    if (this.#state === "settling" && nowMs - this.#sinceMs >= SETTLE_MS) this.#choose(nowMs);
    else if (this.#state === "proposing") this.#chooseAgain(nowMs);
    return this.#state === "running";
  }

  take({ leads, key, dts, timescale }: Arrival, nowMs: number): Step {
    const ticks = toTicks(dts, timescale);
    if (this.#state !== "running") return this.#prepare({ leads, key, ticks }, nowMs);
    const used = this.#used as AnchorPoint; // one is in use while running
    const placed = placeTicks(ticks, { ...used, residualMs: this.#drift.residualMs }, nowMs);
    const stepMs = leads ? (ticks - this.#lastTicks) / 90 : 0;
    const behindMs = -placed.aheadTicks / 90;
    if (placed.aheadTicks > 0 ? hasJumped(placed) : behindMs > BEHIND_MAX_MS || stepMs < -BACK_JUMP_MS) {
      return { kind: "restart", why: `the source's time jumped by ${(placed.aheadTicks / 90_000).toFixed(1)} s` };
    }
    if (leads) {
      this.#lastTicks = ticks;
      this.#drift.observe(placed.streamTicks, nowMs);
    }
    const offset = used.offsetTicks + placed.wraps * WRAP_TICKS;
    return { kind: "place", dts: dts + Math.round((offset * timescale) / 90_000) };
  }

  #prepare({ leads, key, ticks }: { leads: boolean; key: boolean; ticks: number }, nowMs: number): Step {
    if (this.#state === "misplaced") return { kind: "restart", why: "the key-frame grid has moved" };
    if (!leads || (this.#state === "waiting" && !key)) return HOLD;
    if (this.#state === "waiting") {
      this.#state = "settling";
      this.#firstTicks = ticks;
      this.#sinceMs = nowMs;
      this.#delayMs = Number.POSITIVE_INFINITY;
    }
    this.#lastTicks = ticks;
    this.#delayMs = Math.min(this.#delayMs, nowMs - ticks / 90);
    // A source that fits is let through at once; only judging that it does not takes the time to settle.
    if (this.#state === "settling" && this.#candidates().some((anchor) => this.#fits(anchor))) this.#choose(nowMs);
    return HOLD;
  }

  #candidates(): AnchorPoint[] {
    return [this.#shared, this.#own].filter((anchor) => anchor !== null);
  }
  /** When the first key frame would have arrived with the least delay seen. */
  get #firstMs(): number {
    return this.#firstTicks / 90 + this.#delayMs;
  }
  #residualOf(anchor: AnchorPoint): AnchorPoint {
    return anchor.offsetTicks === this.#used?.offsetTicks && anchor.anchorEpoch === this.#used.anchorEpoch
      ? { ...anchor, residualMs: this.#drift.residualMs }
      : anchor;
  }
  #fits(anchor: AnchorPoint): boolean {
    return fitsAnchor(placeTicks(this.#firstTicks, this.#residualOf(anchor), this.#firstMs));
  }
  #phaseOf(anchor: AnchorPoint, wraps: number): number {
    return phaseTicks(anchor, wraps, this.#options.grid);
  }

  #choose(nowMs: number): void {
    const fitting = this.#candidates().find((anchor) => this.#fits(anchor));
    if (fitting) {
      this.#run(fitting, fitting === this.#shared ? null : fitting);
      return;
    }
    const previous = this.#shared && this.#residualOf(this.#shared);
    const proposal = proposeAnchor({
      ptsTicks: this.#firstTicks,
      nowMs: this.#firstMs,
      grid: this.#options.grid,
      previous,
    });
    const isContested = previous !== null && nowMs - this.#movedAtMs < MOVED_RECENTLY_MS;
    if (this.#options.alone) {
      this.#shared = proposal;
      this.#run(proposal, null);
      this.#options.changed();
    } else if (isContested) {
      const own = { ...proposal, anchorEpoch: previous.anchorEpoch };
      this.#run(own, own);
      this.#options.changed();
    } else {
      this.#proposal = proposal;
      this.#state = "proposing";
      this.#sinceMs = nowMs;
      this.#options.changed();
    }
  }

  /** An answer may have come, or none for too long. */
  #chooseAgain(nowMs: number): void {
    if (this.#proposal === null) this.#choose(nowMs);
    else if (nowMs - this.#sinceMs >= ANSWER_WAIT_MS) {
      // Still proposed in every report, until the channel's anchor comes.
      this.#run(this.#proposal, this.#proposal);
      this.#options.changed();
    }
  }

  #run(anchor: AnchorPoint, own: AnchorPoint | null): void {
    const { wraps } = placeTicks(this.#firstTicks, this.#residualOf(anchor), this.#firstMs);
    const wantedPhase = this.#phaseOf(anchor, wraps);
    this.#use(anchor);
    this.#own = own;
    this.#lastTicks = this.#firstTicks - this.#options.grid.gopTicks; // what was held comes again, from its begin
    const off = Math.abs(wantedPhase - this.#runPhase);
    const { gopTicks, gopFrames } = this.#options.grid;
    const halfFrame = gopTicks / gopFrames / 2;
    if (Math.min(off, gopTicks - off) > halfFrame) {
      this.#runPhase = wantedPhase;
      this.#state = "misplaced";
    } else this.#state = "running";
  }

  #use(anchor: AnchorPoint | null): void {
    const isSame = anchor?.offsetTicks === this.#used?.offsetTicks && anchor?.anchorEpoch === this.#used?.anchorEpoch;
    this.#used = anchor;
    if (anchor && !isSame) this.#drift.reset(anchor.residualMs);
  }
}

/** `pl:///` loops: stream time is the wall clock since the loop began; a run of ffmpeg starts at a GOP of it. */
export class LoopTimeline implements Timeline {
  readonly proposal = null;
  readonly firstSegmentNumber = 0;
  readonly phaseTicks = 0;
  readonly residualMs: number;
  readonly zeroMs: number;
  #startTicks = 0;

  constructor(loopStartedAtMs: number) {
    this.residualMs = loopStartedAtMs;
    this.zeroMs = loopStartedAtMs;
  }
  /** Stream time of the next run's first frame. */
  startAt(startTicks: number): void {
    this.#startTicks = startTicks;
  }
  restarted(): void {}
  decide(): boolean {
    return true;
  }
  take({ dts, timescale }: Arrival, nowMs: number): Step {
    const ticks = toTicks(dts, timescale) + this.#startTicks;
    const behindMs = nowMs - this.residualMs - ticks / 90;
    if (Math.abs(behindMs) > LOOP_BEHIND_MAX_MS) {
      return { kind: "restart", why: `the loop is ${(behindMs / 1000).toFixed(1)} s late` };
    }
    return { kind: "place", dts: dts + Math.round((this.#startTicks * timescale) / 90_000) };
  }
}

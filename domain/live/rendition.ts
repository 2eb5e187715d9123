/**
 * One rendition's time line: samples in stream time become CMAF chunks and segments on the grid, in a ring.
 *
 * States: idle → live ⇄ slate; any → idle when time has jumped further than a hole can be filled.
 * - idle: waits for a sample that begins a segment (a key frame, of video): what came in the middle of one would be
 *   other media under the same name.
 * - live: the next sample begins where the last one ended. A hole up to half a second lengthens the last frame, a
 *   longer one is filled with slate up to the next key frame; what is late is dropped.
 * - slate: input is lost. The slate was encoded with the same settings, so it needs no discontinuity. Back to live at a
 *   key frame on the grid that is not older than what the slate has shown.
 */
import type { Sample } from "../mp4/fragment.ts";
import type { TrackInfo } from "../mp4/init.ts";
import type { Grid } from "./grid.ts";
import { RateMeter } from "./rate-meter.ts";
import { type Segment, SegmentBuilder } from "./segment.ts";
import { SlateReel } from "./slate-reel.ts";
import { Units } from "./units.ts";

export interface RenditionOptions {
  readonly name: string;
  readonly kind: "video" | "audio";
  readonly grid: Grid;
  /** Complete segments that are kept. */
  readonly segmentsMax: number;
  /** Wall clock, ms, of a stream time in 90 kHz ticks. */
  readonly wallClockMs: (streamTicks: number) => number;
  /** The same, fixed for a segment number when its first rendition begins it: playlists of one channel agree. */
  readonly programDateTimeMs: (segmentNumber: number, streamTicks: number) => number;
}

type State = "idle" | "live" | "slate";

const STRETCH_MAX_MS = 500; // a longer hole is filled with slate
const HOLE_MAX_MS = 30_000; // beyond that it is not a hole but another time
const DURATION_MAX_MS = 1_000; // an encoder's frame that claims to last longer is taken for one of the grid's
/** A source that is late for so long reads no backlog: it is later than it was, and the slate has to wait for it. */
const LATE_FOR_MS = 1_000;
const LATE_PAUSE_MAX_MS = 300;
const RETURN_LAG_MAX_MS = 10_000; // what is later is another time
const LAG_DECAY = 0.02; // one late frame counts for some 50 frames

export class Rendition {
  readonly name: string;
  readonly kind: "video" | "audio";
  readonly #options: RenditionOptions;
  readonly #reel = new SlateReel();
  readonly #rates = new RateMeter();
  #state: State = "idle";
  #init: Buffer | undefined;
  #info: TrackInfo | undefined;
  #units: Units | undefined;
  #segments: Segment[] = [];
  #segmentBytes = 0;
  #open: SegmentBuilder | undefined;
  /** Where the next sample begins; undefined while idle. */
  #end: number | undefined;
  #sequenceNumber = 0;
  #lastLiveMs: number | undefined;
  #lagMs = 0;
  /** While the slate is shown: since when samples come too late, and the least of their lags. */
  #late: { readonly sinceMs: number; readonly lastMs: number; readonly leastLagMs: number } | undefined;
  /** Grows with everything that a playlist shows. */
  version = 0;
  /**
   * Samples: late (older than what is there), dropped (before a key frame), stretched; slates shown, segments given up.
   */
  readonly counts = { late: 0, dropped: 0, stretched: 0, slateEntries: 0, givenUp: 0 };

  constructor(options: RenditionOptions) {
    this.#options = options;
    this.name = options.name;
    this.kind = options.kind;
  }

  get init(): Buffer | undefined {
    return this.#init;
  }
  get info(): TrackInfo | undefined {
    return this.#info;
  }
  get inSlate(): boolean {
    return this.#state === "slate";
  }
  get begun(): boolean {
    return this.#state !== "idle";
  }
  /** When a sample of the source was taken last. */
  get lastLiveMs(): number | undefined {
    return this.#lastLiveMs;
  }
  /** How long after its wall clock a sample arrives here, ms: the slate keeps the same distance. */
  get lagMs(): number {
    return this.#lagMs;
  }
  /** Wall-clock end of what there is, ms; 0 before the first sample. */
  get endMs(): number {
    return this.#end === undefined ? 0 : this.#wallMs(this.#end);
  }
  /** Where what is held begins, in ticks; 0 while there is nothing. */
  get firstTicks(): number {
    const start = this.#segments[0]?.start ?? this.#open?.start ?? 0;
    return this.#units?.toTicks(start) ?? 0;
  }
  /** Complete segments, oldest first, with consecutive numbers. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }
  get firstSegment(): Segment | undefined {
    return this.#segments[0];
  }
  get lastSegment(): Segment | undefined {
    return this.#segments.at(-1);
  }
  /** The complete segment with this number. */
  segment(number: number): Segment | undefined {
    return this.#segments[number - (this.#segments[0]?.number ?? 0)];
  }
  /** Of complete segments and of the one being made. */
  get byteLength(): number {
    return this.#segmentBytes + this.openByteLength;
  }
  get openByteLength(): number {
    return this.#open?.byteLength ?? 0;
  }
  /** bit/s: of the busiest segment so far (in steps), and a moving mean. */
  get rates(): { readonly peakBps: number; readonly averageBps: number } {
    return this.#rates;
  }

  /** False when another codec configuration came: then everything begins anew, as nothing of it splices. */
  setInit(init: Buffer, info: TrackInfo): boolean {
    if (this.#init?.equals(init)) return true;
    const isSameConfiguration =
      this.#info?.configuration === info.configuration && this.#info.timescale === info.timescale;
    if (this.#init && isSameConfiguration) return true; // other bytes that say the same: the published ones stay
    const isFirst = this.#init === undefined;
    this.#init = init;
    this.#info = info;
    this.#units = new Units(this.#options.grid, this.kind, info.timescale);
    if (!isFirst) this.reset();
    this.version += 1;
    return isFirst;
  }

  /**
   * One GOP of video, or one frame of silence that is repeated; encoded with the stream's own settings. None: no slate.
   */
  setSlate(samples: readonly Sample[]): void {
    this.#reel.set(samples);
  }

  /** Forgets all media; the init segment stays. */
  reset(): void {
    this.#becomeIdle();
    this.#segments = [];
    this.#segmentBytes = 0;
    this.version += 1;
  }

  /** Begins with slate where the source has no such track at all. `start` in ticks. */
  beginWithSlate(startTicks: number, lagMs: number): void {
    if (this.begun || this.#reel.isEmpty || !this.#units) return;
    this.#end = Math.round(this.#units.fromTicks(startTicks));
    this.#lagMs = lagMs;
    this.#becomeSlate();
  }

  /** Input is lost. Without a slate nothing happens: the hole is made good when the source comes back. */
  enterSlate(): void {
    if (this.#state === "live" && !this.#reel.isEmpty) this.#becomeSlate();
  }

  /** A sample from the source; its `dts` is stream time in the track's timescale. */
  append(sample: Sample, nowMs: number): void {
    const units = this.#units;
    if (!units) {
      this.counts.dropped += 1;
      return;
    }
    const isTimed = sample.duration > 0 && sample.duration <= units.fromMs(DURATION_MAX_MS);
    const timed = isTimed ? sample : { ...sample, duration: Math.round(units.frame) };
    const end = this.#end;
    if (end !== undefined && timed.dts < end - timed.duration / 2) {
      // Stale: it must not move the slate's clock either. Only what is taken counts as live.
      this.counts.late += 1;
      if (this.#state === "slate") this.#awaitReturn(timed, nowMs);
      return;
    }
    const joined = this.#joined(timed, units);
    if (!joined) {
      this.counts.dropped += 1;
      return;
    }
    this.#noteLive(timed, nowMs);
    this.#add(joined, units, false);
  }

  /** Slate up to a wall clock, ms. */
  fillSlate(untilMs: number): void {
    const units = this.#units;
    if (this.#state !== "slate" || this.#end === undefined || !units) return;
    const missingMs = untilMs - this.#wallMs(this.#end);
    if (missingMs > HOLE_MAX_MS) {
      // The process slept, or the wall clock was set: nobody waits for an hour of slate.
      const now = this.#end + units.fromMs(missingMs);
      this.#becomeIdle();
      this.beginWithSlate(units.toTicks(Math.ceil(units.boundary(units.numberOf(now)))), this.#lagMs);
    } else if (missingMs > 0) this.#fillTo(this.#end + units.fromMs(missingMs), units);
  }

  /** Gives up the oldest segment; false when there is none but the newest. */
  dropOldest(): boolean {
    if (this.#segments.length < 2) return false;
    this.#segmentBytes -= this.#segments.shift()?.byteLength ?? 0;
    this.version += 1;
    return true;
  }

  /** Gives up the segment being made, which has outgrown what is allowed; goes on with the next one. */
  giveUp(): void {
    this.counts.givenUp += 1;
    this.#becomeIdle();
  }

  /** The sample made to follow the last one; undefined when it can't be shown. */
  #joined(sample: Sample, units: Units): Sample | undefined {
    const end = this.#end;
    if (end === undefined || sample.dts - end > units.fromMs(HOLE_MAX_MS)) return this.#firstOf(sample, units);
    if (this.#state === "slate") {
      if (!this.#isEntry(sample, units)) return undefined;
      this.#fillTo(sample.dts, units);
    } else if (sample.dts - end > sample.duration / 2 && !this.#closeHole(sample, units)) return undefined;
    if (this.#end === undefined) return this.#firstOf(sample, units);
    const hole = sample.dts - this.#end;
    if (hole === 0) return sample;
    if (Math.abs(hole) > units.epsilon) this.counts.stretched += 1;
    return { ...sample, dts: this.#end, duration: Math.max(1, sample.duration + hole) };
  }

  #firstOf(sample: Sample, units: Units): Sample | undefined {
    this.#becomeIdle();
    return this.#isEntry(sample, units) && units.isAtBoundary(sample.dts) ? sample : undefined;
  }

  /** May follow something else: decodable by itself, and where all origins have one that is. */
  #isEntry({ key, dts }: Sample, units: Units): boolean {
    return this.kind === "audio" || (key && units.isOnGop(dts));
  }

  /** After it, what is left of the hole fits into the sample. False: the sample has to wait for the next key frame. */
  #closeHole(sample: Sample, units: Units): boolean {
    const hole = sample.dts - (this.#end ?? sample.dts);
    const isLong = this.kind === "audio" || hole > units.fromMs(STRETCH_MAX_MS);
    if (isLong && !this.#reel.isEmpty) {
      if (!this.#isEntry(sample, units)) {
        this.#becomeSlate();
        return false;
      }
      if (this.kind === "video") this.#becomeSlate();
      this.#fillTo(sample.dts, units);
      return true;
    }
    this.counts.stretched += 1;
    return this.#lengthen(sample, units);
  }

  /**
   * The last frame is shown longer, up to its segment's end at most; a key frame may begin a little early behind that.
   */
  #lengthen({ dts, key }: Sample, units: Units): boolean {
    const open = this.#open;
    const number = units.numberOf(dts);
    if (open && open.number < number) {
      open.lengthenTo(Math.max(open.end, Math.round(units.boundary(open.number + 1))));
      this.#end = open.end;
      this.#closeSegment(units);
    } else if (open) {
      open.lengthenTo(dts);
      this.#end = dts;
    }
    if (this.#end !== undefined && units.numberOf(this.#end) < number) this.#becomeIdle(); // whole segments are missing
    return this.#open !== undefined || this.#end === undefined || this.kind === "audio" || key;
  }

  #fillTo(until: number, units: Units): void {
    for (;;) {
      const sample = this.#end === undefined ? undefined : this.#reel.at(this.#end, units);
      if (!sample || sample.dts + sample.duration / 2 > until) return;
      this.#add(sample, units, true);
      this.#reel.advance(sample.dts, units);
    }
  }

  #add(sample: Sample, units: Units, isSlate: boolean): void {
    const number = units.numberOf(sample.dts);
    if (this.#open && this.#open.number < number) this.#closeSegment(units);
    if (!this.#open && this.kind === "video" && !sample.key) {
      // The encoder missed a boundary: every segment begins with a key frame (RFC 8216bis §4.4.2.1).
      this.counts.dropped += 1;
      this.enterSlate();
      return;
    }
    this.#open ??= this.#opened(number, sample.dts, units);
    this.#open.add(sample, isSlate);
    this.#end = this.#open.end;
    if (!isSlate) this.#state = "live";
    if (this.#open.isComplete) this.#closeSegment(units);
  }

  #opened(number: number, start: number, units: Units): SegmentBuilder {
    const programDateTimeMs = this.#options.programDateTimeMs(number, units.toTicks(start));
    const nextSequenceNumber = (): number => {
      this.#sequenceNumber += 1;
      return this.#sequenceNumber;
    };
    return new SegmentBuilder({ units, number, start, programDateTimeMs, nextSequenceNumber });
  }

  #closeSegment(units: Units): void {
    const segment = this.#open?.finish();
    this.#open = undefined;
    if (!segment) return;
    // Numbers in a playlist are consecutive (RFC 8216bis §6.2.1): after a hole in them the ring begins anew.
    if (this.lastSegment && this.lastSegment.number + 1 !== segment.number) this.#clear();
    this.#segments.push(segment);
    this.#segmentBytes += segment.byteLength;
    this.#rates.segment(segment.byteLength, segment.duration / units.timescale);
    while (this.#segments.length > this.#options.segmentsMax) this.dropOldest();
    this.version += 1;
  }

  #clear(): void {
    this.#segments = [];
    this.#segmentBytes = 0;
  }

  #becomeIdle(): void {
    this.#state = "idle";
    this.#open = undefined;
    this.#end = undefined;
  }

  #becomeSlate(): void {
    this.#state = "slate";
    this.#late = undefined;
    this.#reel.rewind();
    this.counts.slateEntries += 1;
  }

  #noteLive(sample: Sample, nowMs: number): void {
    this.#lastLiveMs = nowMs;
    const lagMs = nowMs - this.#wallMs(sample.dts + sample.duration);
    const isFirst = this.#end === undefined;
    this.#lagMs = isFirst ? lagMs : Math.max(lagMs, this.#lagMs * (1 - LAG_DECAY) + lagMs * LAG_DECAY);
  }

  /**
   * A source that is back, but later than it was, would never catch up with the slate. A single stale sample, or a
   * backlog that is read in a burst, must not hold the slate up.
   */
  #awaitReturn(sample: Sample, nowMs: number): void {
    const lagMs = nowMs - this.#wallMs(sample.dts + sample.duration);
    const late = this.#late;
    const isSteady = late !== undefined && nowMs - late.lastMs < LATE_PAUSE_MAX_MS;
    const sinceMs = isSteady ? late.sinceMs : nowMs;
    const leastLagMs = isSteady ? Math.min(late.leastLagMs, lagMs) : lagMs;
    this.#late = { sinceMs, lastMs: nowMs, leastLagMs };
    if (nowMs - sinceMs < LATE_FOR_MS) return;
    if (leastLagMs <= RETURN_LAG_MAX_MS) this.#lagMs = Math.max(this.#lagMs, leastLagMs);
    this.#late = undefined;
  }

  #wallMs(units: number): number {
    return this.#options.wallClockMs(this.#units?.toTicks(units) ?? 0);
  }
}

/**
 * All renditions of one stream on one time line: takes samples in stream time, watches each track for lost input, and
 * gives playlists and segments their view. Pure: the owner brings the clock.
 */
import type { Sample } from "../mp4/fragment.ts";
import type { TrackInfo } from "../mp4/init.ts";
import type { Grid } from "./grid.ts";
import { Rendition } from "./rendition.ts";

export interface RenditionSpec {
  /** Its folder in URLs: v0 (largest), v1, …, a0. */
  readonly name: string;
  readonly kind: "video" | "audio";
}

export interface PresentationOptions {
  readonly grid: Grid;
  /** Complete segments that a playlist lists. */
  readonly windowSegments: number;
  /** All renditions together. */
  readonly ringBytesMax: number;
  /** Loss of a track's input for so long shows the slate. */
  readonly netTimeoutMs: number;
  readonly renditions: readonly RenditionSpec[];
}

const SPARE_SEGMENTS = 4; // a player may ask for what has just left the playlist (RFC 8216bis §6.2.2)
const SLATE_LAG_MS = 60; // the slate stays this much behind live, so that a returning source finds room
const SILENCE_AFTER_MS = 1_000; // a source whose audio has not come by then has none
const DATED_NUMBERS = 8; // renditions are at most a few segments apart

export class Presentation {
  readonly grid: Grid;
  readonly windowSegments: number;
  readonly renditions: readonly Rendition[];
  readonly #options: PresentationOptions;
  readonly #listeners = new Set<() => void>();
  /** By segment number, as its first rendition found it. */
  readonly #residuals = new Map<number, number>();
  #residualMs = 0;
  #firstVideoMs: number | undefined;
  #announced = 0;

  constructor(options: PresentationOptions) {
    const { grid, windowSegments } = options;
    this.#options = options;
    this.grid = grid;
    this.windowSegments = windowSegments;
    this.renditions = options.renditions.map(
      (spec) =>
        new Rendition({
          ...spec,
          grid,
          segmentsMax: windowSegments + SPARE_SEGMENTS,
          wallClockMs: (ticks) => this.wallClockMs(ticks),
          programDateTimeMs: (number, ticks) => ticks / 90 + this.#residualOf(number),
        }),
    );
  }

  /** Wall clock, ms since 1970, of stream time in ticks. */
  wallClockMs(streamTicks: number): number {
    return streamTicks / 90 + this.#residualMs;
  }

  /** Takes an anchor's residual, or what a drift filter made of it; segments that exist keep their dates. */
  setResidual(residualMs: number): void {
    this.#residualMs = residualMs;
  }

  rendition(name: string): Rendition | undefined {
    return this.renditions.find((rendition) => rendition.name === name);
  }

  /** Every rendition has its init segment and a complete segment. */
  get ready(): boolean {
    return this.renditions.every(({ init, lastSegment }) => init !== undefined && lastSegment !== undefined);
  }

  /** The newest complete segment that every rendition has; null before `ready`. */
  get lastSegmentNumber(): number | null {
    const numbers = this.renditions.map(({ lastSegment }) => lastSegment?.number ?? 0);
    return this.ready ? Math.min(...numbers) : null;
  }

  /** The oldest one that every rendition still has; null before `ready`. */
  get firstSegmentNumber(): number | null {
    const numbers = this.renditions.map(({ firstSegment }) => firstSegment?.number ?? 0);
    return this.ready ? Math.max(...numbers) : null;
  }

  /** Some rendition shows its slate. */
  get inSlate(): boolean {
    return this.renditions.some(({ inSlate }) => inSlate);
  }

  /** Bytes of all segments that are held. */
  get byteLength(): number {
    return this.renditions.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** With another codec configuration than before all renditions begin anew: nothing of them would splice. */
  setInit(name: string, init: Buffer, info: TrackInfo): void {
    const isFirst = this.#known(name).init === undefined;
    if (!this.#known(name).setInit(init, info) && !isFirst) this.reset();
    this.#changed();
  }

  /**
   * One GOP of video, or one frame of silence that is repeated; encoded with the stream's own settings. None: no slate.
   */
  setSlate(name: string, samples: readonly Sample[]): void {
    this.#known(name).setSlate(samples);
  }

  /** A sample with its decode time in stream time, in the track's timescale. */
  append(name: string, sample: Sample, nowMs: number): void {
    const rendition = this.#known(name);
    rendition.append(sample, nowMs);
    if (rendition.kind === "video" && rendition.begun) this.#firstVideoMs ??= nowMs;
    this.#changed();
  }

  /** To be called about every 20 ms: enters and continues slates. */
  tick(nowMs: number): void {
    this.#beginSilence(nowMs);
    for (const rendition of this.renditions) {
      const { lastLiveMs } = rendition;
      if (lastLiveMs !== undefined && nowMs - lastLiveMs > this.#options.netTimeoutMs) rendition.enterSlate();
      rendition.fillSlate(nowMs - rendition.lagMs - SLATE_LAG_MS);
    }
    this.#changed();
  }

  /** The source (or one track of it) is known to be gone: the slate need not wait for the time-out. */
  inputLost(name?: string): void {
    for (const rendition of this.renditions) if (name === undefined || rendition.name === name) rendition.enterSlate();
  }

  /** Forgets all media, keeps init segments and slates. */
  reset(): void {
    for (const rendition of this.renditions) rendition.reset();
    this.#residuals.clear();
    this.#firstVideoMs = undefined;
    this.#changed();
  }

  /** Told whenever a playlist would look different; gives what takes the listener away again. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Grows with everything that a playlist shows. */
  get version(): number {
    return this.renditions.reduce((sum, { version }) => sum + version, 0);
  }

  /** A source without audio gets silence from where its picture began. */
  #beginSilence(nowMs: number): void {
    if (this.#firstVideoMs === undefined || nowMs - this.#firstVideoMs < SILENCE_AFTER_MS) return;
    const video = this.renditions.find(({ kind, begun }) => kind === "video" && begun);
    if (!video) return;
    for (const rendition of this.renditions) {
      if (rendition.kind === "audio" && !rendition.begun) rendition.beginWithSlate(video.firstTicks, video.lagMs);
    }
  }

  #residualOf(segmentNumber: number): number {
    const residualMs = this.#residuals.get(segmentNumber) ?? this.#residualMs;
    this.#residuals.set(segmentNumber, residualMs);
    for (const number of this.#residuals.keys()) {
      if (this.#residuals.size <= DATED_NUMBERS) break;
      this.#residuals.delete(number);
    }
    return residualMs;
  }

  /**
   * The oldest segment number goes first, of whichever rendition has it; at last the unfinished one that has grown
   * most.
   */
  #trim(): void {
    while (this.byteLength > this.#options.ringBytesMax) {
      const oldestFirst = this.renditions.toSorted((a, b) => numberOf(a) - numberOf(b));
      if (oldestFirst.some((rendition) => rendition.dropOldest())) continue;
      this.renditions.reduce((a, b) => (b.openByteLength > a.openByteLength ? b : a)).giveUp();
      return;
    }
  }

  #known(name: string): Rendition {
    const rendition = this.rendition(name);
    if (!rendition) throw new Error(`bug: no rendition ${name}`);
    return rendition;
  }

  #changed(): void {
    this.#trim();
    if (this.version === this.#announced) return;
    this.#announced = this.version;
    for (const listener of this.#listeners) listener();
  }
}

const numberOf = ({ firstSegment }: Rendition): number => firstSegment?.number ?? Number.POSITIVE_INFINITY;

/**
 * What a segment consists of and in which order, from its index alone: access units, groups of audio frames, and clock
 * references where those are too far apart. Gone through twice: to know what is to be read and how many bytes it will
 * be, and to write it.
 */
import type { Samples } from "../mp4/movie.ts";
import { AudioGroups, filledEnd } from "./audio-groups.ts";
import { TICKS_PER_SECOND, ticksOf } from "./clock.ts";
import type { TsProgram } from "./program.ts";

/** A clock reference is that far before the DTS of what it is sent with. */
export const CLOCK_LEAD_TICKS = TICKS_PER_SECOND / 10;
/** Clock references are not farther apart than this (ISO/IEC 13818-1 §2.7.2). */
const CLOCK_GAP_TICKS = TICKS_PER_SECOND / 10;
/** 32 frames of 128 ms, which is the longest there is: 1,024 samples at 8 kHz. */
const CLOCKS_PER_GROUP_MAX = 41;
/** Of packets that carry nothing else, in one segment: 1,000 s without a frame, which only a damaged file says. */
const CLOCK_PACKET_COUNT_MAX = 10_000;
/** Of one PES packet of audio: each has half a packet of stuffing, and what precedes pictures must not be far ahead. */
const AUDIO_PES_SECONDS = { muxed: 0.2, alone: 0.4 } as const;

/** The tracks of one segment. */
export interface SegmentSamples {
  readonly video: Samples | null;
  readonly audio: Samples | null;
}

export type EventKind = "video" | "audio" | "clock" | "end";

/** The events of one segment in turn. Samples without bytes are passed over. */
export class MuxOrder {
  kind: EventKind = "end";
  /** Sample of a unit, or the first of a group of frames; counted from the segment's first. */
  sample = 0;
  /** Behind the last one of the group. */
  sampleEnd = 0;
  /** Of a unit or group, in ticks; of a clock packet: what the reference leads. */
  dts = 0;
  pts = 0;
  isFirstUnit = false;
  /** Clock references within a group: where there are no pictures, audio carries the clock. */
  clockCount = 0;
  /** From one of them to the next. */
  clockStepTicks = 0;
  readonly #program: TsProgram;
  readonly #video: Samples | null;
  readonly #videoEnd: number;
  readonly #groups: AudioGroups | null;
  #videoNext = 0;
  #audioNext = 0;
  #hasUnit = false;
  #lastDts = Number.NEGATIVE_INFINITY;
  #lastGroup = Number.NEGATIVE_INFINITY;
  /**
   * When the track that carries the clock ends: that of audio in a segment that has no picture. NaN: nothing follows.
   */
  readonly #clockEnd: number;
  /** When a clock reference was sent last. */
  #clock = Number.NaN;
  #clockPackets = 0;

  constructor(program: TsProgram, { video, audio }: SegmentSamples) {
    const secondsMax = AUDIO_PES_SECONDS[program.video ? "muxed" : "alone"];
    this.#program = program;
    this.#video = program.video && video;
    this.#videoEnd = this.#video ? filledEnd(this.#video) : 0;
    this.#groups = program.audio && audio && new AudioGroups(program.audio, audio, secondsMax);
    this.#clockEnd = this.#endTime();
  }

  /** Whether no unit follows. */
  get isLastUnit(): boolean {
    return this.#videoNext >= this.#videoEnd;
  }
  /** Bytes of the group's frames with their headers. */
  get groupBytes(): number {
    return this.#groups?.groupBytes(this.sample, this.sampleEnd) ?? 0;
  }

  #endTime(): number {
    const [stream, samples, groups] = [this.#program.video, this.#video, this.#groups];
    // Nothing follows a picture that is a segment by itself, as in I-frame playlists.
    if (samples?.count === 1 && !groups) return Number.NaN;
    if (stream && samples && samples.count > 0)
      return ticksOf(stream.clock, samples.dts[samples.count]! - stream.decodeLead);
    return groups && groups.end > 0 ? groups.timeOf(groups.end) : Number.NaN;
  }

  /** Goes to where another one is; both are of the same segment. */
  follow(other: MuxOrder): void {
    this.kind = other.kind;
    this.sample = other.sample;
    this.sampleEnd = other.sampleEnd;
    this.dts = other.dts;
    this.pts = other.pts;
    this.isFirstUnit = other.isFirstUnit;
    this.clockCount = other.clockCount;
    this.clockStepTicks = other.clockStepTicks;
    this.#videoNext = other.#videoNext;
    this.#audioNext = other.#audioNext;
    this.#hasUnit = other.#hasUnit;
    this.#lastDts = other.#lastDts;
    this.#lastGroup = other.#lastGroup;
    this.#clock = other.#clock;
    this.#clockPackets = other.#clockPackets;
  }

  /** Goes to the next event. */
  next(): EventKind {
    const video = this.#nextUnitTime();
    const audio = this.#nextGroupTime();
    // A key frame comes first, unless audio would then be sent behind a clock reference that is past it.
    const isAudio = audio < (this.#hasUnit ? video : video - CLOCK_LEAD_TICKS);
    const time = isAudio ? audio : video;
    if (time === Number.POSITIVE_INFINITY) return this.#end();
    const carriesClock = !isAudio || this.#program.video === null;
    // Audio lasts longer than pictures are decoded: the clock is not ahead of the next segment's first picture.
    if (this.#clockIsDue(Math.min(time, this.#clockEnd), carriesClock)) return this.#enterClock();
    if (carriesClock) this.#clock = time;
    return isAudio ? this.#enterGroup(time) : this.#enterUnit(time);
  }

  /** Infinite when there is none. */
  #nextUnitTime(): number {
    const [samples, stream] = [this.#video, this.#program.video];
    if (!samples || !stream) return Number.POSITIVE_INFINITY;
    while (this.#videoNext < this.#videoEnd && samples.size[this.#videoNext] === 0) this.#videoNext += 1;
    const index = this.#videoNext;
    if (index >= this.#videoEnd) return Number.POSITIVE_INFINITY;
    const units = samples.dts[index]!;
    this.pts = ticksOf(stream.clock, units + samples.compositionOffset[index]!);
    return Math.max(Math.min(ticksOf(stream.clock, units - stream.decodeLead), this.pts), this.#lastDts + 1);
  }
  #nextGroupTime(): number {
    const groups = this.#groups;
    if (!groups) return Number.POSITIVE_INFINITY;
    this.#audioNext = groups.from(this.#audioNext);
    if (this.#audioNext >= groups.end) return Number.POSITIVE_INFINITY;
    return Math.max(groups.timeOf(this.#audioNext), this.#lastGroup + 1);
  }

  #enterUnit(dts: number): EventKind {
    this.sample = this.#videoNext;
    this.sampleEnd = this.#videoNext + 1;
    this.dts = dts;
    this.pts = Math.max(this.pts, dts);
    this.#lastDts = dts;
    this.#videoNext += 1;
    this.isFirstUnit = !this.#hasUnit;
    this.#hasUnit = true;
    this.kind = "video";
    return this.kind;
  }
  #enterGroup(time: number): EventKind {
    this.sample = this.#audioNext;
    this.sampleEnd = this.#groups?.groupEnd(this.sample) ?? this.sample + 1;
    this.dts = time;
    this.pts = time;
    this.#lastGroup = time;
    this.#audioNext = this.sampleEnd;
    this.kind = "audio";
    if (this.#program.video === null) this.#clockGroup(time);
    return this.kind;
  }
  #clockGroup(time: number): void {
    const ticks = (this.sampleEnd - this.sample) * (this.#groups?.frameTicks ?? 0);
    this.clockCount = Math.min(CLOCKS_PER_GROUP_MAX, Math.max(1, Math.ceil(ticks / CLOCK_GAP_TICKS)));
    this.clockStepTicks = Math.round(ticks / this.clockCount);
    this.#clock = time + (this.clockCount - 1) * this.clockStepTicks;
  }

  #clockIsDue(time: number, carriesClock: boolean): boolean {
    if (this.#clockPackets >= CLOCK_PACKET_COUNT_MAX) return false;
    if (Number.isNaN(this.#clock)) {
      this.#clock = time - CLOCK_GAP_TICKS;
      return !carriesClock;
    }
    return time - this.#clock > CLOCK_GAP_TICKS;
  }
  #enterClock(): EventKind {
    this.#clock += CLOCK_GAP_TICKS;
    this.#clockPackets += 1;
    this.dts = this.#clock;
    this.kind = "clock";
    return this.kind;
  }

  /** The clock goes on to the end, so that no gap is left to the next segment. */
  #end(): EventKind {
    if (this.#clockIsDue(this.#clockEnd, true)) return this.#enterClock();
    this.kind = "end";
    return this.kind;
  }
}

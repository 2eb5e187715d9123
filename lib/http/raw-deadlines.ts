/**
 * Deadlines of many connections on one timer: a wheel of slots. Moving a deadline further away, which each request does
 * several times, is a number that is written; it is looked at when the slot of the first deadline comes round.
 */

/** Something that has one deadline at a time. The two numbers are the wheel's. */
export interface Timed {
  /** In the wheel's time. */
  dueMs: number;
  /** Tick at which it is looked at; -1: in no slot. */
  tick: number;
  /** The deadline has passed; it stands nowhere any more. */
  late(): void;
}

const SLOT_COUNT = 256;
/** A process that was frozen must not find all its clients late before it has read what they sent meanwhile. */
const LEAP_TICKS_MAX = 2;

export class Deadlines {
  /** Goes with the ticks, so deadlines are late by up to two of them; never early. */
  nowMs = 0;
  readonly #tickMs: number;
  readonly #slots: readonly Set<Timed>[] = Array.from({ length: SLOT_COUNT }, () => new Set<Timed>());
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;
  #realMs = 0;

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  /** Follows the monotonic clock until `stop`. Keeps no process alive. */
  start(): void {
    this.#realMs = performance.now();
    this.#timer = setInterval(() => {
      const realMs = performance.now();
      const passedMs = Math.min(realMs - this.#realMs, LEAP_TICKS_MAX * this.#tickMs);
      this.#realMs = realMs;
      this.advance(passedMs);
    }, this.#tickMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Sets the deadline of `timed`, in place of the one that it had. */
  set(timed: Timed, inMs: number): void {
    timed.dueMs = this.nowMs + inMs + this.#tickMs;
    if (timed.tick === -1 || timed.tick * this.#tickMs > timed.dueMs) this.#place(timed);
  }

  clear(timed: Timed): void {
    timed.dueMs = Number.POSITIVE_INFINITY;
    this.#remove(timed);
  }

  #remove(timed: Timed): void {
    if (timed.tick !== -1) this.#slots[timed.tick % SLOT_COUNT]!.delete(timed);
    timed.tick = -1;
  }

  /** Time passes; who is late is told. */
  advance(byMs: number): void {
    this.nowMs += byMs;
    const until = Math.floor(this.nowMs / this.#tickMs);
    while (this.#tick < until) {
      this.#tick += 1;
      const slot = this.#slots[this.#tick % SLOT_COUNT]!;
      if (slot.size === 0) continue;
      const due = [...slot];
      slot.clear();
      for (const timed of due) timed.tick = -1;
      for (const timed of due) this.#look(timed);
    }
  }

  #look(timed: Timed): void {
    // Another one's end may have set its deadline anew, or cleared it.
    if (timed.tick !== -1 || timed.dueMs === Number.POSITIVE_INFINITY) return;
    if (timed.dueMs <= this.nowMs) timed.late();
    else this.#place(timed);
  }

  #place(timed: Timed): void {
    this.#remove(timed);
    const due = Math.ceil(timed.dueMs / this.#tickMs);
    // One beyond the wheel's reach is looked at on the way.
    timed.tick = Math.min(Math.max(due, this.#tick + 1), this.#tick + SLOT_COUNT - 1);
    this.#slots[timed.tick % SLOT_COUNT]!.add(timed);
  }
}

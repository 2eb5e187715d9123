import { Fault } from "../../contracts/errors.ts";

export interface PushOptions {
  /** A message that could not be started within this time is never started (DEADLINE_PASSED). */
  readonly deadlineMs?: number;
  /** Goes before all that waits, and past the bound: for starting and stopping an actor. */
  readonly priority?: true;
}

interface Message {
  readonly run: () => unknown;
  readonly endsAtMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const monotonicMs = (): number => performance.now();
const COMPACT_AT = 64; // slots already read; below that a splice costs more than it frees

/** Messages for one key, run one at a time in the order they came. Bounded: a full one refuses with MAILBOX_FULL. */
export class Mailbox {
  readonly #key: string;
  readonly #depthMax: number;
  readonly #nowMs: () => number;
  #waiting: (Message | undefined)[] = [];
  #head = 0;
  #running = false;
  #closed: Fault | undefined;
  #idle: (() => void)[] = [];

  /** `depthMax`: how many messages may wait behind the running one. `nowMs`: monotonic. */
  constructor(key: string, depthMax: number, nowMs: () => number = monotonicMs) {
    this.#key = key;
    this.#depthMax = depthMax;
    this.#nowMs = nowMs;
  }

  /** How many messages wait behind the running one. */
  get depth(): number {
    return this.#waiting.length - this.#head;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  push<T>(run: () => T | Promise<T>, { deadlineMs, priority }: PushOptions = {}): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#running && !priority && this.depth >= this.#depthMax) {
      return Promise.reject(new Fault("MAILBOX_FULL", { key: this.#key }));
    }
    return new Promise<T>((resolve, reject) => {
      const endsAtMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() + deadlineMs;
      // The queue holds messages of any result; this promise is the only one that sees it.
      const message: Message = { run, endsAtMs, resolve: resolve as (value: unknown) => void, reject };
      if (priority) this.#waiting.splice(this.#head, 0, message);
      else this.#waiting.push(message);
      if (!this.#running) void this.#drain();
    });
  }

  /** Refuses new messages and those that wait with `why`; resolves when the running one has ended. */
  close(why: Fault): Promise<void> {
    this.#closed = why;
    for (const message of this.#waiting.splice(this.#head)) message?.reject(why);
    return this.#running ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let message = this.#next(); message; message = this.#next()) {
      if (this.#nowMs() > message.endsAtMs) {
        message.reject(new Fault("DEADLINE_PASSED", { what: this.#key }));
        continue;
      }
      try {
        message.resolve(await message.run());
      } catch (error) {
        message.reject(error);
      }
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #next(): Message | undefined {
    const message = this.#waiting[this.#head];
    if (!message) {
      this.#waiting = [];
      this.#head = 0;
      return undefined;
    }
    this.#waiting[this.#head] = undefined;
    this.#head += 1;
    if (this.#head >= COMPACT_AT && this.#head * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    return message;
  }
}

/** A mailbox per key: keys run side by side. A key's mailbox goes with its last message, so idle keys cost nothing. */
export class KeyedMailbox {
  readonly #cells = new Map<string, { readonly mailbox: Mailbox; pending: number }>();
  readonly #depthMax: number;

  /** `depthMax`: how many messages may wait per key. */
  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  /** Keys that have a message. */
  get keyCount(): number {
    return this.#cells.size;
  }

  async run<T>(key: string, message: () => Promise<T> | T, options: PushOptions = {}): Promise<T> {
    const cell = this.#cells.get(key) ?? { mailbox: new Mailbox(key, this.#depthMax), pending: 0 };
    this.#cells.set(key, cell);
    cell.pending += 1;
    try {
      return await cell.mailbox.push(message, options);
    } finally {
      cell.pending -= 1;
      if (cell.pending === 0) this.#cells.delete(key);
    }
  }
}

/**
 * Small things that are looked at again and again: each at most so often, once however many ask, and kept as they were
 * while they can't be looked at.
 */
import { LRUCache } from "lru-cache";
import { fail } from "../../../contracts/errors.ts";
import type { Clock } from "../../../lib/clock.ts";

/** Null in it: known not to be there. */
interface Entry<T> {
  readonly value: T | null;
  seenMs: number;
}

export interface LookUpOptions<T> {
  readonly clock: Clock;
  /** For so long what was seen counts. */
  readonly recheckMs: number;
  readonly entriesMax: number;
  /** Given what is known; null: there is none. Gives that again where nothing has changed. */
  readonly read: (key: string, known: T | null, signal: AbortSignal) => Promise<T | null>;
}

/** Who knows something waits no longer than this for something newer. */
const WAIT_KNOWN_MS = 300;
const WAIT_MS = 4_000;

export class LookUp<T extends object> {
  readonly #options: LookUpOptions<T>;
  readonly #entries: LRUCache<string, Entry<T>>;
  readonly #going = new Map<string, Promise<T | null>>();

  constructor(options: LookUpOptions<T>) {
    this.#options = options;
    this.#entries = new LRUCache({ max: options.entriesMax });
  }

  /** What was seen lately; undefined: it has to be looked at. */
  recent(key: string): T | null | undefined {
    const entry = this.#entries.get(key);
    return entry && this.#ageMs(entry) <= this.#options.recheckMs ? entry.value : undefined;
  }

  /** Rejects as the reading does, unless something is known. */
  async get(key: string, { recheckMs = this.#options.recheckMs } = {}): Promise<T | null> {
    const entry = this.#entries.get(key);
    if (entry && this.#ageMs(entry) <= recheckMs) return entry.value;
    const going = this.#going.get(key) ?? this.#begin(key, entry);
    return entry ? inTime(going, { ms: WAIT_KNOWN_MS, late: () => entry.value }) : going;
  }

  #ageMs({ seenMs }: Entry<T>): number {
    return this.#options.clock.nowMs() - seenMs;
  }

  #begin(key: string, entry: Entry<T> | undefined): Promise<T | null> {
    const going = this.#look(key, entry).finally(() => this.#going.delete(key));
    this.#going.set(key, going);
    return going;
  }

  async #look(key: string, entry: Entry<T> | undefined): Promise<T | null> {
    const { read, clock } = this.#options;
    const given = new AbortController();
    const late = (): never => {
      given.abort();
      return fail("OBJECT_STORE_DOWN");
    };
    try {
      const value = await inTime(read(key, entry?.value ?? null, given.signal), { ms: WAIT_MS, late });
      this.#entries.set(key, { value, seenMs: clock.nowMs() });
      return value;
    } catch (error) {
      if (!entry) throw error;
      entry.seenMs = clock.nowMs(); // not at each request
      return entry.value;
    }
  }
}

/** What a promise gives, or what `late` does when it takes too long; its end is waited for no more then. */
export const inTime = <T>(
  promise: Promise<T>,
  { ms, late }: { readonly ms: number; readonly late: () => T },
): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      try {
        resolve(late());
      } catch (error) {
        reject(error);
      }
    }, ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });

/** What the cache holds, and the cache: bounded in bytes. */
import { LRUCache } from "lru-cache";
import type { HeaderLines, PreparedAnswer } from "../../lib/http/exchange.ts";
import type { SiteFacts } from "../site/entry.ts";
import type { Lifetime } from "./freshness.ts";

/** What is told of a representation with every answer. */
export interface Described {
  readonly status: number;
  /** Fields of the origin and ours, but for Age, Cache-Status, Date and what frames the body. */
  readonly lines: HeaderLines;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** A whole object. Instants are monotonic ms. */
export interface Stored {
  /** Under which the cache has it. */
  readonly key: string;
  described: Described;
  readonly body: Buffer;
  /** Of a live object, the folder of the stream on the origin that it came from: its ETag means something there only. */
  readonly base: string;
  /** When it was last known to be what the origin has; Age counts from here. */
  bornAtMs: number;
  freshUntilMs: number;
  /** After `freshUntilMs`: until then it is shown while somebody asks for a newer one (stale-while-revalidate). */
  revalidateUntilMs: number;
  /** Until then it stands in for an answer that no origin gives (stale-if-error). */
  staleUntilMs: number;
  /** While no origin gives anything newer: until then nobody is asked again. */
  askAgainAtMs: number;
  /** Of an object of a site; undefined for live media. */
  facts: SiteFacts | undefined;
  /** By which it may be purged, beside its address. */
  readonly tags: readonly string[];
  /** When it was stored, in the order of purges. */
  readonly seq: number;
  /** The purges that it was last held against. */
  checkedEpoch: number;
  /** The answer to a plain GET, made anew when its Age has changed. */
  ready: { readonly answer: PreparedAnswer; readonly second: number } | undefined;
}

/** `ageMs`: what the answer's Age header said. */
export const storedOf = (
  parts: Pick<Stored, "key" | "described" | "body" | "base">,
  { lifetime, ageMs, nowMs }: { lifetime: Lifetime; ageMs: number; nowMs: number },
): Stored => ({
  ...parts,
  bornAtMs: nowMs - ageMs,
  freshUntilMs: nowMs + lifetime.freshMs,
  revalidateUntilMs: 0,
  staleUntilMs: nowMs + lifetime.freshMs + lifetime.staleMs,
  askAgainAtMs: 0,
  facts: undefined,
  tags: [],
  seq: 0,
  checkedEpoch: 0,
  ready: undefined,
});

/** The entry itself, its key and its head: measured at about 700 bytes. */
const ENTRY_BYTES = 1_024;
/** 404s live in a cache of their own, so that asking for names that don't exist pushes nothing out. */
const MISSING_MAX = 10_000;

export class Cache {
  readonly #objects: LRUCache<string, Stored>;
  readonly #missingUntilMs = new LRUCache<string, number>({ max: MISSING_MAX });

  /** Told of each object that is in the cache no more. */
  onGone: (key: string) => void = () => {};

  constructor(maxBytes: number) {
    this.#objects = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ body }) => body.length + ENTRY_BYTES,
      dispose: (_, key) => this.onGone(key),
    });
  }

  get sizeBytes(): number {
    return this.#objects.calculatedSize;
  }
  get objectCount(): number {
    return this.#objects.size;
  }

  get(key: string): Stored | undefined {
    return this.#objects.get(key);
  }
  /** An object larger than the whole cache is not kept. */
  put(key: string, stored: Stored): void {
    this.#missingUntilMs.delete(key);
    this.#objects.set(key, stored);
  }

  delete(key: string): void {
    this.#objects.delete(key);
  }

  isMissing(key: string, nowMs: number): boolean {
    const untilMs = this.#missingUntilMs.get(key);
    return untilMs !== undefined && nowMs < untilMs;
  }
  putMissing(key: string, untilMs: number): void {
    this.#missingUntilMs.set(key, untilMs);
  }
}

/**
 * What a cache of bounded bytes keeps. Three classes share the bytes:
 *
 * - stored: W-TinyLFU. New objects pass a small window (LRU); what falls out of it is admitted to the main part (an
 *   LRU in two segments) when it was asked for more often than all that it would displace. What a viewer who is a few
 *   segments behind will ask for is kept as if it had been asked for (`expect`).
 * - live: an LRU with expiry, at most a share of all. A new live object is wanted by many at once and worthless when it
 *   leaves the window: a count of its requests would come too late.
 * - prefetched: a FIFO, at most a share of all and at most a budget; when it is asked for, an object becomes a stored
 *   one.
 *
 * It holds keys and sizes, no bodies: the caller drops what `add` and `expire` return. `bench/edge-hit-ratio.ts` has
 * what each choice is worth. A touch allocates nothing.
 */
import { ExpiryHeap } from "./expiry-heap.ts";
import { COUNT_MAX, FrequencySketch } from "./frequency-sketch.ts";
import { hashOf } from "./key-hash.ts";
import { NO_NODE, NodeLists } from "./node-lists.ts";
import { PrefetchGate } from "./prefetch-gate.ts";

export type CacheClass = "stored" | "live" | "prefetched";

export interface CachePolicyOptions {
  readonly capacityBytes: number;
  /** Of the bytes that the stored class has: 0.10 is right with sessions; 0.01 is 0.6 points worse, 0.2 on Zipf too. */
  readonly windowShare?: number;
  /** Of the capacity. Expiry bounds the class in most cases; what is left is never less than a quarter for the rest. */
  readonly liveShareMax?: number;
  /** Of the capacity. A tenth is too little for the next segment of each viewer, a half takes from the rest. */
  readonly prefetchShareMax?: number;
  /** 32 bits from outside: makes it hard to choose keys whose counts collide. */
  readonly seed?: number;
}

const WINDOW = 0;
const PROBATION = 1;
const PROTECTED = 2;
const LIVE = 3;
const PREFETCHED = 4;
const LIST_COUNT = 5;
/** Of the main part. */
const PROTECTED_SHARE = 0.8;
/** Compared for one object: a 4 MiB segment against objects of 4 KiB. */
const VICTIMS_MAX = 1_024;
/** When nothing else says who goes. */
const VICTIMS = [PROBATION, PROTECTED, WINDOW, LIVE, PREFETCHED] as const;
const LIST_OF = { stored: WINDOW, live: LIVE, prefetched: PREFETCHED } as const;
const NOTHING: readonly string[] = Object.freeze([]);

const checked = (value: number, name: string): number => {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new RangeError(`bug: ${name} is ${value}`);
};

export class CachePolicy {
  readonly capacityBytes: number;
  readonly #windowShare: number;
  readonly #liveBytesMax: number;
  readonly #prefetchShareBytes: number;
  readonly #seed: number;
  readonly #lists = new NodeLists(LIST_COUNT);
  readonly #nodes = new Map<string, number>();
  /** Of each node. */
  readonly #keys: string[] = new Array(LIST_COUNT).fill("");
  readonly #hashes: number[] = new Array(LIST_COUNT).fill(0);
  readonly #sketch = new FrequencySketch();
  readonly #expiries = new ExpiryHeap();
  readonly #gate = new PrefetchGate();
  #prefetchBudgetBytes = Number.POSITIVE_INFINITY;

  constructor(options: CachePolicyOptions) {
    const { windowShare = 0.1, liveShareMax = 0.5, prefetchShareMax = 0.25, seed = 0 } = options;
    this.capacityBytes = checked(options.capacityBytes, "capacityBytes");
    this.#windowShare = checked(windowShare, "windowShare");
    this.#liveBytesMax = this.capacityBytes * checked(liveShareMax, "liveShareMax");
    this.#prefetchShareBytes = this.capacityBytes * checked(prefetchShareMax, "prefetchShareMax");
    this.#seed = seed;
  }

  get count(): number {
    return this.#nodes.size;
  }

  /** Of all objects; between two calls never above the capacity. */
  get sizeBytes(): number {
    return this.#storedBytes() + this.#lists.bytesOf(LIVE) + this.#lists.bytesOf(PREFETCHED);
  }

  bytesOf(kind: CacheClass): number {
    return kind === "stored" ? this.#storedBytes() : this.#lists.bytesOf(LIST_OF[kind]);
  }

  /** Asks for nothing: it counts no request. */
  has(key: string): boolean {
    return this.#nodes.has(key);
  }

  kindOf(key: string): CacheClass | undefined {
    const node = this.#nodes.get(key);
    if (node === undefined) return undefined;
    const list = this.#lists.listOf(node);
    return list === LIVE ? "live" : list === PREFETCHED ? "prefetched" : "stored";
  }

  /** Bytes that the prefetched class may have now. */
  get prefetchBytesMax(): number {
    return Math.min(this.#prefetchShareBytes, this.#prefetchBudgetBytes);
  }

  /** Bytes that the viewers of now need (`ViewerBudget`); takes effect when something is added. */
  setPrefetchBudget(sizeBytes: number): void {
    this.#prefetchBudgetBytes = checked(sizeBytes, "prefetch budget");
  }

  /** Share of the prefetched objects that lately went unused. */
  get prefetchWaste(): number {
    return this.#gate.waste;
  }

  /** To be asked once before each prefetch: false while too much of it goes unused. One in 16 passes even then. */
  mayPrefetch(): boolean {
    return this.prefetchBytesMax > 0 && this.#gate.mayPass();
  }

  /** A request for the key. False when it is not held; what is then fetched is counted by `add`. */
  touch(key: string): boolean {
    const node = this.#nodes.get(key);
    if (node === undefined) return false;
    const list = this.#lists.listOf(node);
    if (list !== LIVE) this.#sketch.add(this.#hashes[node]!, this.#nodes.size);
    if (list === PREFETCHED) this.#gate.used();
    if (list === PROBATION) this.#protect(node);
    else this.#lists.move(node, list === PREFETCHED ? WINDOW : list);
    return true;
  }

  /**
   * A viewer is a few segments before this one: a stored object is kept as if it were asked for, without being counted.
   * Nothing happens to other classes and unknown keys.
   */
  expect(key: string): void {
    const node = this.#nodes.get(key);
    if (node === undefined) return;
    const list = this.#lists.listOf(node);
    if (list === WINDOW || list === PROBATION) this.#protect(node);
    else if (list === PROTECTED) this.#lists.move(node, PROTECTED);
  }

  /**
   * Holds an object, or changes what is held. The answer is what has to be dropped, the object itself among it when
   * there is no room for it in its class. A prefetched object never takes the place of a held one of the same key.
   */
  add(key: string, sizeBytes: number, kind: CacheClass, opts: { expiresAtMs?: number } = {}): readonly string[] {
    checked(sizeBytes, "sizeBytes");
    const known = this.#nodes.get(key);
    if (sizeBytes > this.#bytesMaxOf(known !== undefined && kind === "prefetched" ? this.kindOf(key)! : kind)) {
      this.remove(key);
      return [key];
    }
    const node = known === undefined ? this.#insert(key, sizeBytes, kind) : this.#change(known, sizeBytes, kind);
    if (kind === "live") this.#setExpiry(node, opts.expiresAtMs);
    return this.#settle();
  }

  /** Without a trace in the statistics, as a purge does it. False when it is not held. */
  remove(key: string): boolean {
    const node = this.#nodes.get(key);
    if (node === undefined) return false;
    this.#drop(node);
    return true;
  }

  /** Live objects whose time has come, no longer held. */
  expire(nowMs: number): readonly string[] {
    let gone: string[] | undefined;
    for (let node = this.#expiries.due(nowMs); node !== undefined; node = this.#expiries.due(nowMs)) {
      gone ??= [];
      gone.push(this.#drop(node));
    }
    return gone ?? NOTHING;
  }

  #storedBytes(): number {
    return this.#lists.bytesOf(WINDOW) + this.#lists.bytesOf(PROBATION) + this.#lists.bytesOf(PROTECTED);
  }

  #bytesMaxOf(kind: CacheClass): number {
    if (kind === "stored") return this.capacityBytes;
    return kind === "live" ? this.#liveBytesMax : this.prefetchBytesMax;
  }

  #insert(key: string, sizeBytes: number, kind: CacheClass): number {
    const hash = hashOf(key, this.#seed);
    const node = this.#lists.insert(LIST_OF[kind], sizeBytes);
    this.#nodes.set(key, node);
    this.#keys[node] = key;
    this.#hashes[node] = hash;
    if (kind === "stored") this.#sketch.add(hash, this.#nodes.size);
    return node;
  }

  #change(node: number, sizeBytes: number, kind: CacheClass): number {
    this.#lists.resize(node, sizeBytes);
    if (kind === "prefetched") return node;
    const list = this.#lists.listOf(node);
    const wasStored = list <= PROTECTED;
    if (list === PREFETCHED) this.#gate.used();
    if (list === LIVE) this.#expiries.delete(node);
    this.#lists.move(node, kind === "stored" && wasStored ? list : LIST_OF[kind]);
    return node;
  }

  #setExpiry(node: number, expiresAtMs: number | undefined): void {
    if (expiresAtMs === undefined) this.#expiries.delete(node);
    else this.#expiries.set(node, expiresAtMs);
  }

  #protect(node: number): void {
    const lists = this.#lists;
    lists.move(node, PROTECTED);
    const bytesMax = PROTECTED_SHARE * (lists.bytesOf(PROBATION) + lists.bytesOf(PROTECTED));
    while (lists.bytesOf(PROTECTED) > bytesMax) lists.move(lists.oldest(PROTECTED), PROBATION);
  }

  #drop(node: number): string {
    const key = this.#keys[node]!;
    this.#expiries.delete(node);
    this.#nodes.delete(key);
    this.#keys[node] = "";
    this.#lists.release(node);
    return key;
  }

  /** Until each class and their sum are within their bytes. */
  #settle(): readonly string[] {
    const lists = this.#lists;
    const gone: string[] = [];
    while (lists.bytesOf(PREFETCHED) > this.prefetchBytesMax) this.#dropUnused(gone);
    while (lists.bytesOf(LIVE) > this.#liveBytesMax) gone.push(this.#drop(lists.oldest(LIVE)));
    const ordinaryBytes = this.capacityBytes - lists.bytesOf(LIVE) - lists.bytesOf(PREFETCHED);
    const windowBytesMax = this.#windowShare * ordinaryBytes;
    while (this.sizeBytes > this.capacityBytes) {
      if (lists.bytesOf(WINDOW) > windowBytesMax) this.#contest(this.#leaving(windowBytesMax), gone);
      else this.#dropAny(gone);
    }
    while (lists.bytesOf(WINDOW) > windowBytesMax) lists.move(this.#leaving(windowBytesMax), PROBATION);
    return gone.length === 0 ? NOTHING : gone;
  }

  /** Who leaves the window: its oldest, but one that is larger than all of it is judged at once instead. */
  #leaving(windowBytesMax: number): number {
    const newest = this.#lists.newest(WINDOW);
    return this.#lists.sizeOf(newest) > windowBytesMax ? newest : this.#lists.oldest(WINDOW);
  }

  #dropUnused(gone: string[]): void {
    this.#gate.unused();
    gone.push(this.#drop(this.#lists.oldest(PREFETCHED)));
  }

  #dropAny(gone: string[]): void {
    const list = VICTIMS.find((one) => this.#lists.oldest(one) !== NO_NODE);
    if (list === undefined) throw new Error("bug: bytes without an object");
    if (list === PREFETCHED) this.#dropUnused(gone);
    else gone.push(this.#drop(this.#lists.oldest(list)));
  }

  /** Next in the order in which the main part gives objects up. */
  #afterInMain(node: number): number {
    const newer = this.#lists.newer(node);
    return newer === NO_NODE && this.#lists.listOf(node) === PROBATION ? this.#lists.oldest(PROTECTED) : newer;
  }

  /**
   * What leaves the window against what it would displace: it must have been asked for more often than all of that
   * together; whose count has come to its end, more often than each. What nobody asked for in two samples goes anyway.
   */
  #contest(candidate: number, gone: string[]): void {
    const lists = this.#lists;
    const worth = this.#sketch.estimate(this.#hashes[candidate]!);
    const victims: number[] = [];
    let neededBytes = this.sizeBytes - this.capacityBytes;
    let displaced = 0;
    let node = lists.oldest(lists.oldest(PROBATION) === NO_NODE ? PROTECTED : PROBATION);
    while (neededBytes > 0 && node !== NO_NODE) {
      const victim = node;
      const count = this.#sketch.estimate(this.#hashes[victim]!);
      displaced += count;
      const isWorthMore = worth < COUNT_MAX ? displaced < worth : count < worth && victims.length < VICTIMS_MAX;
      if (count > 0 && !isWorthMore) break;
      node = this.#afterInMain(victim);
      neededBytes -= lists.sizeOf(victim);
      if (count === 0) gone.push(this.#drop(victim));
      else victims.push(victim);
    }
    if (neededBytes > 0) {
      gone.push(this.#drop(candidate));
      return;
    }
    for (const victim of victims) gone.push(this.#drop(victim));
    lists.move(candidate, PROBATION);
  }
}

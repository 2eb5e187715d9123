/**
 * Where each object lies: a hash table over typed arrays. An object costs 37 bytes (twice that just after growing): a
 * million of them 39 MB. As one JS object each they were 395 MB of heap (measured) for the garbage collector to walk.
 */
import type { KeyHash } from "./key-hash.ts";

/** Where the newest record of an object lies. */
export interface Place {
  readonly slabId: number;
  readonly offset: number;
  /** The whole record's. */
  readonly sizeBytes: number;
  /** The CRC of the record's head: ties the index to this one record. */
  readonly headCrc: number;
  /** The slab with the body: `slabId` itself, or an older one when the record only has new metadata. */
  readonly bodySlabId: number;
}

/** Columns of one entry, in 32-bit words. */
const COLUMNS = { low: 0, high: 1, slabId: 2, offset: 3, sizeBytes: 4, headCrc: 5, bodySlabId: 6, next: 7 } as const;
const WORDS = 8;
const ENTRIES_MIN = 1_024;
/** No entry; entries are numbered from 1, so that fresh arrays of zeros are empty chains. */
const NONE = 0;

export class ObjectIndex {
  readonly #entriesMax: number;
  #words = new Uint32Array((ENTRIES_MIN + 1) * WORDS);
  #hits = new Uint8Array(ENTRIES_MIN + 1);
  #buckets = new Uint32Array(ENTRIES_MIN);
  #capacity = ENTRIES_MIN;
  /** Entries that were ever used; freed ones are chained from `#free`. */
  #used = 0;
  #free = NONE;
  #count = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get count(): number {
    return this.#count;
  }
  get isFull(): boolean {
    return this.#count >= this.#entriesMax;
  }

  /** The entry's number, or 0. Numbers stay what they are until the entry is removed. */
  find({ low, high }: KeyHash): number {
    let entry = this.#buckets[low & (this.#capacity - 1)] ?? NONE;
    while (entry !== NONE && !(this.#at(entry, COLUMNS.low) === low && this.#at(entry, COLUMNS.high) === high)) {
      entry = this.#at(entry, COLUMNS.next);
    }
    return entry;
  }

  placeOf(entry: number): Place {
    return {
      slabId: this.#at(entry, COLUMNS.slabId),
      offset: this.#at(entry, COLUMNS.offset),
      sizeBytes: this.#at(entry, COLUMNS.sizeBytes),
      headCrc: this.#at(entry, COLUMNS.headCrc),
      bodySlabId: this.#at(entry, COLUMNS.bodySlabId),
    };
  }
  hashOf(entry: number): KeyHash {
    return { low: this.#at(entry, COLUMNS.low), high: this.#at(entry, COLUMNS.high) };
  }

  /** Whether this very record is what the index knows under the hash. */
  isAt(hash: KeyHash, { slabId, offset }: Pick<Place, "slabId" | "offset">): boolean {
    const entry = this.find(hash);
    return entry !== NONE && this.#at(entry, COLUMNS.slabId) === slabId && this.#at(entry, COLUMNS.offset) === offset;
  }

  /** Adds or replaces. A new one beyond the limit throws: whoever adds makes room first. */
  set(hash: KeyHash, place: Place): void {
    const entry = this.find(hash) || this.#add(hash);
    const from = entry * WORDS;
    // New metadata alone leaves the body where it was, and its hits count on.
    if (this.#words[from + COLUMNS.bodySlabId] !== place.bodySlabId) this.#hits[entry] = 0;
    this.#words[from + COLUMNS.slabId] = place.slabId;
    this.#words[from + COLUMNS.offset] = place.offset;
    this.#words[from + COLUMNS.sizeBytes] = place.sizeBytes;
    this.#words[from + COLUMNS.headCrc] = place.headCrc;
    this.#words[from + COLUMNS.bodySlabId] = place.bodySlabId;
  }

  /** Whether there was one. */
  remove(hash: KeyHash): boolean {
    const entry = this.find(hash);
    if (entry === NONE) return false;
    const bucket = hash.low & (this.#capacity - 1);
    const next = this.#at(entry, COLUMNS.next);
    let before = this.#buckets[bucket] ?? NONE;
    if (before === entry) this.#buckets[bucket] = next;
    else {
      while (this.#at(before, COLUMNS.next) !== entry) before = this.#at(before, COLUMNS.next);
      this.#words[before * WORDS + COLUMNS.next] = next;
    }
    this.#words.fill(0, entry * WORDS, (entry + 1) * WORDS);
    this.#words[entry * WORDS + COLUMNS.next] = this.#free;
    this.#free = entry;
    this.#count -= 1;
    return true;
  }

  noteHit(hash: KeyHash): void {
    const entry = this.find(hash);
    if (entry !== NONE) this.#hits[entry] = 1;
  }

  /** Entries whose bodies lie in a slab; with `hitOnly` those that were hit since they were written. */
  inSlab(slabId: number, { hitOnly }: { hitOnly: boolean }): number[] {
    const found: number[] = [];
    // All entries are looked at: 3 ms for a million, once per slab, against lists that every change would have to keep.
    for (let entry = 1; entry <= this.#used; entry += 1) {
      if (this.#at(entry, COLUMNS.bodySlabId) === slabId && (!hitOnly || this.#hits[entry] === 1)) found.push(entry);
    }
    return found;
  }

  #at(entry: number, column: number): number {
    return this.#words[entry * WORDS + column] ?? NONE;
  }

  #add({ low, high }: KeyHash): number {
    if (this.isFull) throw new Error("bug: an object is added to a full index");
    if (this.#free === NONE && this.#used === this.#capacity) this.#grow();
    const entry = this.#free === NONE ? this.#used + 1 : this.#free;
    if (this.#free === NONE) this.#used = entry;
    else this.#free = this.#at(entry, COLUMNS.next);
    this.#words[entry * WORDS + COLUMNS.low] = low;
    this.#words[entry * WORDS + COLUMNS.high] = high;
    this.#chain(entry);
    this.#count += 1;
    return entry;
  }

  #chain(entry: number): void {
    const bucket = this.#at(entry, COLUMNS.low) & (this.#capacity - 1);
    this.#words[entry * WORDS + COLUMNS.next] = this.#buckets[bucket] ?? NONE;
    this.#buckets[bucket] = entry;
  }

  /** Twice the room. Only when no entry is free: all are in use and are chained anew. */
  #grow(): void {
    this.#capacity *= 2;
    const words = new Uint32Array((this.#capacity + 1) * WORDS);
    words.set(this.#words);
    this.#words = words;
    const hits = new Uint8Array(this.#capacity + 1);
    hits.set(this.#hits);
    this.#hits = hits;
    this.#buckets = new Uint32Array(this.#capacity);
    for (let entry = 1; entry <= this.#used; entry += 1) this.#chain(entry);
  }
}

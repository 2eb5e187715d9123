/**
 * Where segments are made: one bounded memory, in which a segment's part of the file is read and its answer written.
 *
 * Whole: the segment is made at once in a slot, and sent from there; whoever asks for the same one meanwhile gets the
 * same bytes. Windows: when no slot is free, because slow viewers hold them, or the segment is larger than one, it is
 * made piece by piece as its viewer takes it. So memory has a bound whatever viewers do, and nobody waits for a slow
 * one.
 */
import { fail } from "../../contracts/errors.ts";
import { MovieError } from "../../domain/mp4/movie.ts";
import { type Areas, TsMemory } from "../../domain/ts/memory.ts";
import { TS_SCRATCH_BYTES } from "../../domain/ts/source-window.ts";
import type { BodyPart } from "../../lib/http/exchange.ts";
import type { SourceObject } from "../../lib/source/port.ts";

const MiB = 2 ** 20;
const KiB = 2 ** 10;
/** 6 s at 8 Mbit/s and what containers add. */
const SLOT_BYTES = 6.5 * MiB;
const SOURCE_BYTES = 6.5 * MiB + TS_SCRATCH_BYTES;
/** Reads that go on at a time, each into 6.5 MiB: a disk answers in milliseconds, a network in tenths of a second. */
export const READS_MAX = { local: 3, remote: 16 } as const;
/** What a slow viewer holds; above 128 KiB throughput no longer rises. */
export const WINDOW_BYTES = 128 * KiB;
const WINDOWS_KEPT = 64;
const WAITING_MAX = 4_096;

/** Room for what is made. */
export interface PacketRoom {
  readonly at: number;
  readonly capacity: number;
}

/** What is to be read of the file, and where to: `at` is counted from where the area begins. */
export interface ReadRange {
  readonly fileOffset: number;
  readonly lengthBytes: number;
  readonly at: number;
}

/** A segment that is being made, in as many steps as memory allows; its bytes don't depend on the steps. */
export interface SegmentMaking {
  readonly isDone: boolean;
  /** Nothing can be written before more of the file is read. */
  readonly needsSource: boolean;
  /** What is to be read for the next step. The area is the segment's until it is asked again, or `releaseSource`. */
  nextSource(area: { readonly byteLength: number }): readonly ReadRange[];
  /** Writes as much as there is room for, and source of in the area at `areaAt`; gives its length. */
  fill(memory: TsMemory, areaAt: number, out: PacketRoom): number;
  /** The area is wanted for something else: what was not written yet is read again. */
  releaseSource(): void;
}

/** How one segment is made. */
export interface SegmentRecipe {
  /** null: not known before it is made. */
  readonly exactBytes: number | null;
  /** Of the file, in all. */
  readonly sourceBytes: number;
  /** What its steps need at least, in bytes of source and of what is made. */
  readonly stepBytes: number;
  open(): SegmentMaking;
}

interface Area {
  readonly at: number;
  readonly byteLength: number;
}
interface Making {
  readonly key: string;
  readonly slot: number;
  readonly object: SourceObject;
  readonly recipe: SegmentRecipe;
}

/** A segment in a slot, for as many viewers as hold it. */
export class MadeSegment {
  readonly bytes: Buffer;
  readonly #free: () => void;
  #holders = 1;

  constructor(bytes: Buffer, free: () => void) {
    this.bytes = bytes;
    this.#free = free;
  }

  hold(): void {
    this.#holders += 1;
  }

  readonly letGo = (): void => {
    this.#holders -= 1;
    if (this.#holders === 0) this.#free();
  };
}

/** Areas that are waited for, first come first served. */
class Queue {
  readonly #areas: Areas;
  readonly #waiting: ((at: number) => void)[] = [];

  constructor(areas: Areas) {
    this.#areas = areas;
  }

  async take(): Promise<number> {
    const at = this.#areas.take();
    if (at !== null) return at;
    if (this.#waiting.length >= WAITING_MAX) fail("PACKAGER_BUSY");
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(at: number): void {
    this.#areas.give(at);
    const next = this.#waiting.shift();
    if (!next) return;
    const again = this.#areas.take();
    if (again !== null) next(again);
  }
}

export class Workshop {
  readonly memory: TsMemory;
  /** Segments that were made since the start. */
  wholeCount = 0;
  pieceCount = 0;
  readonly #sources: Queue;
  /** Where pieces are made before they are copied out. */
  readonly #pieceAt: number;
  /** Windows that nobody uses at the moment: fresh memory costs page faults. */
  readonly #windows: Buffer[] = [];
  /** Segments that are being made whole or sent, by their key. */
  readonly #segments = new Map<string, Promise<MadeSegment | null>>();

  constructor({ slotCount, readsMax }: { readonly slotCount: number; readonly readsMax: number }) {
    this.memory = new TsMemory({
      sourceCount: readsMax,
      sourceBytes: SOURCE_BYTES,
      slotCount: slotCount + 1, // one for pieces
      slotBytes: SLOT_BYTES,
    });
    this.#sources = new Queue(this.memory.sources);
    const pieceAt = this.memory.slots.take();
    if (pieceAt === null) throw new Error("bug: a memory without slots");
    this.#pieceAt = pieceAt;
  }

  get freeSlots(): number {
    return this.memory.slots.freeCount;
  }

  /**
   * A segment made whole, held for the caller; null: it has to be made in pieces. MovieError for one that can't be made
   * at all, so ask this first.
   */
  async whole(key: string, object: SourceObject, recipe: SegmentRecipe): Promise<MadeSegment | null> {
    if (recipe.stepBytes > SLOT_BYTES) throw new MovieError("unsupported", `a picture of ${recipe.stepBytes} bytes`);
    // What is made has all that is taken of the file.
    if ((recipe.exactBytes ?? recipe.sourceBytes) > SLOT_BYTES) return null;
    for (let shared = this.#segments.get(key); shared; shared = this.#segments.get(key)) {
      const segment = await shared;
      if (segment === null) return null;
      // Its last holder may have let go in between: then its slot is another segment's.
      if (this.#segments.get(key) !== shared) continue;
      segment.hold();
      return segment;
    }
    const slot = this.memory.slots.take();
    if (slot === null) return null;
    const making = this.#make({ key, slot, object, recipe });
    this.#segments.set(key, making);
    return making;
  }

  /**
   * Makes what is wanted of a segment as its viewer takes it. The writer is ended, or left to be cut by who catches.
   */
  async inPieces(object: SourceObject, recipe: SegmentRecipe, { start, end, writer }: BodyPart): Promise<void> {
    const window = this.#windowOf(recipe.stepBytes);
    const making = recipe.open();
    this.pieceCount += 1;
    for (let at = 0; !making.isDone && at < end; ) {
      const bytes = await this.#piece(object, making, window);
      const [from, to] = [Math.max(0, start - at), Math.min(bytes, end - at)];
      if (from < to) await writer.write(window.subarray(from, to));
      at += bytes;
    }
    await writer.end();
    // Only now: after a failure the socket may still hold it.
    if (window.length === WINDOW_BYTES && this.#windows.length < WINDOWS_KEPT) this.#windows.push(window);
  }

  #windowOf(stepBytes: number): Buffer {
    if (stepBytes > WINDOW_BYTES) return Buffer.allocUnsafeSlow(stepBytes);
    return this.#windows.pop() ?? Buffer.allocUnsafeSlow(WINDOW_BYTES);
  }

  async #make({ key, slot, object, recipe }: Making): Promise<MadeSegment | null> {
    const free = (): void => {
      this.#segments.delete(key);
      this.memory.slots.give(slot);
    };
    try {
      const bytes = await this.#wholeBytes(object, recipe, slot);
      if (bytes !== null) this.wholeCount += 1;
      if (bytes !== null) return new MadeSegment(this.memory.bytes.subarray(slot, slot + bytes), free);
      free();
      return null;
    } catch (error) {
      free();
      throw error;
    }
  }

  /** null: it does not fit into a slot. */
  async #wholeBytes(object: SourceObject, recipe: SegmentRecipe, slot: number): Promise<number | null> {
    const area = await this.#sources.take();
    try {
      const making = recipe.open();
      let bytes = 0;
      while (!making.isDone) {
        if (making.needsSource) await this.#read(object, making, { at: area, byteLength: SOURCE_BYTES });
        const made = making.fill(this.memory, area, { at: slot + bytes, capacity: SLOT_BYTES - bytes });
        if (made === 0 && !making.needsSource && !making.isDone) return null;
        bytes += made;
      }
      return bytes;
    } finally {
      this.#sources.give(area);
    }
  }

  /** Made where nothing is awaited between making and copying, so that all viewers share one place for it. */
  async #piece(object: SourceObject, making: SegmentMaking, window: Buffer): Promise<number> {
    const area = await this.#sources.take();
    try {
      const byteLength = Math.min(SOURCE_BYTES, window.length + TS_SCRATCH_BYTES);
      if (making.needsSource) await this.#read(object, making, { at: area, byteLength });
      const out = { at: this.#pieceAt, capacity: window.length };
      const bytes = making.fill(this.memory, area, out);
      making.releaseSource();
      this.memory.bytes.copy(window, 0, out.at, out.at + bytes);
      return bytes;
    } finally {
      this.#sources.give(area);
    }
  }

  async #read(object: SourceObject, making: SegmentMaking, area: Area): Promise<void> {
    for (const { at, fileOffset, lengthBytes } of making.nextSource(area)) {
      const start = area.at + at;
      await object.readRange(fileOffset, this.memory.bytes.subarray(start, start + lengthBytes));
    }
  }
}

/**
 * Where segments are made: one bounded memory, in which a segment's part of the file is read and its answer written.
 *
 * Whole: the segment is made at once in a slot, and sent from there; whoever asks for the same one meanwhile gets the
 * same bytes. Windows: when no slot is free, because slow viewers hold them, or the segment is larger than one, it is
 * made piece by piece as its viewer takes it. So memory has a bound whatever viewers do, and nobody waits for a slow
 * one.
 * Encrypted pictures that fit into no window have a budget, and are refused beyond it.
 */
import { fail } from "../../contracts/errors.ts";
import { MovieError } from "../../domain/mp4/movie.ts";
import { type Areas, TsMemory } from "../../domain/ts/memory.ts";
import { TS_SCRATCH_BYTES } from "../../domain/ts/source-window.ts";
import { CipherThreads } from "../../lib/crypto/cipher-threads.ts";
import { encryptedBytes, type SegmentKey } from "../../lib/crypto/segment-cipher.ts";
import type { BodyPart } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";
import type { SourceObject } from "../../lib/source/port.ts";
import { PieceSealer, SEAL_BYTES } from "./piece-sealer.ts";

const MiB = 2 ** 20;
const KiB = 2 ** 10;
/** 6 s at 8 Mbit/s and what containers add. */
const SLOT_BYTES = 6.5 * MiB;
const SOURCE_BYTES = 6.5 * MiB + TS_SCRATCH_BYTES;
/** Reads that go on at a time, each into 6.5 MiB: a disk answers in milliseconds, a network in tenths of a second. */
const READS_MAX = { local: 3, remote: 16 } as const;
/** Read at a time for segments that are made whole: what is still in the processor's cache is made into packets. */
const LOCAL_STEP_BYTES = MiB;
/**
 * What a viewer holds whose segment is made in pieces. Each piece costs a read and a write: with 512 KiB 64 viewers get
 * 1.4 times what they get with 128 KiB.
 */
const WINDOW_BYTES = 512 * KiB;
const WINDOWS_MAX = 48;
/** Of those who come when all windows are taken. */
const SMALL_WINDOW_BYTES = 128 * KiB;
const SMALL_WINDOWS_KEPT = 64;
/** Of those who get encrypted fMP4 with pictures that are larger than that: all together. */
const LARGE_BYTES_MAX = 64 * MiB;
/** Of a window: what is read is less than what is made of it. */
const SOURCE_SHARE = 15 / 16;
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
  /** What a step needs at least of source. */
  readonly sourceStepBytes: number;
  /** What a step needs at least of room for what is made; 0: any window will do. */
  readonly madeStepBytes: number;
  /** What is read goes into the segment as it lies in the file, so that reading it in steps reads nothing twice. */
  readonly isInFileOrder: boolean;
  open(): SegmentMaking;
  /** Where what `open` makes is another recipe's segment, encrypted as a whole: then threads can do that. */
  readonly sealed?: { readonly clear: SegmentRecipe; readonly key: SegmentKey };
}

/** Where a piece is sent from. */
interface Window {
  /** In the workshop's memory; null: outside of it. */
  readonly at: number | null;
  readonly bytes: Buffer;
}
interface Sending {
  readonly begin: () => BodyPart | undefined;
  readonly window: Window;
}
interface Piece {
  readonly object: SourceObject;
  readonly making: SegmentMaking;
  readonly sourceStepBytes: number;
  readonly sealer: PieceSealer | null;
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

export interface WorkshopOptions {
  readonly slotCount: number;
  /** Its files are on this machine's disks, not behind a network. */
  readonly isLocal: boolean;
  /** There will be segments that are encrypted as a whole. */
  readonly encryptsWhole: boolean;
  readonly log: Log;
}

export class Workshop {
  readonly memory: TsMemory;
  /** Segments that were made since the start. */
  wholeCount = 0;
  pieceCount = 0;
  readonly #sources: Queue;
  /** Where pieces are made before they are copied out. */
  readonly #pieceAt: number;
  /** Those that nobody uses at the moment: fresh memory costs page faults. */
  readonly #smallWindows: Buffer[] = [];
  #largeBytes = 0;
  readonly #stepBytes: number;
  readonly #cipherThreads: CipherThreads | null;
  /** Segments that are being made whole or sent, by their key. */
  readonly #segments = new Map<string, Promise<MadeSegment | null>>();

  constructor({ slotCount, isLocal, encryptsWhole, log }: WorkshopOptions) {
    this.#stepBytes = isLocal ? LOCAL_STEP_BYTES : SOURCE_BYTES;
    this.memory = new TsMemory({
      sourceCount: isLocal ? READS_MAX.local : READS_MAX.remote,
      sourceBytes: SOURCE_BYTES,
      slotCount: slotCount + 1, // one for pieces
      slotBytes: SLOT_BYTES,
      windowCount: WINDOWS_MAX,
      windowBytes: WINDOW_BYTES,
      isShared: encryptsWhole,
    });
    const { buffer } = this.memory.bytes;
    this.#cipherThreads = buffer instanceof SharedArrayBuffer ? new CipherThreads(buffer, { log }) : null;
    this.#sources = new Queue(this.memory.sources);
    const pieceAt = this.memory.slots.take();
    if (pieceAt === null) throw new Error("bug: a memory without slots");
    this.#pieceAt = pieceAt;
  }

  get freeSlots(): number {
    return this.memory.slots.freeCount;
  }
  /** null: nothing is encrypted as a whole. */
  get liveThreads(): number | null {
    return this.#cipherThreads?.liveCount ?? null;
  }
  get freeWindows(): number {
    return this.memory.windows.freeCount;
  }

  /**
   * A segment made whole, held for the caller; null: it has to be made in pieces. MovieError for one that can't be made
   * at all, so ask this first.
   */
  async whole(key: string, object: SourceObject, recipe: SegmentRecipe): Promise<MadeSegment | null> {
    const { sourceStepBytes, madeStepBytes } = recipe;
    if (Math.max(sourceStepBytes, madeStepBytes) > SLOT_BYTES) {
      throw new MovieError("unsupported", `a picture of ${sourceStepBytes} bytes`);
    }
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
   * Makes what is wanted of a segment as its viewer takes it; `begin` begins the answer, or has answered already. The
   * writer is ended, or left to be cut by who catches. Where the first piece can't be had (PACKAGER_BUSY,
   * SOURCE_FAILED), the answer has not begun.
   */
  async inPieces(object: SourceObject, recipe: SegmentRecipe, begin: () => BodyPart | undefined): Promise<void> {
    const window = this.#takeWindow(recipe.madeStepBytes);
    try {
      await this.#sendPieces(object, recipe, { begin, window });
    } finally {
      this.#giveWindow(window); // no write is under way any more, well ended or not
    }
  }

  async #sendPieces(object: SourceObject, recipe: SegmentRecipe, { begin, window }: Sending): Promise<void> {
    const threads = window.at === null ? null : this.#cipherThreads;
    // Without a thread it is encrypted here.
    const sealer = recipe.sealed && threads?.isUsable ? new PieceSealer(recipe.sealed.key, threads) : null;
    const { sourceStepBytes } = recipe;
    const making = sealer && recipe.sealed ? recipe.sealed.clear.open() : recipe.open();
    this.pieceCount += 1;
    const next = (): Promise<number> => this.#piece({ object, making, sourceStepBytes, sealer }, window);
    let bytes = 0;
    while (bytes === 0 && !making.isDone) bytes = await next();
    const part = begin();
    if (!part) return;
    const { start, end, writer } = part;
    for (let at = 0; ; ) {
      const [from, to] = [Math.max(0, start - at), Math.min(bytes, end - at)];
      if (from < to) await writer.write(window.bytes.subarray(from, to));
      at += bytes;
      if (making.isDone || at >= end) break;
      bytes = await next();
    }
    await writer.end();
  }

  #takeWindow(madeStepBytes: number): Window {
    const at = madeStepBytes > WINDOW_BYTES ? null : this.memory.windows.take();
    if (at !== null) return { at, bytes: this.memory.bytes.subarray(at, at + WINDOW_BYTES) };
    if (madeStepBytes <= SMALL_WINDOW_BYTES) {
      return { at, bytes: this.#smallWindows.pop() ?? Buffer.allocUnsafeSlow(SMALL_WINDOW_BYTES) };
    }
    if (this.#largeBytes + madeStepBytes > LARGE_BYTES_MAX) fail("PACKAGER_BUSY");
    this.#largeBytes += madeStepBytes;
    return { at, bytes: Buffer.allocUnsafeSlow(madeStepBytes) };
  }

  #giveWindow({ at, bytes }: Window): void {
    if (at !== null) this.memory.windows.give(at);
    else if (bytes.length > SMALL_WINDOW_BYTES) this.#largeBytes -= bytes.length;
    else if (this.#smallWindows.length < SMALL_WINDOWS_KEPT) this.#smallWindows.push(bytes);
  }

  async stop(): Promise<void> {
    await this.#cipherThreads?.stop();
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

  /** null: it does not fit into a slot, or its thread has ended. */
  async #wholeBytes(object: SourceObject, recipe: SegmentRecipe, slot: number): Promise<number | null> {
    const { sealed } = recipe;
    if (!sealed || !this.#cipherThreads) return this.#filled(object, recipe, slot);
    const bytes = await this.#filled(object, sealed.clear, slot);
    if (bytes === null || encryptedBytes(bytes) > SLOT_BYTES) return null;
    const end = await this.#cipherThreads.encrypt(sealed.key, { at: slot, end: slot + bytes, isLast: true });
    return end === null ? null : end - slot;
  }

  async #filled(object: SourceObject, recipe: SegmentRecipe, slot: number): Promise<number | null> {
    const area = await this.#sources.take();
    try {
      const making = recipe.open();
      const wantedBytes = Math.max(recipe.sourceStepBytes, recipe.isInFileOrder ? this.#stepBytes : SOURCE_BYTES);
      const byteLength = Math.min(SOURCE_BYTES, wantedBytes + TS_SCRATCH_BYTES);
      let bytes = 0;
      while (!making.isDone) {
        if (making.needsSource) await this.#read(object, making, { at: area, byteLength });
        const made = making.fill(this.memory, area, { at: slot + bytes, capacity: SLOT_BYTES - bytes });
        if (made === 0 && !making.needsSource && !making.isDone) return null;
        bytes += made;
      }
      return bytes;
    } finally {
      this.#sources.give(area);
    }
  }

  /** In a window, or copied to it: where nothing is awaited between making and copying, all share one place. */
  async #piece({ object, making, sourceStepBytes, sealer }: Piece, { at, bytes }: Window): Promise<number> {
    let made = sealer?.begin(bytes) ?? 0;
    const area = await this.#sources.take();
    try {
      // A head alone is not worth a piece.
      for (let isHead = true; isHead && !making.isDone && made < bytes.length / 2; ) {
        const capacity = bytes.length - made - (sealer ? SEAL_BYTES : 0);
        // What is made of it is a little more, and what has no room is read again.
        const wantedBytes = Math.max(sourceStepBytes, Math.floor(capacity * SOURCE_SHARE));
        const byteLength = Math.min(SOURCE_BYTES, wantedBytes + TS_SCRATCH_BYTES);
        isHead = !making.needsSource;
        if (making.needsSource) await this.#read(object, making, { at: area, byteLength });
        const to = at === null ? this.#pieceAt : at + made;
        const got = making.fill(this.memory, area, { at: to, capacity });
        if (at === null) this.memory.bytes.copy(bytes, made, to, to + got);
        made += got;
      }
      making.releaseSource();
    } finally {
      this.#sources.give(area);
    }
    return sealer && at !== null ? sealer.end(bytes, { at, madeBytes: made, isLast: making.isDone }) : made;
  }

  async #read(object: SourceObject, making: SegmentMaking, area: Area): Promise<void> {
    for (const { at, fileOffset, lengthBytes } of making.nextSource(area)) {
      const start = area.at + at;
      await object.readRange(fileOffset, this.memory.bytes.subarray(start, start + lengthBytes));
    }
  }
}

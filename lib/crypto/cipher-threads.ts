/**
 * Threads that encrypt segments where they lie (RFC 8216 §4.3.2.4, METHOD=AES-128), so that others are made and sent
 * meanwhile. They also spare the main thread's heap: each call of the cipher gives new memory, and V8 answers 64 MiB of
 * that with a collection of the whole heap, which is tens of megabytes there and two in a thread.
 */
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { Log } from "../log/log.ts";
import type { SegmentKey } from "./segment-cipher.ts";

/** Bytes of the memory that all share. */
export interface CipherRange {
  readonly at: number;
  readonly end: number;
  /** Then it is padded, for which there are sixteen bytes of room behind it; else it is of whole blocks. */
  readonly isLast: boolean;
}
export interface CipherOrder extends CipherRange {
  readonly number: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}
export type CipherAnswer =
  | { readonly number: number; readonly end: number }
  | { readonly number: number; readonly reason: string };

const THREADS_MAX = 4;
/** One core makes and sends. */
const threadCount = (): number => Math.min(Math.max(1, availableParallelism() - 1), THREADS_MAX);
/** One that has ended is not started again before. */
const RESTART_MS = 10_000;

class CipherThread {
  endedMs = 0;
  readonly #memory: SharedArrayBuffer;
  readonly #log: Log;
  readonly #waiting = new Map<number, PromiseWithResolvers<number | null>>();
  #worker: Worker | null = null;
  #count = 0;

  constructor(memory: SharedArrayBuffer, log: Log) {
    this.#memory = memory;
    this.#log = log;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }
  get isAlive(): boolean {
    return this.#worker !== null;
  }

  /** It starts with the first order. */
  encrypt(order: Omit<CipherOrder, "number">): Promise<number | null> {
    const worker = this.#worker ?? this.#start();
    if (!worker) return Promise.resolve(null);
    const waiting = Promise.withResolvers<number | null>();
    this.#count += 1;
    this.#waiting.set(this.#count, waiting);
    worker.postMessage({ ...order, number: this.#count });
    return waiting.promise;
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    worker?.removeAllListeners();
    await worker?.terminate(); // first, so that nobody takes memory for free that it still writes to
    this.#ended(null);
  }

  #start(): Worker | null {
    try {
      const worker = new Worker(new URL("./cipher-thread.worker.ts", import.meta.url), { workerData: this.#memory });
      worker.on("message", (answer: CipherAnswer) => this.#answered(answer));
      worker.on("error", (error) => this.#ended(error));
      worker.on("exit", (status) => this.#ended(new Error(`it ended with status ${status}`)));
      worker.unref();
      this.#worker = worker;
      return worker;
    } catch (error) {
      this.#worker = null;
      this.#failed(error);
      return null;
    }
  }

  #answered(answer: CipherAnswer): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if ("end" in answer) waiting?.resolve(answer.end);
    else waiting?.reject(new Error(answer.reason));
  }

  #ended(error: unknown): void {
    if (!this.#worker) return;
    this.#worker = null;
    if (error !== null) this.#failed(error);
    for (const { resolve } of this.#waiting.values()) resolve(null);
    this.#waiting.clear();
  }

  #failed(err: unknown): void {
    this.endedMs = performance.now();
    this.#log.error({ err }, "a thread that encrypts segments has ended; the others, or the main one, do its work");
  }
}

export class CipherThreads {
  readonly #threads: readonly CipherThread[];
  #isStopped = false;

  /** One less than there are processors, four at most; over memory that is shared with them. */
  constructor(memory: SharedArrayBuffer, { log }: { readonly log: Log }) {
    setFlagsFromString("--expose-gc"); // for contexts that are made from now on: those of the threads
    this.#threads = Array.from({ length: threadCount() }, () => new CipherThread(memory, log));
  }

  get liveCount(): number {
    return this.#threads.filter(({ isAlive }) => isAlive).length;
  }

  /** Whether there is one, or one that may be started. */
  get isUsable(): boolean {
    return this.#usable().length > 0;
  }

  /**
   * Encrypts a range where it is; gives where it ends now. null: its thread has ended, for want of memory or because
   * all were stopped, or none can be had; then it may be half encrypted.
   */
  encrypt({ key, iv }: SegmentKey, range: CipherRange): Promise<number | null> {
    const [first, ...others] = this.#usable();
    if (!first) return Promise.resolve(null);
    const idlest = others.reduce((best, other) => (other.waitingCount < best.waitingCount ? other : best), first);
    return idlest.encrypt({ ...range, key, iv });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  #usable(): readonly CipherThread[] {
    const nowMs = performance.now();
    if (this.#isStopped) return [];
    return this.#threads.filter(({ isAlive, endedMs }) => isAlive || endedMs === 0 || nowMs - endedMs >= RESTART_MS);
  }
}

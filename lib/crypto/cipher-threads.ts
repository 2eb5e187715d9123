/**
 * Threads that encrypt segments where they lie (RFC 8216 §4.3.2.4, METHOD=AES-128), so that others are made and sent
 * meanwhile. They also spare the main thread's heap: each call of the cipher gives new memory, and V8 answers 64 MiB of
 * that with a collection of the whole heap, which is tens of megabytes there and two in a thread.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { SegmentKey } from "./segment-cipher.ts";

export interface CipherOrder {
  readonly number: number;
  /** In the memory that all share. Behind `end` there is room for padding: sixteen bytes. */
  readonly at: number;
  readonly end: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}
export type CipherAnswer =
  | { readonly number: number; readonly end: number }
  | { readonly number: number; readonly reason: string };

const THREADS_MAX = 4;
/** One core makes and sends. */
const threadCount = (): number => Math.min(Math.max(1, availableParallelism() - 1), THREADS_MAX);

class CipherThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<number | null>>();
  #count = 0;
  #hasEnded = false;

  constructor(memory: SharedArrayBuffer) {
    const file = new URL("./cipher-thread.worker.ts", import.meta.url);
    this.#worker = new Worker(file, { workerData: memory });
    this.#worker.on("message", (answer: CipherAnswer) => this.#answered(answer));
    this.#worker.on("error", () => this.#ended());
    this.#worker.on("exit", () => this.#ended());
    this.#worker.unref();
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  encrypt(order: Omit<CipherOrder, "number">): Promise<number | null> {
    if (this.#hasEnded) return Promise.resolve(null);
    const waiting = Promise.withResolvers<number | null>();
    this.#count += 1;
    this.#waiting.set(this.#count, waiting);
    this.#worker.postMessage({ ...order, number: this.#count });
    return waiting.promise;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #answered(answer: CipherAnswer): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if ("end" in answer) waiting?.resolve(answer.end);
    else waiting?.reject(new Error(answer.reason));
  }

  #ended(): void {
    this.#hasEnded = true;
    for (const { resolve } of this.#waiting.values()) resolve(null);
    this.#waiting.clear();
  }
}

export class CipherThreads {
  readonly #memory: SharedArrayBuffer;
  readonly #threads: CipherThread[];
  #isStopped = false;

  /** One less than there are processors, four at most; over memory that is shared with them. */
  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.#threads = Array.from({ length: threadCount() }, () => new CipherThread(memory));
  }

  /**
   * Encrypts the bytes from `at` up to `end` where they are, sixteen bytes of room behind them; gives where they end
   * now. null: its thread has ended, for want of memory or because all were stopped; they may be half encrypted.
   */
  encrypt(key: SegmentKey, { at, end }: { readonly at: number; readonly end: number }): Promise<number | null> {
    const [first, ...others] = this.#threads.map((thread, index) => this.#alive(thread, index));
    if (!first) throw new Error("bug: no thread");
    const idlest = others.reduce((best, other) => (other.waitingCount < best.waitingCount ? other : best), first);
    return idlest.encrypt({ at, end, key: key.key, iv: key.iv });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  #alive(thread: CipherThread, index: number): CipherThread {
    if (!thread.hasEnded || this.#isStopped) return thread;
    const next = new CipherThread(this.#memory);
    this.#threads[index] = next;
    return next;
  }
}

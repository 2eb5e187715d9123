/** Bytes of an opened object, piece by piece, as fast as they are taken. */
import { codeOf } from "../../contracts/errors.ts";
import type { SourceObject } from "../../lib/source/port.ts";
import { type BodyLimits, ORIGIN_TIMEOUTS, type TakeChunk } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import { untilAborted } from "./until-aborted.ts";
import type { WholeCopies } from "./whole-copies.ts";

const PIECE_BYTES = 1024 * 1024;

interface BodyOptions {
  readonly path: string;
  readonly object: SourceObject;
  readonly from: number;
  /** Behind the last byte. */
  readonly to: number;
  readonly copies: WholeCopies;
}

const asUpstream = (error: unknown): UpstreamError => {
  if (error instanceof UpstreamError) return error;
  return new UpstreamError(codeOf(error) === "SOURCE_TIMEOUT" ? "idle" : "reset", error);
};

export class SourceBody {
  readonly #options: BodyOptions;
  readonly #stop = new AbortController();
  #isRead = false;

  constructor(options: BodyOptions) {
    this.#options = options;
  }

  /** Rejects with an UpstreamError. A file that has to be copied first is late by the deadline of the whole alone. */
  async read(take: TakeChunk, limits: BodyLimits = {}): Promise<void> {
    if (this.#isRead) throw new Error("bug: the body of an answer is read twice");
    this.#isRead = true;
    const { idleMs, bodyMs } = { ...ORIGIN_TIMEOUTS, ...limits };
    const { copies, object, path } = this.#options;
    const timer = setTimeout(() => this.#stop.abort(new UpstreamError("body-time")), bodyMs);
    const { signal } = this.#stop;
    try {
      if (!object.wholeOnly) return await this.#give(object, take, idleMs);
      const copying = copies.use({ path, stat: object.stat, signal }, (copy) => this.#give(copy, take, idleMs));
      return await untilAborted(copying, signal);
    } catch (error) {
      throw asUpstream(error);
    } finally {
      clearTimeout(timer);
      // It waits for reads under way, which may never end.
      const closing = object.close().catch(() => {});
      if (!signal.aborted) await closing;
    }
  }

  drop(): void {
    this.#stop.abort(new UpstreamError("reset", new Error("the answer was dropped")));
    if (this.#isRead) return;
    this.#isRead = true;
    void this.#options.object.close().catch(() => {});
  }

  async #give(from: Pick<SourceObject, "readRange">, take: TakeChunk, idleMs: number): Promise<void> {
    const { signal } = this.#stop;
    for (let at = this.#options.from; at < this.#options.to; ) {
      // Each piece is the taker's: memory of its own, and none of the pool that small ones would hold.
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, this.#options.to - at));
      const timer = setTimeout(() => this.#stop.abort(new UpstreamError("idle")), idleMs);
      try {
        await untilAborted(from.readRange(at, piece, { signal }), signal);
      } finally {
        clearTimeout(timer);
      }
      await take(piece);
      signal.throwIfAborted();
      at += piece.length;
    }
  }
}

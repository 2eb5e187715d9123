/** Bytes of an opened object, piece by piece, as fast as they are taken. */
import { codeOf } from "../../contracts/errors.ts";
import type { SourceObject } from "../../lib/source/port.ts";
import type { BodyLimits, TakeChunk } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import type { WholeCopies } from "./whole-copies.ts";

const PIECE_BYTES = 1024 * 1024;
const BODY_MS = 3_600_000;

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

  /** Rejects with an UpstreamError; the source has its own deadline for each read. */
  async read(take: TakeChunk, { bodyMs = BODY_MS }: BodyLimits = {}): Promise<void> {
    if (this.#isRead) throw new Error("bug: the body of an answer is read twice");
    this.#isRead = true;
    const { copies, object, path } = this.#options;
    const timer = setTimeout(() => this.#stop.abort(new UpstreamError("body-time")), bodyMs);
    const { signal } = this.#stop;
    try {
      if (!object.wholeOnly) return await this.#give(object, take);
      return await copies.use({ path, stat: object.stat, signal }, (copy) => this.#give(copy, take));
    } catch (error) {
      throw asUpstream(error);
    } finally {
      clearTimeout(timer);
      await object.close();
    }
  }

  drop(): void {
    this.#stop.abort(new UpstreamError("reset", new Error("the answer was dropped")));
    if (this.#isRead) return;
    this.#isRead = true;
    void this.#options.object.close().catch(() => {});
  }

  async #give(from: Pick<SourceObject, "readRange">, take: TakeChunk): Promise<void> {
    const { signal } = this.#stop;
    for (let at = this.#options.from; at < this.#options.to; ) {
      // Each piece is the taker's: memory of its own, and none of the pool that small ones would hold.
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, this.#options.to - at));
      await from.readRange(at, piece, { signal });
      signal.throwIfAborted();
      await take(piece);
      at += piece.length;
    }
  }
}

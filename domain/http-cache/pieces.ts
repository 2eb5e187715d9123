/** A stretch of a representation, in bytes; `end` is exclusive. */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** Separate pieces that one object may have: beyond that the bookkeeping costs more than the bytes are worth. */
export const PIECES_MAX = 256;

/**
 * Which bytes of one representation are held (RFC 9111 §3.3, §3.4). All of them were received under one strong
 * validator: bytes under another belong to another object.
 */
export class Pieces {
  readonly strongEtag: string;
  readonly sizeBytes: number;
  /** In order, apart from each other by at least one byte. */
  #held: Piece[] = [];

  constructor(strongEtag: string, sizeBytes: number) {
    this.strongEtag = strongEtag;
    this.sizeBytes = sizeBytes;
  }

  get held(): readonly Piece[] {
    return this.#held;
  }
  get heldBytes(): number {
    return this.#held.reduce((sum, { start, end }) => sum + end - start, 0);
  }
  get isWhole(): boolean {
    return this.heldBytes === this.sizeBytes;
  }

  /**
   * Takes [start, end) in. False, and nothing is taken, when there would be more than `PIECES_MAX` pieces.
   * @throws RangeError for a stretch that is empty or beyond the size: the caller has checked Content-Range.
   */
  add(start: number, end: number): boolean {
    if (!(start >= 0 && end > start && end <= this.sizeBytes))
      throw new RangeError(`bug: no piece: ${start} to ${end}`);
    const apart = this.#held.filter((piece) => piece.end < start || piece.start > end);
    const touching = this.#held.filter((piece) => piece.end >= start && piece.start <= end);
    const joined = {
      start: Math.min(start, touching.at(0)?.start ?? start),
      end: Math.max(end, touching.at(-1)?.end ?? end),
    };
    if (apart.length + 1 > PIECES_MAX) return false;
    this.#held = [...apart, joined].sort((a, b) => a.start - b.start);
    return true;
  }

  /** The stretches of [start, end) that are not held, in order. */
  missing(start: number, end: number): Piece[] {
    const gaps: Piece[] = [];
    let at = start;
    for (const piece of this.#held) {
      if (piece.end <= at) continue;
      if (piece.start >= end) break;
      if (piece.start > at) gaps.push({ start: at, end: piece.start });
      at = piece.end;
    }
    if (at < end) gaps.push({ start: at, end });
    return gaps;
  }

  /** True when all of [start, end) is held. */
  covers(start: number, end: number): boolean {
    return this.#held.some((piece) => piece.start <= start && piece.end >= end);
  }
}

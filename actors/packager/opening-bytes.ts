/** Memory that the files which are being opened may take together: boxes that were read and what is made of them. */

/** A file with more of it than this opens beside others all the same: fragments are read one by one and let go. */
const SHARE_MAX = 256 * 2 ** 20; // the largest `moov`

interface Share {
  bytes: number;
}

/**
 * Each takes bytes before it reads them and gives all of them back at its end. Beyond the budget only the one that was
 * first goes on, so that some always do; the sum is the budget and one share at most.
 */
export class OpeningBytes {
  readonly #max: number;
  /** In the order in which they began. */
  readonly #shares = new Set<Share>();
  #waiting: (() => void)[] = [];
  #bytes = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Opens with `take`, to be awaited before so many bytes are read. */
  async during<T>(open: (take: (bytes: number) => Promise<void>) => Promise<T>): Promise<T> {
    const share: Share = { bytes: 0 };
    this.#shares.add(share);
    try {
      return await open((bytes) => this.#take(share, bytes));
    } finally {
      this.#shares.delete(share);
      this.#bytes -= share.bytes;
      for (const look of this.#waiting.splice(0)) look();
    }
  }

  async #take(share: Share, bytes: number): Promise<void> {
    for (;;) {
      const more = Math.min(bytes, SHARE_MAX - share.bytes);
      const [first] = this.#shares;
      if (share === first || this.#bytes + more <= this.#max) {
        share.bytes += more;
        this.#bytes += more;
        return;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

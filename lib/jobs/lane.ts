export interface LaneOptions<C> {
  readonly kinds: readonly string[];
  readonly slots: number;
  /** So many jobs at most, those whose turn it is; never rejects. */
  readonly claim: (kinds: readonly string[], count: number) => Promise<readonly C[]>;
  /** Never rejects. */
  readonly run: (claim: C) => Promise<void>;
  /** Wake-ups are of use again. */
  readonly onHungry: () => void;
  /** A wake-up was spent that was of no use here: there was no slot for what it stands for. */
  readonly onSpare: () => void;
}

/**
 * The slots that some kinds share. A wake-up fills them: one claim at a time takes as many jobs as there are free
 * slots. While there were as many as it asked for, a slot that becomes free is filled without a wake-up.
 */
export class Lane<C = unknown> {
  readonly #options: LaneOptions<C>;
  #free: number;
  /** There may be jobs that no claim has asked for yet. */
  #mayBeMore = false;
  /** A wake-up came while a claim went on. */
  #hasSpare = false;
  #filling: Promise<void> | undefined;

  constructor(options: LaneOptions<C>) {
    this.#options = options;
    this.#free = options.slots;
  }

  get kinds(): readonly string[] {
    return this.#options.kinds;
  }

  /** A wake-up would be of no use: there is no slot, or it claims by itself. */
  get isSated(): boolean {
    return this.#free === 0 || this.#mayBeMore || this.#filling !== undefined;
  }

  /**
   * Resolves when what it led to is claimed. One that comes while a claim goes on is not waited for, so that a lane
   * with many short jobs keeps nobody from fetching the wake-ups of others; another claim follows.
   */
  async wake(): Promise<void> {
    this.#mayBeMore = true;
    if (this.#filling) this.#hasSpare = true;
    else if (this.#free === 0) this.#options.onSpare();
    else await this.#refill();
  }

  /** Resolves when no claim is under way. */
  async settled(): Promise<void> {
    await this.#filling;
  }

  /** With a free slot it waits for a claim at least, so that it has not ended before it is kept here. */
  #refill(): Promise<void> {
    this.#filling ??= this.#fill();
    return this.#filling;
  }

  async #fill(): Promise<void> {
    const { kinds, claim, onHungry, onSpare } = this.#options;
    while (this.#mayBeMore && this.#free > 0) {
      this.#mayBeMore = false;
      const askedCount = this.#free;
      const claims = await claim(kinds, askedCount);
      this.#mayBeMore ||= claims.length === askedCount;
      for (const each of claims) this.#start(each);
    }
    this.#filling = undefined;
    const hasSpare = this.#hasSpare;
    this.#hasSpare = false;
    if (!this.isSated) onHungry();
    else if (hasSpare) onSpare();
  }

  #start(claim: C): void {
    this.#free -= 1;
    void this.#options.run(claim).finally(() => {
      this.#free += 1;
      if (this.#mayBeMore) void this.#refill();
      else this.#options.onHungry();
    });
  }
}

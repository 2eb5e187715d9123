/**
 * The ffmpegs of one stream, one at a time: a run begins, may spawn a child, and is dropped; then its child is not
 * heard any more.
 */

import type { Ingest, IngestEvents, IngestOptions, StartIngest } from "./ingest.ts";
import { ingestStarts } from "./metrics.ts";

const GONE_WAIT_MS = 2_000; // a killed child that hangs in the kernel must not keep its stream from going on

export class Runs {
  readonly #startIngest: StartIngest;
  #ingest: Ingest | null = null;
  #gone: Promise<void> = Promise.resolve();
  #current = 0;
  /** How many children were spawned. */
  spawnCount = 0;

  constructor(startIngest: StartIngest) {
    this.#startIngest = startIngest;
  }

  /** A child of the current run is there. */
  get hasChild(): boolean {
    return this.#ingest !== null;
  }
  isCurrent(run: number): boolean {
    return run === this.#current;
  }

  /** Drops the current run, kills its child, and answers the number of the next run. */
  drop(): number {
    this.#current += 1;
    if (this.#ingest) this.#gone = this.#ingest.kill();
    this.#ingest = null;
    return this.#current;
  }
  /** Like `drop`, gently: the child is asked to end first. */
  async stop(): Promise<void> {
    this.#current += 1;
    const ingest = this.#ingest;
    this.#ingest = null;
    await ingest?.stop();
  }

  /** The last child holds the source's port until it is gone. */
  async settled(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GONE_WAIT_MS);
    });
    await Promise.race([this.#gone, late]);
    clearTimeout(timer);
  }

  spawn(run: number, options: IngestOptions, events: IngestEvents): void {
    const ours = <A extends unknown[]>(tell: (...args: A) => void) => {
      return (...args: A): void => {
        if (this.isCurrent(run)) tell(...args);
      };
    };
    this.spawnCount += 1;
    ingestStarts.inc();
    this.#ingest = this.#startIngest(options, {
      onSource: ours(events.onSource),
      onTracksChanged: ours(events.onTracksChanged),
      onInit: ours(events.onInit),
      onSample: ours(events.onSample),
      onEnd: ours(events.onEnd),
    });
  }
}

/** Tells all nodes what a streamer runs: every 2 s, and soon after something changed. */
import type { StreamerReported } from "../../contracts/streamer.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Streamer } from "./streamer.ts";

export interface ReporterOptions {
  readonly streamer: Streamer;
  readonly about: Omit<StreamerReported, "streams" | "draining" | "streamsMax">;
  readonly announce: (report: StreamerReported) => void;
  readonly log: Log;
}

const EVERY_MS = 2_000;
const SOON_MS = 40; // changes that come together are one report

export class Reporter {
  readonly #options: ReporterOptions;
  #regular: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }
  start(): void {
    this.#regular = setInterval(() => this.report(), EVERY_MS);
    this.report();
  }
  /** A last report, when the streamer is draining, says so. */
  stop(): void {
    if (this.#regular) this.report();
    clearInterval(this.#regular);
    clearTimeout(this.#soon);
    this.#regular = undefined;
    this.#soon = undefined;
  }
  readonly changed = (): void => {
    if (!this.#regular || this.#soon) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      this.report();
    }, SOON_MS);
  };
  report(): void {
    const { streamer, about, announce, log } = this.#options;
    const { streamsMax, draining, reports: streams } = streamer;
    try {
      announce({ ...about, streamsMax, draining, streams });
    } catch (error) {
      log.warn({ err: error }, "a report could not be sent");
    }
  }
}

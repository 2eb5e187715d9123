/** One run of ffmpeg: init segments and samples by rendition, what it told about its source, and one end. */

import type { Sample } from "../../domain/mp4/fragment.ts";
import type { TrackInfo } from "../../domain/mp4/init.ts";
import { trackReader } from "../../domain/mp4/track-reader.ts";
import type { Ffmpeg } from "../../lib/ffmpeg/binary.ts";
import type { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { FfmpegProcess } from "../../lib/ffmpeg/process.ts";
import { type SourceInfo, SourceInfoReader } from "../../lib/ffmpeg/source-info.ts";
import type { Log } from "../../lib/log/log.ts";

export interface IngestOptions {
  readonly args: readonly string[];
  /** Renditions in the order of the command's outputs. */
  readonly outputs: readonly string[];
  /** Variables for the child, such as the proxy that its connections go through. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
}
/** Told in the order in which things come; nothing is told after `onEnd`, nor after `stop` or `kill` was called. */
export interface IngestEvents {
  readonly onSource: (info: SourceInfo) => void;
  /** Tracks that came or went while it ran. */
  readonly onTracksChanged: () => void;
  readonly onInit: (rendition: string, init: Buffer, info: TrackInfo) => void;
  readonly onSample: (rendition: string, sample: Sample) => void;
  readonly onEnd: (reason: string) => void;
}
export interface Ingest {
  /** Both resolve when the child is gone. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}
export type StartIngest = (options: IngestOptions, events: IngestEvents) => Ingest;

/** A publisher with another stream key than the one in our URL; ffmpeg's listener only warns about it. */
const WRONG_KEY = /App field don't match up|Unexpected stream .*, expecting/;
const TRACKS_CHANGED = /New (?:audio|video) stream /;

class FfmpegIngest implements Ingest {
  readonly #process: FfmpegProcess;
  #events: IngestEvents | null;
  #failure: string | null = null;

  constructor(deps: { ffmpeg: Ffmpeg; pidFiles: PidFiles }, options: IngestOptions, events: IngestEvents) {
    this.#events = events;
    const source = new SourceInfoReader();
    this.#process = new FfmpegProcess({
      ...deps,
      args: options.args,
      outputCount: options.outputs.length,
      env: options.env,
      log: options.log,
      onLine: (line) => {
        if (source.push(line) && source.info) this.#events?.onSource(source.info);
        else if (source.info && TRACKS_CHANGED.test(line)) this.#events?.onTracksChanged();
        else if (WRONG_KEY.test(line)) this.#fail("a publisher with another stream key");
      },
    });
    for (const [i, rendition] of options.outputs.entries()) this.#read(rendition, i);
    void this.#process.ended.then(({ code, signal, lastLines }) => {
      const ending = signal ? `ended by ${signal}` : `ended with code ${code}`;
      const reason = this.#failure ?? lastLines.at(-1) ?? ending;
      this.#events?.onEnd(reason);
      this.#events = null;
    });
  }

  #read(rendition: string, output: number): void {
    // Events go through this object so that nothing is told after a stop.
    const reader = trackReader({
      onInit: (init, info) => this.#events?.onInit(rendition, init, info),
      onSample: (sample) => this.#events?.onSample(rendition, sample),
    });
    this.#process.outputs[output]?.on("data", (bytes: Buffer) => {
      if (this.#failure !== null || this.#events === null) return;
      try {
        reader.push(bytes);
      } catch (error) {
        this.#fail(`unreadable output: ${(error as Error).message}`);
      }
    });
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    this.#process.kill();
  }
  async stop(): Promise<void> {
    this.#events = null;
    await this.#process.stop();
  }
  async kill(): Promise<void> {
    this.#events = null;
    this.#process.kill();
    await this.#process.ended;
  }
}

/** Runs real ffmpegs. */
export const ffmpegIngest =
  (deps: { ffmpeg: Ffmpeg; pidFiles: PidFiles }): StartIngest =>
  (options, events) =>
    new FfmpegIngest(deps, options, events);

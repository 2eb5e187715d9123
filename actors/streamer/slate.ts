/**
 * What is shown while a source is lost: encoded once with the stream's own settings, kept for every stream that shares
 * them.
 */
import type { Sample } from "../../domain/mp4/fragment.ts";
import type { TrackInfo } from "../../domain/mp4/init.ts";
import { trackReader } from "../../domain/mp4/track-reader.ts";
import type { Ffmpeg } from "../../lib/ffmpeg/binary.ts";
import { type EncodeSettings, slateAudioArguments, slateVideoArguments } from "../../lib/ffmpeg/encode.ts";
import type { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { collectOutput } from "../../lib/ffmpeg/process.ts";
import type { Log } from "../../lib/log/log.ts";

export interface Slate {
  readonly init: Buffer;
  readonly info: TrackInfo;
  /** One GOP of video, or one frame of silence. */
  readonly samples: readonly Sample[];
}
export type MakeSlate = (settings: EncodeSettings, rendition: string) => Promise<Slate>;

export const AUDIO_RENDITION = "a0";
const DEADLINE_MS = 30_000;
const KEPT_MAX = 64; // a GOP of a board compresses to some 20 kB
const ENCODERS_MAX = 2; // many streams start at once when a node does
/** Past the encoder's priming, so that the frame is plain silence. */
const SILENT_FRAME = 20;

export class SlateMaker {
  readonly #deps: { readonly ffmpeg: Ffmpeg; readonly pidFiles: PidFiles; readonly log: Log };
  /** By arguments, the longest unused first. */
  readonly #kept = new Map<string, Promise<Slate>>();
  /** Each encoder waits for the one so many places before it. */
  readonly #queue: Promise<unknown>[] = [];

  constructor(deps: { ffmpeg: Ffmpeg; pidFiles: PidFiles; log: Log }) {
    this.#deps = deps;
  }

  readonly make: MakeSlate = (settings, rendition) => {
    const rung = settings.rungs.find(({ name }) => name === rendition);
    const args = rung ? slateVideoArguments(settings, rung) : slateAudioArguments(settings);
    const key = args.join(" ");
    const slate = this.#kept.get(key) ?? this.#inTurn(() => this.#encode(args, rung !== undefined));
    this.#kept.delete(key);
    this.#kept.set(key, slate);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX) break;
      this.#kept.delete(oldest);
    }
    slate.catch(() => this.#kept.delete(key)); // tried again by the next stream that wants it
    return slate;
  };

  #inTurn(encode: () => Promise<Slate>): Promise<Slate> {
    const before = this.#queue.length < ENCODERS_MAX ? Promise.resolve() : this.#queue.shift();
    const slate = (before ?? Promise.resolve()).then(encode);
    this.#queue.push(slate.catch(() => {}));
    return slate;
  }

  async #encode(args: readonly string[], isVideo: boolean): Promise<Slate> {
    const samples: Sample[] = [];
    const heads: Pick<Slate, "init" | "info">[] = [];
    const reader = trackReader({
      onInit: (init, info) => heads.push({ init, info }),
      onSample: (sample) => samples.push({ ...sample, data: Buffer.from(sample.data) }),
    });
    const onData = (bytes: Buffer): void => reader.push(bytes);
    await collectOutput({ ...this.#deps, args, outputCount: 1, deadlineMs: DEADLINE_MS, onData });
    const silent = samples.at(Math.min(SILENT_FRAME, samples.length - 1));
    const [head] = heads;
    if (!head || !silent) throw new Error("ffmpeg made an empty slate");
    return { ...head, samples: isVideo ? samples : [silent] };
  }
}

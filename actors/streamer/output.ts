/**
 * What a stream shows: its presentation, the slates that stand in for a lost source, and hashes of its init segments.
 */
import { createHash } from "node:crypto";
import { Presentation } from "../../domain/live/presentation.ts";
import type { Sample } from "../../domain/mp4/fragment.ts";
import type { TrackInfo } from "../../domain/mp4/init.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Plan } from "./plan.ts";
import { AUDIO_RENDITION, type MakeSlate, type Slate } from "./slate.ts";

/** The rendition whose key frames decide about time: the largest video. */
export const LEADING_RENDITION = "v0";

export interface OutputOptions {
  readonly plan: Plan;
  readonly ringBytesMax: number;
  readonly makeSlate: MakeSlate;
  readonly log: Log;
}

export class Output {
  readonly plan: Plan;
  readonly presentation: Presentation;
  readonly #log: Log;
  readonly #slates = new Map<string, Slate>();
  readonly #hashes = new Map<string, { readonly init: Buffer; readonly hash: string }>();
  #begun = false;

  constructor({ plan, ringBytesMax, makeSlate, log }: OutputOptions) {
    this.plan = plan;
    this.#log = log;
    this.presentation = new Presentation({ ...plan, ringBytesMax });
    for (const { name } of plan.renditions) {
      makeSlate(plan.settings, name)
        .then((slate) => this.#takeSlate(name, slate))
        .catch((error: unknown) =>
          log.warn({ err: error, rendition: name }, "no slate: a lost source will show a hole"),
        );
    }
  }

  /** Something of the source was taken in. */
  get begun(): boolean {
    return this.#begun;
  }
  /** The picture is the slate's at the moment. */
  get isSlate(): boolean {
    return this.presentation.rendition(LEADING_RENDITION)?.inSlate ?? false;
  }

  #takeSlate(name: string, slate: Slate): void {
    this.#slates.set(name, slate);
    const live = this.presentation.rendition(name)?.init;
    // A source without audio never brings an init segment for it: silence does.
    if (live === undefined && name === AUDIO_RENDITION) this.presentation.setInit(name, slate.init, slate.info);
    if (live === undefined || live.equals(slate.init)) this.presentation.setSlate(name, slate.samples);
    else this.#refuseSlate(name);
  }
  setInit(name: string, init: Buffer, info: TrackInfo): void {
    const slate = this.#slates.get(name);
    if (slate && !slate.init.equals(init)) this.#refuseSlate(name);
    this.presentation.setInit(name, init, info);
  }
  /** Another codec configuration would need a discontinuity: rather a hole. */
  #refuseSlate(name: string): void {
    this.#log.warn({ rendition: name }, "the slate's codec configuration differs from the picture's: not used");
    this.presentation.setSlate(name, []);
  }

  append(name: string, sample: Sample, nowMs: number): void {
    this.#begun = true;
    this.presentation.append(name, sample, nowMs);
  }
  tick(nowMs: number): void {
    if (this.#begun) this.presentation.tick(nowMs);
  }

  /** sha-256 by rendition: origins whose init segments differ can't be mixed. */
  get initHashes(): Record<string, string> {
    const hashes: Record<string, string> = {};
    for (const { name, init } of this.presentation.renditions) {
      if (!init) continue;
      const kept = this.#hashes.get(name);
      const hash = kept?.init === init ? kept.hash : createHash("sha256").update(init).digest("hex");
      this.#hashes.set(name, { init, hash });
      hashes[name] = hash;
    }
    return hashes;
  }
}

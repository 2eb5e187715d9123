/** The frames that stand in for a lost source, one after the other. */
import type { Sample } from "../mp4/fragment.ts";
import type { Units } from "./units.ts";

export class SlateReel {
  #samples: readonly Sample[] = [];
  #index = 0;

  /** One GOP of video, or one frame of silence that is repeated; encoded with the stream's own settings. */
  set(samples: readonly Sample[]): void {
    this.#samples = samples.map((sample) => ({ ...sample, compositionOffset: 0, data: Buffer.from(sample.data) }));
    this.#index = 0;
  }
  get isEmpty(): boolean {
    return this.#samples.length === 0;
  }
  /** The next frame is a key frame again. */
  rewind(): void {
    this.#index = 0;
  }

  /** The frame for a decode time: of video the first one on every key-frame slot, each up to the grid's next frame. */
  at(dts: number, units: Units): Sample | undefined {
    const sample = this.#samples[this.#indexAt(dts, units)];
    return (
      sample && { ...sample, dts, duration: units.kind === "video" ? this.#upToNext(dts, units) : sample.duration }
    );
  }

  /**
   * The frame for that decode time has been shown. A frame that is left out would be missed by those that refer to it.
   */
  advance(dts: number, units: Units): void {
    this.#index = this.#indexAt(dts, units) + 1;
  }

  #indexAt(dts: number, units: Units): number {
    if (units.kind === "video" && units.isOnGop(dts)) return 0;
    // A GOP has no more frames than the reel; were it so, it would begin again with the key frame.
    return this.#index % Math.max(1, this.#samples.length);
  }

  #upToNext(dts: number, units: Units): number {
    const duration = units.nextFrame(dts) - dts;
    return duration > units.frame / 2 ? duration : duration + Math.round(units.frame);
  }
}

/** SMIL files as sets (C-60): which files they name. */
import { LRUCache } from "lru-cache";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { Once } from "./once.ts";
import { readSmil, SMIL_BYTES_MAX } from "./smil.ts";

interface Known {
  readonly files: readonly string[];
  /** `system-bitrate` by path, where told. */
  readonly bitratesBps: ReadonlyMap<string, number>;
  readonly version: string;
  checkedAtMs: number;
}

export interface SmilOptions {
  readonly source: ContentSource;
  readonly clock: Clock;
  /** For so long a file counts as unchanged once it was looked at. */
  readonly recheckMs: number;
  /** `/i/`. */
  readonly prefix: string;
}

const KNOWN_MAX = 1_000;

export class SmilFiles {
  readonly #options: SmilOptions;
  readonly #known = new LRUCache<string, Known>({ max: KNOWN_MAX });
  readonly #once = new Once<Known>();

  constructor(options: SmilOptions) {
    this.#options = options;
  }

  /** Paths of the media that a SMIL file names, each once. MEDIA_DAMAGED where it can't be read. */
  async files(path: string): Promise<readonly string[]> {
    return (await this.read(path)).files;
  }

  /** The same, with the rates at which they were encoded. */
  async read(path: string): Promise<Pick<Known, "files" | "bitratesBps">> {
    const { clock, recheckMs } = this.#options;
    const known = this.#known.get(path);
    if (known && clock.nowMs() - known.checkedAtMs <= recheckMs) return known;
    return this.#once.take(path, {
      read: () => this.#read(path, known),
      keep: (read) => this.#known.set(path, read),
    });
  }

  /** What was purged is read again. */
  forget(): void {
    this.#once.forget();
    this.#known.clear();
  }

  async #read(path: string, known: Known | undefined): Promise<Known> {
    const { source, clock, prefix } = this.#options;
    const object = await source.open(path);
    try {
      const { sizeBytes, version } = object.stat;
      if (known?.version === version) return { ...known, checkedAtMs: clock.nowMs() };
      if (sizeBytes > SMIL_BYTES_MAX) fail("MEDIA_UNSUPPORTED", { path, reason: "a SMIL file of that size" });
      const bytes = Buffer.alloc(sizeBytes);
      await object.readRange(0, bytes);
      const { media } = readSmil(path, bytes, { prefix });
      const bitratesBps = new Map(
        media.flatMap((one) => (one.bitrateBps === null ? [] : [[one.path, one.bitrateBps]])),
      );
      return { files: media.map((one) => one.path), bitratesBps, version, checkedAtMs: clock.nowMs() };
    } finally {
      await object.close();
    }
  }
}

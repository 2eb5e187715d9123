/** SMIL files as sets (C-60): which files they name. */
import { posix } from "node:path";
import { LRUCache } from "lru-cache";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { isSourcePath } from "../../lib/source/paths.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { parseSmil, SMIL_BYTES_MAX } from "./smil.ts";

interface Known {
  readonly files: readonly string[];
  readonly version: string;
  checkedAtMs: number;
}

export interface SmilOptions {
  readonly source: ContentSource;
  readonly clock: Clock;
  readonly recheckMs: number;
}

const KNOWN_MAX = 1_000;

/** Where a `src` leads, counted from the folder of its SMIL file. */
const sourcePath = (smil: string, src: string): string => {
  const path = posix.normalize(src.startsWith("/") ? src.slice(1) : posix.join(posix.dirname(smil), src));
  return isSourcePath(path)
    ? path
    : fail("MEDIA_UNSUPPORTED", { path: smil, reason: "it names a file outside of the source" });
};

export class SmilFiles {
  readonly #options: SmilOptions;
  readonly #known = new LRUCache<string, Known>({ max: KNOWN_MAX });

  constructor(options: SmilOptions) {
    this.#options = options;
  }

  /** Paths of the files that a SMIL file names, each once. */
  async files(path: string): Promise<readonly string[]> {
    const { source, clock, recheckMs } = this.#options;
    const known = this.#known.get(path);
    if (known && clock.nowMs() - known.checkedAtMs <= recheckMs) return known.files;
    const object = await source.open(path);
    try {
      const { sizeBytes, version } = object.stat;
      if (known?.version === version) {
        known.checkedAtMs = clock.nowMs();
        return known.files;
      }
      if (sizeBytes > SMIL_BYTES_MAX) fail("MEDIA_UNSUPPORTED", { path, reason: "a SMIL file of that size" });
      const bytes = Buffer.alloc(sizeBytes);
      await object.readRange(0, bytes);
      const media = parseSmil(bytes.toString("utf8"));
      const files = [...new Set(media.map(({ src }) => sourcePath(path, src)))];
      this.#known.set(path, { files, version, checkedAtMs: clock.nowMs() });
      return files;
    } finally {
      await object.close();
    }
  }

  forget(): void {
    this.#known.clear();
  }
}

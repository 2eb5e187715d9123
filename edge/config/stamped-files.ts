/** Files that a configuration was made from, and whether one of them is another by now. */
import { type BigIntStats, readFileSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";

/** Changes whenever the file does: replaced, written to, there or not there. */
const stampOf = (found: BigIntStats | undefined): string =>
  found ? `${found.ino} ${found.mtimeNs} ${found.ctimeNs} ${found.size}` : "not there";

export class StampedFiles {
  /** From before they were read: a change meanwhile is seen the next time. */
  readonly #stamps = new Map<string, string>();

  /** The file's text; throws where it can't be read, and is remembered then too. */
  readonly readText = (path: string): string => {
    const file = resolve(path);
    this.#stamps.set(file, stampOf(statSync(file, { bigint: true, throwIfNoEntry: false })));
    return readFileSync(file, "utf8");
  };

  async haveChanged(): Promise<boolean> {
    for (const [file, stamp] of this.#stamps) {
      if (stampOf(await stat(file, { bigint: true }).catch(() => undefined)) !== stamp) return true;
    }
    return false;
  }
}

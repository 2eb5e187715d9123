/** The folder of stored files on this machine: said at the start when it can't be read, and looked at by /readyz. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { PACKAGER_VARIABLES } from "../../lib/config/packager-variables.ts";
import type { Log } from "../../lib/log/log.ts";
import { waitFor } from "./input-keeper.ts";

const LOOK_MS = 2000; // a server's folder may hang

const { env, fallback } = PACKAGER_VARIABLES.videoParentPath;

const look = async (folder: string): Promise<string | null> => {
  try {
    if (!(await stat(folder)).isDirectory()) return "it is no folder";
    await access(folder, constants.R_OK | constants.X_OK);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
};

export class VideoFolder {
  readonly #folder: string;
  #looking: Promise<string | null> | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Why it can't be read; null: it can. */
  async fault(): Promise<string | null> {
    this.#looking ??= look(this.#folder).finally(() => {
      this.#looking = null;
    });
    const late = (): never => {
      throw new Error("it does not answer");
    };
    return waitFor(this.#looking, { waitMs: LOOK_MS, late }).catch((error: Error) => error.message);
  }

  /** Who runs all roles may have no stored files at all. */
  async complain(log: Log, { isAlone }: { readonly isAlone: boolean }): Promise<void> {
    const reason = await this.fault();
    if (reason === null) return;
    const unused = this.#folder === fallback ? "debug" : "info";
    const text = `the video folder ${this.#folder} can't be read (${reason}): no file can be played; ${env} names another`;
    log[isAlone ? "warn" : unused]({ folder: this.#folder, reason }, text);
  }
}

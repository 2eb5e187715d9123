/** What the contract suite needs to know of one kind of source and of the server behind it. */
import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import type { TcpGate } from "../../test/support/tcp-gate.ts";
import type { SourceCapabilities } from "./port.ts";
import type { SourceSettings } from "./settings.ts";

/** One empty source of a running server. */
export interface Place {
  readonly settings: SourceSettings;
  /** The same with credentials that the server refuses. */
  readonly wrong: SourceSettings | null;
  /** In front of the server; null where there is none. */
  readonly gate: TcpGate | null;
  /** Puts a file in the place of whatever was there, at once. Folders above it are made. */
  put(path: string, bytes: Uint8Array): Promise<void>;
  /** Cuts a file off where it is; what has no such thing puts the shorter one in its place. */
  truncate(path: string, bytes: Uint8Array): Promise<void>;
  makeFolder(path: string): Promise<void>;
  remove(path: string): Promise<void>;
}

export interface Subject {
  readonly capabilities: SourceCapabilities;
  readonly place: (t: TestContext) => Promise<Place>;
  /** Statements, by their sentences, that can't be shown on this server, and why. */
  readonly lacks?: Readonly<Record<string, string>>;
  /** Why this machine can't run it at all. */
  readonly skip?: string | false;
}

let secondsUsed = 0;

/**
 * The files of a place that a server reads from a folder of this machine. Each write has a second of its own as its
 * time.
 */
export const folderFiles = (root: string): Pick<Place, "put" | "truncate" | "makeFolder" | "remove"> => {
  const BEGAN_SECONDS = 1_700_000_000;
  const nextTime = (): number => {
    secondsUsed += 1;
    return BEGAN_SECONDS + secondsUsed;
  };
  const stamp = async (file: string): Promise<void> => {
    const time = nextTime();
    await utimes(file, time, time);
  };
  return {
    async put(path, bytes) {
      const file = join(root, path);
      await mkdir(dirname(file), { recursive: true });
      const fresh = `${root}-${randomBytes(6).toString("hex")}`; // beside the root, so that no listing shows it
      await writeFile(fresh, bytes);
      await stamp(fresh);
      await rename(fresh, file);
    },
    async truncate(path, bytes) {
      await truncate(join(root, path), bytes.length);
      await stamp(join(root, path));
    },
    async makeFolder(path) {
      await mkdir(join(root, path), { recursive: true });
    },
    async remove(path) {
      await rm(join(root, path));
    },
  };
};

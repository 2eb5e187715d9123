/** Purges (C-74): which files an operator means, and letting go of all that is kept of them. */
import type { z } from "zod";
import { codeOf, fail } from "../../contracts/errors.ts";
import type { Purged, PurgeTargets } from "../../contracts/packager.ts";
import { isRefusal } from "../../domain/csmil/path.ts";
import { type PathOptions, parsePackagerPath } from "../../domain/csmil/request.ts";
import { decodedOnce, globMatches } from "../../domain/token/token.ts";
import type { Removed } from "./cache-entry.ts";
import type { CacheHead } from "./cache-file.ts";

export type Targets = z.output<typeof PurgeTargets>;
/** Whether a file of the source is meant. */
export type IsMeant = (path: string) => boolean;

export interface TargetOptions extends PathOptions {
  /** The files that a SMIL file names now. */
  readonly filesOfSmil: (path: string) => Promise<readonly string[]>;
}

/** Where everything that is kept of files lies. */
export interface Kept {
  readonly library: { forget(isMeant: IsMeant): number };
  /** Lists and playlists that are made again in no time, and so all go. */
  readonly derived: readonly { forget(): void }[];
  readonly input: { forget(isMeant: IsMeant): void; readonly store: Store } | null;
  readonly segments: Store | null;
}
interface Store {
  purge(isMeant: (head: CacheHead) => boolean): Removed;
}

const ANY_LEAF = "/master.m3u8";

/** The path of an address with its prefix, not decoded: hosts, queries and fragments are no part of it. */
const pathOf = (url: string, prefix: string): string => {
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "").replace(/[?#].*$/s, "");
  return path.startsWith(prefix) ? path : `${prefix}${path.replace(/^\/+/, "")}`;
};

/** Files that one address without `*` means. */
const filesOf = async (url: string, options: TargetOptions): Promise<readonly string[]> => {
  const path = pathOf(url, options.prefix);
  // A manifest's address; else a file's or a set's own, which has no leaf.
  const read = parsePackagerPath(path, options);
  const parsed = isRefusal(read) && read.refusal === "NOT_FOUND" ? parsePackagerPath(path + ANY_LEAF, options) : read;
  if (isRefusal(parsed)) return fail("PATH_REFUSED", { reason: parsed.reason });
  const { set } = parsed;
  if (set.kind !== "smil") return set.files;
  try {
    return [set.path, ...(await options.filesOfSmil(set.path))];
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return [set.path]; // gone or damaged: what it named can't be told any more
  }
};

/** Throws PATH_REFUSED for an address that no file can have. */
export const meantBy = async ({ urls = [], all }: Targets, options: TargetOptions): Promise<IsMeant> => {
  if (all === true) return () => true;
  const files = new Set<string>();
  const patterns: string[] = [];
  for (const url of urls) {
    if (url.includes("*")) patterns.push(decodedOnce(pathOf(url, options.prefix).slice(options.prefix.length)));
    else for (const file of await filesOf(url, options)) files.add(file);
  }
  return (path) => files.has(path) || patterns.some((pattern) => globMatches(pattern, path));
};

/** Lets go of what is kept of these files. What is being sent is sent to its end. */
export const forgetFiles = (isMeant: IsMeant, { library, derived, input, segments }: Kept): z.output<typeof Purged> => {
  const byHead = ({ path }: CacheHead): boolean => isMeant(path);
  // The files first: an index that is read meanwhile must not be of a copy that is to go.
  input?.forget(isMeant);
  const inputs = input?.store.purge(byHead) ?? { entryCount: 0, bytes: 0 };
  const made = segments?.purge(byHead) ?? { entryCount: 0, bytes: 0 };
  const indexCount = library.forget(isMeant);
  for (const one of derived) one.forget();
  return {
    indexCount,
    inputCount: inputs.entryCount,
    segmentCount: made.entryCount,
    sizeBytes: inputs.bytes + made.bytes,
  };
};

/** Keys of a bucket that is a folder, in the order of S3: the names of one folder per level are in memory at a time. */
import type { BigIntStats } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { childPath, inListOrder } from "../source/paths.ts";
import { errnoOf } from "./faults.ts";
import { isKey } from "./keys.ts";

const ENTRIES_MAX = 500_000; // of one folder: names of 40 bytes are 100 MB

interface Listed {
  readonly key: string;
  readonly stat: BigIntStats;
}

interface Which {
  readonly prefix: string;
  readonly after: string;
}

interface Name {
  readonly path: string;
  readonly kind: "file" | "folder";
}

const isAfter = (key: string, after: string): boolean =>
  after === "" || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0;

/** Whether a folder may have keys that are asked for; `path` ends in `/`. */
const mayHave = (path: string, { prefix, after }: Which): boolean =>
  (path.startsWith(prefix) || prefix.startsWith(path)) && (isAfter(path, after) || after.startsWith(path));

const namesOf = async (bucket: string, folder: string, which: Which): Promise<Name[]> => {
  const names: Name[] = [];
  try {
    for await (const entry of await opendir(join(bucket, folder))) {
      const path = childPath(folder, entry.name);
      if (!isKey(path)) continue;
      if (entry.isDirectory() && mayHave(`${path}/`, which)) names.push({ path, kind: "folder" });
      if (entry.isFile() && path.startsWith(which.prefix) && isAfter(path, which.after)) {
        names.push({ path, kind: "file" });
      }
      if (names.length > ENTRIES_MAX) throw new Error(`bug: a folder has more than ${ENTRIES_MAX} objects`);
    }
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error))) throw error; // deleted meanwhile, with all its keys
  }
  return inListOrder(names);
};

export async function* listFolder(bucket: string, which: Which, folder = ""): AsyncGenerator<Listed> {
  for (const { path, kind } of await namesOf(bucket, folder, which)) {
    if (kind === "folder") {
      yield* listFolder(bucket, which, path);
      continue;
    }
    const stat = await lstat(join(bucket, path), { bigint: true }).catch(() => null);
    if (stat?.isFile()) yield { key: path, stat };
  }
}

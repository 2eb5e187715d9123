/** Under which account PostgreSQL runs: it refuses to be root. */
import { readFileSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Undefined: our own account will do. As root: the owner of an existing data folder, else `postgres`, else `nobody`
 * (initdb wants an account that stands in /etc/passwd).
 */
export function serverAccount(dataDir: string): Account | undefined {
  const owner = statOf(dataDir);
  const own = process.getuid?.();
  if (own !== 0) {
    if (owner && own !== undefined && owner.uid !== own) {
      throw new Error(
        `The folder ${dataDir} belongs to user ${owner.uid}: start as that user or root, or set another DATA_DIR.`,
      );
    }
    return undefined;
  }
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const entries = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const entry = entries.find(([name]) => name === "postgres") ?? entries.find(([name]) => name === "nobody");
  if (!entry) {
    throw new Error(
      "PostgreSQL refuses to run as root, and there is no user postgres or nobody: start as another user.",
    );
  }
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** Whether `account` gets through to `path`: it may pass every folder above, and read it. */
export function isReachable(path: string, account: Account | undefined): boolean {
  if (!account) return true;
  const READ = 4;
  const PASS = 1;
  const file = statOf(path);
  if (!file || !allows(file, account, READ | (file.isDirectory() ? PASS : 0))) return false;
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    const folder = statOf(dir);
    if (!folder || !allows(folder, account, PASS)) return false;
    if (dir === dirname(dir)) return true;
  }
}

function allows(stats: Stats, account: Account, bits: number): boolean {
  let shift = 0;
  if (stats.uid === account.uid) shift = 6;
  else if (stats.gid === account.gid) shift = 3;
  return ((stats.mode >> shift) & bits) === bits;
}

const statOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false });

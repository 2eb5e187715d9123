/**
 * One process per DATA_DIR: two would share a node id, a streamer's state file, and the notes by which a start kills
 * the ffmpegs that its predecessor left.
 *
 * `run/owner.<n>` is a link whose text names a process; the highest number is the owner's, for as long as that process
 * lives. Who finds it dead makes the next number: of several that try, one can. Nothing has to be taken back, so a
 * kill -9 leaves nothing in the way. Process ids mean something on one machine, and in one container, only: a folder
 * that several of those share is not watched over.
 */
import { readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beganAt, isAlive } from "../postgres/processes.ts";
import { ConfigError } from "./config.ts";
import { ensureDir } from "./ensure-dir.ts";

const NAME = /^owner\.([1-9]\d{0,14})$/;
/** Others that start at the same moment may be faster, each of them once. */
const TRIES_MAX = 100;

const numbersIn = (dir: string): number[] =>
  readdirSync(dir)
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((left, right) => right - left);

/** The process that a link names, if it lives: its id alone may be another's by now. */
const livingOwner = (link: string): number | undefined => {
  const [, pid, began] = /^(\d+) (.+)$/.exec(linkText(link) ?? "") ?? [];
  return pid !== undefined && isAlive(Number(pid)) && beganAt(Number(pid)) === began ? Number(pid) : undefined;
};

const linkText = (link: string): string | undefined => {
  try {
    return readlinkSync(link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // a newer owner cleaned up
    throw error;
  }
};

/** False when somebody else has made this number. */
const made = (link: string): boolean => {
  try {
    symlinkSync(`${process.pid} ${beganAt(process.pid)}`, link);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
};

const claim = (dataDir: string): void => {
  const dir = join(dataDir, "run");
  ensureDir(dir);
  const at = (number: number): string => join(dir, `owner.${number}`);
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const [last = 0] = numbersIn(dir);
    const owner = last === 0 ? undefined : livingOwner(at(last));
    if (owner !== undefined) {
      const line = `${dataDir} is in use by another Castellan (process ${owner}); each process needs one of its own.`;
      throw new ConfigError("DATA_DIR", line);
    }
    const mine = last + 1;
    if (!made(at(mine))) continue;
    const numbers = numbersIn(dir);
    // Our look at the folder was an old one: a later number is there, and its owner has removed what came before.
    if (numbers[0] !== mine) {
      rmSync(at(mine), { force: true });
      continue;
    }
    for (const old of numbers.slice(1)) rmSync(at(old), { force: true });
    return;
  }
  throw new ConfigError("DATA_DIR", `${dataDir} is being taken by too many processes at once.`);
};

/** Makes this process the one of DATA_DIR until it ends. Throws a ConfigError while another one is that. */
export const claimDataDir = (dataDir: string): void => {
  try {
    claim(dataDir);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError("DATA_DIR", `can't be used: ${(error as Error).message}.`);
  }
};

/** Paths in a source, and the order of a listing: the same rules for every kind of source. */
import { fail } from "../../contracts/errors.ts";
import type { SourceEntry } from "./port.ts";

const PATH_BYTES_MAX = 1024; // the longest key of S3; Linux takes 4096
const PART_BYTES_MAX = 255; // NAME_MAX of Linux' file systems

// C0, DEL and C1: they would be commands' ends in FTP, and can't be written in the XML of S3.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

const trouble = (path: string): string | undefined => {
  if (!path.isWellFormed()) return "it is not well-formed Unicode";
  if (CONTROL.test(path)) return "it has a control character";
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return `it is longer than ${PATH_BYTES_MAX} bytes`;
  const parts = path.split("/");
  if (parts.includes("")) return "a part of it is empty";
  if (parts.includes(".") || parts.includes("..")) return "it has a relative part";
  const isLong = parts.some((part) => Buffer.byteLength(part) > PART_BYTES_MAX);
  return isLong ? `a part of it is longer than ${PART_BYTES_MAX} bytes` : undefined;
};

/** The path of an object, as it came; PATH_REFUSED when it is not one that every kind of source understands alike. */
export const checkedSourcePath = (path: string): string => {
  const reason = trouble(path);
  return reason === undefined ? path : fail("PATH_REFUSED", { path, reason });
};

/** As `checkedSourcePath`, for a folder: the empty path is the source's root. */
export const checkedFolderPath = (path: string): string => (path === "" ? path : checkedSourcePath(path));

/** Whether a name that a listing gave can be asked for. */
export const isSourcePath = (path: string): boolean => trouble(path) === undefined;

/** The path of an entry of a folder. */
export const childPath = (folder: string, name: string): string => (folder === "" ? name : `${folder}/${name}`);

/** A folder's path below the root of a source, which may be empty or end in `/`. */
export const belowRoot = (root: string, path: string): string => {
  const base = root.replace(/\/+$/, "");
  if (path === "") return base === "" && root !== "" ? "/" : base;
  return base === "" && root === "" ? path : `${base}/${path}`;
};

const orderText = ({ path, kind }: Pick<SourceEntry, "path" | "kind">): Buffer =>
  Buffer.from(kind === "folder" ? `${path}/` : path);

/** Entries of one folder in the order of a listing: by their UTF-8 bytes, a folder as if its name ended in `/`. */
export const inListOrder = <E extends Pick<SourceEntry, "path" | "kind">>(entries: readonly E[]): E[] =>
  entries
    .map((entry) => ({ entry, text: orderText(entry) }))
    .sort((one, other) => Buffer.compare(one.text, other.text))
    .map(({ entry }) => entry);

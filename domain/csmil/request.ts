/**
 * What a path of the packager asks for (C-01…C-15, C-60): a file, a csmil set or a SMIL file, and one leaf below it.
 * Whether anything is there is for others to find out.
 */
import { type Leaf, leafOf } from "./leaf.ts";
import {
  decodedParts,
  isRefusal,
  notFound,
  type PathRefusal,
  partsProblem,
  refused,
  sourcePathProblem,
} from "./path.ts";

/** How paths are read: what is configured. */
export interface PathOptions {
  /** Begins and ends with a slash: `/i/`. */
  readonly prefix: string;
  /** Name of the first media playlist below a file: `index_0_av.m3u8`. */
  readonly childManifestFilename: string;
  /** `strip` takes characters out of names as the seed does, whereby two names may become one (A30). */
  readonly sanitize: "refuse" | "strip";
}

/** What is packaged. Paths are decoded and relative to the source's root. */
export interface MediaSet {
  readonly kind: "file" | "csmil" | "smil";
  /** As in the URL, without the leaf: the folder that everything of the set is below. */
  readonly path: string;
  /** `file`: itself; `csmil`: in the URL's order, none twice; `smil`: none, they are in it. */
  readonly files: readonly string[];
  /** The same for the same files in any order (C-06). */
  readonly key: string;
  /** The media identifier of subtitle names: `video` for `video_,100k,200k,.mp4.csmil` (C-68). */
  readonly identifier: string;
}

/** A path that was read. */
export interface PackagerRequest {
  readonly set: MediaSet;
  readonly leaf: Leaf;
}

const BITRATES_MAX = 100;
const CSMIL = ".csmil";
const SMIL = /.\.s?smil$/;

// CasterPak, casterpak/routes.py: filenameRE and dirnameRE, whose slash is kept because parts are stripped one by one.
const stripped = (part: string): string => part.replace(/[^.a-zA-Z\p{Nd}_-]/gu, "");

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const withoutExtension = (name: string): string => name.replace(/(?<=.)\.[^.]*$/, "");

/** Where the last letter or digit of a name ends. */
const wordEnd = (name: string): number => {
  let end = name.length;
  while (end > 0 && !/[\p{L}\p{N}\p{M}\p{Cs}]/u.test(name.charAt(end - 1))) end -= 1;
  return end;
};

interface CsmilNames {
  readonly prefix: string;
  readonly tokens: readonly string[];
  readonly suffix: string;
}

/**
 * `<prefix>,<b1>,…,<suffix>`. Commas are looked for in the last part alone when it has two or more, so that folders may
 * have commas; otherwise in the whole path, because MSOD's bitrates may have folders in them.
 */
const csmilNames = (path: string): CsmilNames => {
  const text = path.slice(0, -CSMIL.length);
  const folder = text.slice(0, text.lastIndexOf("/") + 1);
  const own = text.slice(folder.length).split(",");
  const [prefix = "", ...rest] = own.length > 2 ? [folder + own[0], ...own.slice(1)] : text.split(",");
  const suffix = rest.pop() ?? "";
  return { prefix, tokens: rest, suffix };
};

const csmilFiles = ({ prefix, tokens, suffix }: CsmilNames): string[] | PathRefusal => {
  const told = tokens.filter((token) => token !== "");
  // `movie.mp4,,.csmil` occurs: a set of one, whose name is in the prefix.
  const bitrates = told.length === 0 && tokens.length > 0 && prefix + suffix !== "" ? [""] : told;
  if (bitrates.length === 0) return refused("a csmil path names at least one bitrate between two commas");
  if (bitrates.length > BITRATES_MAX) return refused(`a csmil path names more than ${BITRATES_MAX} bitrates`);
  const files = [...new Set(bitrates.map((bitrate) => prefix + bitrate + suffix))];
  for (const file of files) {
    const problem = sourcePathProblem(file); // parts that are harmless by themselves may join to `..`
    if (problem !== null) return refused(problem);
  }
  return files;
};

const csmilSet = (path: string): MediaSet | PathRefusal => {
  const names = csmilNames(path);
  const files = csmilFiles(names);
  if (isRefusal(files)) return files;
  const own = baseName(names.prefix);
  const common = own.slice(0, wordEnd(own));
  const identifier = common || withoutExtension(baseName([...files].sort()[0] ?? ""));
  // No name holds a line feed: the key can't be read in two ways.
  return { kind: "csmil", path, files, key: `csmil\n${[...files].sort().join("\n")}`, identifier };
};

const setOf = (path: string): MediaSet | PathRefusal => {
  if (path.endsWith(CSMIL)) return csmilSet(path);
  const problem = sourcePathProblem(path);
  if (problem !== null) return refused(problem);
  const kind = SMIL.test(path) ? "smil" : "file";
  const identifier = withoutExtension(baseName(path));
  return { kind, path, files: kind === "file" ? [path] : [], key: `${kind}\n${path}`, identifier };
};

/** In `strip` mode: each part as the seed leaves it; commas of a csmil path are no part of its names. */
const sanitized = (parts: readonly string[]): readonly string[] | PathRefusal => {
  const csmil = parts.at(-1)?.endsWith(CSMIL) ?? false;
  const clean = parts.map((part) => (csmil ? part.split(",").map(stripped).join(",") : stripped(part)));
  const problem = partsProblem(clean);
  return problem === null ? clean : refused(problem);
};

/**
 * Reads the path of a request target as sent (no query). A path that is none of ours is NOT_FOUND, also one that names
 * a file itself (C-13); one that no name may have is PATH_REFUSED.
 */
export const parsePackagerPath = (path: string, options: PathOptions): PackagerRequest | PathRefusal => {
  if (!path.startsWith(options.prefix)) return notFound("another prefix");
  const parts = decodedParts(path.slice(options.prefix.length));
  if (isRefusal(parts)) return parts;
  const leaf = leafOf(parts.at(-1) ?? "", options.childManifestFilename);
  if (leaf === null) return notFound("no playlist, manifest or segment has this name");
  const folders = parts.slice(0, -1);
  if (folders.length === 0) return notFound("no file is named");
  const names = options.sanitize === "strip" ? sanitized(folders) : folders;
  if (isRefusal(names)) return names;
  const set = setOf(names.join("/"));
  return isRefusal(set) ? set : { set, leaf };
};

/** Where the subtitle files of a set are (C-68): one for each language, named after the media or as the query says. */
import { sourcePathProblem } from "./path.ts";
import type { SubtitlePattern, SubtitleQuery } from "./query.ts";
import type { MediaSet } from "./request.ts";

/** Languages of a set, as many as MSOD takes. */
export const SUBTITLE_LANGUAGES_MAX = 15;

/** `video_en.vtt`: what names are like unless configured or asked for otherwise. */
const DEFAULT_SUBTITLE_PATTERN: SubtitlePattern = { languageFirst: false, delimiter: "_", extension: null };
/** Tried in this order where the pattern has no extension. */
const SUBTITLE_EXTENSIONS: readonly string[] = ["vtt", "dfxp", "srt", "ttml"];

const BCP47 = /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}$/;

/** Where the files of a set's subtitles are, and what their names are like. */
export interface SubtitlePlace {
  /** In the source, without a slash at its end; empty: its root. */
  readonly folder: string;
  readonly identifier: string;
  readonly pattern: SubtitlePattern;
}

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** Where to look, by the query and else by the media: beside them, under their identifier. */
export const subtitlePlace = (
  set: MediaSet,
  query: SubtitleQuery,
  configured: SubtitlePattern = DEFAULT_SUBTITLE_PATTERN,
): SubtitlePlace => {
  const own = folderOf(set.files[0] ?? set.path);
  const { location } = query;
  const below = own === "" ? (location ?? "") : `${own}/${location}`;
  const relative = location === null ? own : below;
  return {
    folder: location?.startsWith("/") ? location.slice(1) : relative,
    identifier: query.identifier ?? set.identifier,
    pattern: query.pattern ?? configured,
  };
};

const joined = (folder: string, name: string): string => (folder === "" ? name : `${folder}/${name}`);

/** The paths at which a language's file may be, the likeliest first. */
export const subtitlePaths = ({ folder, identifier, pattern }: SubtitlePlace, language: string): readonly string[] => {
  const [first, last] = pattern.languageFirst ? [language, identifier] : [identifier, language];
  const extensions = pattern.extension === null ? SUBTITLE_EXTENSIONS : [pattern.extension];
  return extensions
    .map((extension) => joined(folder, `${first}${pattern.delimiter}${last}.${extension}`))
    .filter((path) => sourcePathProblem(path) === null);
};

/** The language of a file that is in the place's folder, by its name; null: it is no subtitle of this set. */
export const subtitleLanguage = ({ identifier, pattern }: SubtitlePlace, name: string): string | null => {
  const dot = name.lastIndexOf(".");
  const extension = name.slice(dot + 1);
  const extensions = pattern.extension === null ? SUBTITLE_EXTENSIONS : [pattern.extension];
  if (dot === -1 || !extensions.includes(extension)) return null;
  const stem = name.slice(0, dot);
  const fixed = pattern.languageFirst ? pattern.delimiter + identifier : identifier + pattern.delimiter;
  if (!(pattern.languageFirst ? stem.endsWith(fixed) : stem.startsWith(fixed))) return null;
  const language = pattern.languageFirst ? stem.slice(0, -fixed.length) : stem.slice(fixed.length);
  return BCP47.test(language) ? language : null;
};

/** A language as names have it, where what stands beside it may be anything: `trailer` is no language. */
const OWN_LANGUAGE = "[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,8}";
const BETWEEN = "[^\\p{L}\\p{N}\\p{M}]+";
const LANGUAGE_LAST = new RegExp(`^${BETWEEN}${OWN_LANGUAGE}$`, "u");
const LANGUAGE_FIRST = new RegExp(`^${OWN_LANGUAGE}${BETWEEN}$`, "u");

/**
 * Whether a file is a subtitle of this set by its place and its name alone, whatever a query says: beside the media,
 * and named by their identifier and a language.
 */
export const isOwnSubtitle = (set: MediaSet, path: string): boolean => {
  const { identifier } = set;
  const folder = folderOf(path);
  if (identifier === "" || folder !== folderOf(set.files[0] ?? set.path)) return false;
  const stem = path.slice(folder === "" ? 0 : folder.length + 1).replace(/\.[^.]*$/, "");
  return (
    (stem.startsWith(identifier) && LANGUAGE_LAST.test(stem.slice(identifier.length))) ||
    (stem.endsWith(identifier) && LANGUAGE_FIRST.test(stem.slice(0, -identifier.length)))
  );
};

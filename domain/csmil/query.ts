/** Query strings of MSOD (C-61…C-68), read and checked. Parameters of others (tokens, `v`) are not looked at. */
import type { TimeSpan } from "../vod/selection.ts";
import { partsProblem } from "./path.ts";

/** Why a query is not answered; the code is one of the error catalogue. */
export interface QueryRefusal {
  readonly refusal: "QUERY_REFUSED";
  readonly reason: string;
}

/** `b`: values and ranges in kbit/s, both ends inclusive. */
export interface RateFilter {
  readonly values: readonly number[];
  /** `highKbps` is Infinity for `300-`. */
  readonly ranges: readonly { readonly lowKbps: number; readonly highKbps: number }[];
}

/** `subtitle_file_pattern`: how names of subtitle files are made. */
export interface SubtitlePattern {
  readonly languageFirst: boolean;
  readonly delimiter: string;
  /** Without its dot; null: the default ones. */
  readonly extension: string | null;
}
/** The `subtitle_…` parameters (C-68); null: not given. */
export interface SubtitleQuery {
  readonly pattern: SubtitlePattern | null;
  readonly identifier: string | null;
  /** Folder in the source, without a slash at its end; with one at its beginning it is counted from the root. */
  readonly location: string | null;
}

/** All that a query may ask for, with what holds where it does not. */
export interface MasterQuery {
  readonly rates: RateFilter | null;
  /** `__b__`, kbit/s. */
  readonly preferredKbps: number | null;
  /** `__a__`; null: as configured. */
  readonly audioOnly: boolean | null;
  /** `bwcorrection`, percent: of the first, second, … variant in ascending order; the last one is for the rest too. */
  readonly corrections: readonly number[];
  /** `start` and `end`. */
  readonly span: TimeSpan | null;
  /** False for `attributes=off`. */
  readonly attributes: boolean;
  /** `set-akamai-hls-revision`: 0 below 4, 5 above 5. */
  readonly revision: 0 | 4 | 5;
  readonly subtitles: SubtitleQuery;
}

const ITEMS_MAX = 100;
const PERCENT_MAX = 100;

/** Within this file: a value that can't be read ends the reading. Never seen outside. */
class Unreadable extends Error {}
const refuse = (reason: string): never => {
  throw new Unreadable(reason);
};

const rangeOf = (item: string): { readonly lowKbps: number; readonly highKbps: number } => {
  const [, low, high] = /^(\d{1,9})-(\d{0,9})$/.exec(item) ?? refuse(`b has "${item}" in it`);
  const highKbps = high === "" ? Number.POSITIVE_INFINITY : Number(high);
  if (Number(low) > highKbps) refuse(`b has the empty range "${item}" in it`);
  return { lowKbps: Number(low), highKbps };
};
const ratesOf = (text: string): RateFilter => {
  const items = text.split(",");
  if (items.length > ITEMS_MAX) refuse(`b has more than ${ITEMS_MAX} items`);
  const isValue = (item: string): boolean => /^\d{1,9}$/.test(item);
  return {
    values: items.filter(isValue).map(Number),
    ranges: items.filter((item) => !isValue(item)).map(rangeOf),
  };
};

/** `5 10-10`: a sign separates as a space does, and a `+` is a space in a query string. */
const correctionsOf = (text: string): readonly number[] => {
  const items = text.split(/ +|(?=[+-])/).filter((item) => item !== "");
  if (items.length === 0 || items.length > ITEMS_MAX) refuse("bwcorrection has no values, or too many");
  return items.map((item) => {
    if (!/^[+-]?\d{1,3}$/.test(item)) refuse(`bwcorrection has "${item}" in it`);
    return Math.abs(Number(item)) <= PERCENT_MAX ? Number(item) : refuse(`bwcorrection goes from -100 to 100`);
  });
};

const switchOf = (name: string, text: string): boolean =>
  text === "on" || (text !== "off" && refuse(`${name} is neither "on" nor "off"`));
const secondsOf = (name: string, text: string): number =>
  /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : refuse(`${name} is no number of seconds`);

const spanOf = (start: string | null, end: string | null): TimeSpan | null => {
  if (start === null) return end === null ? null : refuse("end needs start");
  const span = { startSeconds: secondsOf("start", start), endSeconds: end === null ? null : secondsOf("end", end) };
  if (span.endSeconds !== null && span.endSeconds <= span.startSeconds) refuse("end is not after start");
  return span;
};

const revisionOf = (text: string): 0 | 4 | 5 => {
  if (!/^\d{1,2}$/.test(text)) refuse("set-akamai-hls-revision is no number");
  if (Number(text) < 4) return 0;
  return Number(text) === 4 ? 4 : 5;
};

const patternOf = (text: string): SubtitlePattern => {
  const shape = /^(langcode|identifier)(.{1,16}?)(langcode|identifier)(?:\.([A-Za-z0-9]{1,8}))?$/.exec(text);
  const [, first, delimiter = "", second, extension = null] = shape ?? [];
  if (shape === null || first === second || partsProblem([`x${delimiter}`]) !== null || delimiter.includes("/")) {
    return refuse("subtitle_file_pattern is neither langcode_identifier nor identifier_langcode, with any delimiter");
  }
  return { languageFirst: first === "langcode", delimiter, extension };
};
const identifierOf = (text: string): string =>
  text.includes("/") || partsProblem([text]) !== null ? refuse("subtitle_identifier is no name") : text;
const locationOf = (text: string): string => {
  const folder = text.replace(/(?<=.)\/$/, "");
  if (folder === "/") return folder;
  const problem = partsProblem(folder.replace(/^\//, "").split("/"));
  return problem === null ? folder : refuse(`subtitle_location has a path in which ${problem}`);
};

const read = (parameters: URLSearchParams): MasterQuery => {
  const of = <T>(name: string, parse: (text: string) => T): T | null => {
    const text = parameters.get(name);
    return text === null ? null : parse(text);
  };
  const preferred = of("__b__", (text) => (/^\d{1,9}$/.test(text) ? Number(text) : refuse("__b__ is no number")));
  return {
    rates: of("b", ratesOf),
    preferredKbps: preferred,
    audioOnly: of("__a__", (text) => switchOf("__a__", text)),
    corrections: of("bwcorrection", correctionsOf) ?? [],
    span: spanOf(parameters.get("start"), parameters.get("end")),
    attributes: of("attributes", (text) => switchOf("attributes", text)) ?? true,
    revision: of("set-akamai-hls-revision", revisionOf) ?? 0,
    subtitles: {
      pattern: of("subtitle_file_pattern", patternOf),
      identifier: of("subtitle_identifier", identifierOf),
      location: of("subtitle_location", locationOf),
    },
  };
};

/** Reads a query (without its `?`). A malformed parameter of MSOD is refused; of a repeated one the first counts. */
export const parseQuery = (query: string): MasterQuery | QueryRefusal => {
  try {
    return read(new URLSearchParams(query));
  } catch (error) {
    if (error instanceof Unreadable) return { refusal: "QUERY_REFUSED", reason: error.message };
    throw error;
  }
};

/** What a master passes on to its media playlists: what was asked for that changes them (start, end, revision). */
export const childQuery = ({ span, revision }: MasterQuery): string => {
  const pairs: string[] = [];
  if (span !== null) pairs.push(`start=${span.startSeconds}`);
  if (span !== null && span.endSeconds !== null) pairs.push(`end=${span.endSeconds}`);
  if (revision !== 0) pairs.push(`set-akamai-hls-revision=${revision}`);
  return pairs.join("&");
};

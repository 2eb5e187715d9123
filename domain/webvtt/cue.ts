/** Timed text as cues (WebVTT, W3C), whatever it was read from. Readers take what they can and are bounded. */

/** A text and when it is shown (WebVTT §3.1). */
export interface Cue {
  /** Seconds of the presentation, after edit lists, without the offset of what is sent. */
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** Cue text of WebVTT: escaped, lines separated by line feeds, none of them empty. */
  readonly text: string;
  /** Cue settings (§3.1 of WebVTT), empty: none. */
  readonly settings: string;
  /** Empty: none. */
  readonly id: string;
}

/** A subtitle, read. */
export interface TimedText {
  /** STYLE and REGION blocks, which are part of each segment. */
  readonly blocks: readonly string[];
  /** In order of their beginnings. */
  readonly cues: readonly Cue[];
}

/** A feature film has some 2,000 cues; live captions of a day 30,000. */
export const CUES_MAX = 100_000;
const CUE_TEXT_LENGTH_MAX = 8_192;
/**
 * Files above this are not read: this much of the worst of them takes half a second, in which nobody else is served.
 */
export const SUBTITLE_BYTES_MAX = 4 * 1024 * 1024;

/** Text as it stands in cues: no tags of its own, no references of its own. */
export const escapedText = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** Character references of XML and HTML as characters; unknown ones stay. */
export const unescapedText = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : "";
  });

/** A text with trimmed lines, none of them empty, which would end a cue; without `-->`, which would begin one. */
const tidied = (text: string): string =>
  text
    .slice(0, CUE_TEXT_LENGTH_MAX)
    .replaceAll("-->", "--&gt;")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");

/** Collects cues: drops empty and impossible ones, and those over the limit. */
export class CueList {
  readonly #cues: Cue[] = [];

  add(cue: Omit<Cue, "settings" | "id"> & Partial<Pick<Cue, "settings" | "id">>): void {
    const { startSeconds, endSeconds, settings = "", id = "" } = cue;
    const text = tidied(cue.text);
    const isPossible = startSeconds >= 0 && endSeconds > startSeconds && endSeconds < Number.POSITIVE_INFINITY;
    if (text === "" || !isPossible || this.#cues.length >= CUES_MAX) return;
    this.#cues.push({ startSeconds, endSeconds, text, settings, id });
  }

  /** In order of their beginnings; those that begin together stay in theirs. */
  sorted(): readonly Cue[] {
    return this.#cues.sort((one, other) => one.startSeconds - other.startSeconds);
  }
}

/** `hh:mm:ss.mmm`, as a WebVTT timestamp. */
export const timestamp = (seconds: number): string => {
  const ms = Math.round(seconds * 1_000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(Math.floor(ms / 1_000) % 60)}.${String(ms % 1_000).padStart(3, "0")}`;
};

/** A timestamp of WebVTT or SubRip in seconds, with or without hours, point or comma; null where it is none. */
export const parsedTimestamp = (text: string): number | null => {
  const parts = /^(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?$/.exec(text);
  if (!parts) return null;
  const [, hours = "0", minutes, seconds, fraction = "0"] = parts;
  return Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds) + Number(`0.${fraction}`);
};

/** The lines of a text, however they end, without a byte order mark. */
export const linesOf = (text: string): string[] =>
  text
    .replace(/^\ufeff/, "")
    .replaceAll("\0", "\ufffd")
    .split(/\r\n|\n|\r/);

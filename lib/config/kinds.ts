/** Kinds of configuration values: how a variable's text becomes a typed value, and what to say where it doesn't. */
import { isIP } from "node:net";
import { validate } from "node-cron";

/** A kind names what it takes; `parse` throws a BadValue with that sentence when the text is not one. */
export interface Kind<T> {
  /** Completes "… is not …": `a port from 0 to 65535`. */
  readonly takes: string;
  readonly parse: (text: string) => T;
}

/** The text is none of its kind; the caller, who knows the variable, says so. */
export class BadValue extends Error {}

const kind = <T>(takes: string, parse: (text: string) => T | undefined): Kind<T> => ({
  takes,
  parse: (text) => {
    const value = parse(text);
    if (value === undefined) throw new BadValue();
    return value;
  },
});

/** A whole number between two bounds, both included. */
export const integer = (min: number, max: number): Kind<number> =>
  kind(`a whole number from ${min} to ${max}`, (text) => {
    if (!/^\d{1,15}$/.test(text)) return undefined;
    const value = Number(text);
    return value >= min && value <= max ? value : undefined;
  });

/** A TCP port; 0 takes a free one. */
export const port: Kind<number> = { ...integer(0, 65_535), takes: "a port from 0 to 65535 (0 takes a free one)" };

/** One word of a list. */
export const oneOf = <const W extends string>(...words: W[]): Kind<W> =>
  kind(`one of ${words.join(", ")}`, (text) => words.find((word) => word === text));

/** `on` or `off` (also true/false, yes/no, 1/0). */
export const flag: Kind<boolean> = kind("on or off", (text) => {
  const word = text.toLowerCase();
  if (["on", "true", "yes", "1"].includes(word)) return true;
  return ["off", "false", "no", "0"].includes(word) ? false : undefined;
});

const BYTE_UNITS: Record<string, number> = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A number of bytes with or without a unit: `512MiB`, `2GB`, `1048576`. */
export const bytes = (min: number): Kind<number> =>
  kind(`a size of at least ${min} bytes, such as 512MiB, 2GB or 1048576`, (text) => {
    const [, digits, unit = ""] = /^(\d{1,15}(?:\.\d{1,3})?) ?([A-Za-z]*)$/.exec(text) ?? [];
    const factor = BYTE_UNITS[unit];
    if (digits === undefined || factor === undefined) return undefined;
    const value = Math.round(Number(digits) * factor);
    return Number.isSafeInteger(value) && value >= min ? value : undefined;
  });

const MS_PER_UNIT: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A length of time in milliseconds, written with its unit: `500ms`, `6s`, `2m`. */
export const duration = (minMs: number, maxMs: number): Kind<number> =>
  kind(`a length of time from ${minMs}ms to ${maxMs}ms with its unit, such as 500ms, 6s or 2m`, (text) => {
    const [, digits, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? [];
    const factor = MS_PER_UNIT[unit];
    if (digits === undefined || factor === undefined) return undefined;
    const value = Math.round(Number(digits) * factor);
    return value >= minMs && value <= maxMs ? value : undefined;
  });

const parseUrl = (text: string): URL | undefined => (URL.canParse(text) ? new URL(text) : undefined);

/** A URL of one of these schemes, kept as written but for slashes at its end. */
export const url = (...schemes: string[]): Kind<string> =>
  kind(`a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`, (text) => {
    const parsed = parseUrl(text);
    if (!parsed || !schemes.includes(parsed.protocol.slice(0, -1))) return undefined;
    return text.replace(/\/+$/, "");
  });

/** The base of public addresses: http(s), no query, no fragment, no credentials. */
export const baseUrl: Kind<string> = kind("an http:// or https:// URL without query or credentials", (text) => {
  const parsed = parseUrl(text);
  if (!parsed || !/^https?:$/.test(parsed.protocol)) return undefined;
  if (parsed.search || parsed.hash || parsed.username || parsed.password) return undefined;
  return text.replace(/\/+$/, "");
});

/** Values of another kind with commas between them. */
export const list = <T>({ takes, parse }: Kind<T>): Kind<readonly T[]> => ({
  takes: `a list with commas between, each ${takes}`,
  parse: (text) =>
    text
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "")
      .map(parse),
});

/** A host as addresses name it. */
export interface ServerName {
  /** With its port where it has one. */
  readonly host: string;
  /** Null: it was not said. */
  readonly isHttps: boolean | null;
}

const SERVER_NAME = /^(?:(https?):\/\/)?((?:[A-Za-z0-9._-]{1,255}|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?)\/?$/;

/** A host and perhaps its port, with or without the scheme that it speaks. */
export const serverName: Kind<ServerName> = kind(
  "a host name with or without a port, such as video.example.net or https://video.example.net",
  (value) => {
    const [, scheme, host] = SERVER_NAME.exec(value) ?? [];
    return host === undefined ? undefined : { host, isHttps: scheme === undefined ? null : scheme === "https" };
  },
);

/** When something is done, as a crontab line says it, or with seconds before it. */
export const cronLine: Kind<string> = kind("a crontab line of five or six fields, such as */5 * * * *", (value) =>
  validate(value) ? value : undefined,
);

/** Text of a certain shape; `takes` describes the shape. */
export const text = (takes: string, shape: RegExp): Kind<string> =>
  kind(takes, (value) => (shape.test(value) ? value : undefined));

/** A path of this machine. */
export const path: Kind<string> = kind("a path", (value) => (value.includes("\0") ? undefined : value));

const isCidr = (entry: string): boolean => {
  const [address = "", prefix, ...rest] = entry.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
};

/** Addresses and networks, with commas between them: `10.0.0.0/8,192.168.1.7`. */
export const cidrList: Kind<readonly string[]> = kind(
  "a list of addresses or networks with commas between, such as 10.0.0.0/8,192.168.1.7",
  (value) => {
    const entries = value
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "");
    return entries.every(isCidr) ? entries : undefined;
  },
);

/** Words out of a known set with commas between them, each once; `all` stands for the whole set. */
export const wordList = <const W extends string>(...words: W[]): Kind<readonly W[]> =>
  kind(`"all" or a list out of ${words.join(", ")}, with commas between`, (value) => {
    const wanted = value.split(",").map((entry) => entry.trim());
    if (wanted.length === 1 && wanted[0] === "all") return words;
    const known = words.filter((word) => wanted.includes(word));
    return wanted.every((entry) => words.some((word) => word === entry)) ? known : undefined;
  });

/** A number with a unit of its own when it is written alone, or any unit of the table behind it. */
const inUnit = (
  takes: string,
  alone: string,
  units: Readonly<Record<string, number>>,
  [min, max]: readonly [number, number],
) =>
  kind(takes, (text) => {
    const [, digits, unit = alone] = /^(\d{1,12}(?:\.\d{1,3})?) ?([A-Za-z]+)?$/.exec(text) ?? [];
    const factor = units[unit];
    if (digits === undefined || factor === undefined) return undefined;
    const value = Math.round(Number(digits) * factor);
    return value >= min && value <= max ? value : undefined;
  });

const TIME_UNITS = { ...MS_PER_UNIT, d: 86_400_000 };

/** A length of time in ms, written in seconds unless it says its unit: `300`, `500ms`, `5m`. */
export const seconds = (minMs: number, maxMs: number): Kind<number> =>
  inUnit(
    `a number of seconds from ${minMs / 1000} to ${maxMs / 1000}, or a time with its unit such as 500ms or 5m`,
    "s",
    TIME_UNITS,
    [minMs, maxMs],
  );

const MINUTES_MAX = 5_256_000; // ten years

/** A length of time in ms, written in minutes unless it says its unit: `4320`, `72h`. */
export const minutes: Kind<number> = inUnit(
  `a number of minutes from 1 to ${MINUTES_MAX}, or a time with its unit such as 12h or 3d`,
  "m",
  TIME_UNITS,
  [60_000, MINUTES_MAX * 60_000],
);

const MEGABYTE = 2 ** 20; // as CasterPak counts them
const MEGABYTES_MAX = 2 ** 30;

/** A size in bytes, written in MB (of 2^20 bytes) unless it says its unit: `8192`, `8GiB`. */
export const megabytes: Kind<number> = inUnit(
  "a number of MB from 1 on, or a size with its unit such as 512MiB or 8GiB",
  "MiB",
  BYTE_UNITS,
  [MEGABYTE, MEGABYTES_MAX * MEGABYTE],
);

/** Hexadecimal digits for so many bytes, in lower case. */
export const hex = (byteCount: number): Kind<string> =>
  kind(`${byteCount * 2} hexadecimal digits`, (value) => {
    const digits = value.replace(/^0x/i, "").toLowerCase();
    return digits.length === byteCount * 2 && /^[0-9a-f]+$/.test(digits) ? digits : undefined;
  });

/** Paths with `*` for anything, with commas between them; each starts with a slash: `/protected/*`. */
export const pathPatterns: Kind<readonly string[]> = kind(
  "a list of paths with commas between and * for anything, such as /protected/*,/sports/*.mp4",
  (value) => {
    const patterns = value
      .split(",")
      .map((pattern) => pattern.trim())
      .filter((pattern) => pattern !== "")
      .map((pattern) => (pattern.startsWith("/") ? pattern : `/${pattern}`));
    return patterns.length > 0 && !value.includes("\0") ? patterns : undefined;
  },
);

/** A part of a URL's path: starts and ends with a slash. */
export const urlPrefix: Kind<string> = kind("a path such as /i/ out of letters, digits, . _ ~ - and /", (value) => {
  const parts = value.split("/").filter((part) => part !== "");
  const fits = parts.length > 0 && parts.every((part) => /^[A-Za-z0-9._~-]{1,100}$/.test(part) && !/^\.+$/.test(part));
  return fits ? `/${parts.join("/")}/` : undefined;
});

/**
 * CDN-Cache-Control: a targeted field (RFC 9213), read as a Dictionary of Structured Fields (RFC 8941 §3.2, §4.2.2).
 */
import { type Directives, directivesOf } from "./directives.ts";

type Bare = { readonly kind: "integer" | "string" | "boolean" | "other"; readonly text: string };

/** What each directive that we act on must be (RFC 9213 §2.1): a number of seconds, or a flag. */
const INTEGERS: ReadonlySet<string> = new Set(["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]);
const FLAGS: ReadonlySet<string> = new Set([
  "must-revalidate",
  "proxy-revalidate",
  "must-understand",
  "no-store",
  "public",
  "immutable",
]);
const FLAGS_OR_NAMES: ReadonlySet<string> = new Set(["no-cache", "private"]);

/** Reads one text from the left; a `take…` that fails throws the one mark that `parseTargeted` turns to undefined. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }
  /** The match of a sticky pattern here, or undefined; what matched is consumed. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

const SPACE = / */y;
const OWS = /[ \t]*/y;
const KEY = /[a-z*][a-z0-9_\-.*]*/y;
const NUMBER = /-?\d{1,15}(?![\d.])/y;
const DECIMAL = /-?\d{1,12}\.\d{1,3}(?!\d)/y;
const STRING = /"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y;
const TOKEN = /[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*/y;
const BYTES = /:[A-Za-z0-9+/=]*:/y;
const BOOLEAN = /\?[01]/y;

const TRUE: Bare = { kind: "boolean", text: "1" };

const bareItem = (reader: Reader): Bare | undefined => {
  const integer = reader.take(NUMBER);
  if (integer !== undefined) return { kind: "integer", text: integer };
  const string = reader.take(STRING);
  if (string !== undefined) return { kind: "string", text: string.slice(1, -1).replaceAll(/\\(.)/g, "$1") };
  const boolean = reader.take(BOOLEAN);
  if (boolean !== undefined) return { kind: "boolean", text: boolean.slice(1) };
  const other = reader.take(DECIMAL) ?? reader.take(TOKEN) ?? reader.take(BYTES);
  return other === undefined ? undefined : { kind: "other", text: other };
};

/** Parameters of a member: read for the syntax, then forgotten (RFC 9213 §2.1). */
const skipParameters = (reader: Reader): boolean => {
  while (reader.take(/;/y) !== undefined) {
    reader.take(SPACE);
    if (reader.take(KEY) === undefined) return false;
    if (reader.take(/=/y) !== undefined && bareItem(reader) === undefined) return false;
  }
  return true;
};

/** An inner list has no meaning in any directive, but is no error of syntax. */
const innerList = (reader: Reader): Bare | undefined => {
  for (;;) {
    reader.take(SPACE);
    if (reader.take(/\)/y) !== undefined) return { kind: "other", text: "()" };
    if (bareItem(reader) === undefined || !skipParameters(reader)) return undefined;
  }
};

const memberValue = (reader: Reader): Bare | undefined => {
  if (reader.take(/=/y) === undefined) return TRUE;
  return reader.take(/\(/y) === undefined ? bareItem(reader) : innerList(reader);
};

const isOfItsType = (name: string, { kind }: Bare): boolean => {
  if (INTEGERS.has(name)) return kind === "integer";
  if (FLAGS.has(name)) return kind === "boolean";
  return !FLAGS_OR_NAMES.has(name) || kind === "boolean" || kind === "string";
};

/** Reads members up to the end; undefined at the first error. */
const dictionary = (text: string): Map<string, Bare> | undefined => {
  const members = new Map<string, Bare>();
  const reader = new Reader(text.replace(/^ +/, "").replace(/ +$/, ""));
  while (!reader.done) {
    const name = reader.take(KEY);
    const value = name === undefined ? undefined : memberValue(reader);
    if (name === undefined || value === undefined || !skipParameters(reader)) return undefined;
    members.set(name, value);
    reader.take(OWS);
    if (reader.done) break;
    if (reader.take(/,/y) === undefined) return undefined;
    reader.take(OWS);
    if (reader.done) return undefined;
  }
  return members;
};

/**
 * The directives of a targeted field; undefined when it is to be ignored: missing, empty, no Dictionary (RFC 9213 §2.1,
 * §2.2), or when a directive that we act on is not of its type, so that a mistake never makes an answer shared.
 */
export const parseTargeted = (value: string | undefined): Directives | undefined => {
  const members = value === undefined ? undefined : dictionary(value);
  if (members === undefined || members.size === 0) return undefined;
  const entries = new Map<string, string | undefined>();
  for (const [name, bare] of members) {
    if (!isOfItsType(name, bare)) return undefined;
    if (bare.kind !== "boolean") entries.set(name, bare.text);
    else if (bare.text === "1") entries.set(name, undefined);
  }
  return directivesOf(entries);
};

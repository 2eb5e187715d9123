/**
 * TTML and its ancestor DFXP (W3C) as cues: texts, line breaks and times; styling and layout are left out. No entities
 * are expanded but the characters', and nothing is fetched.
 */
import { CueList, escapedText, type TimedText, unescapedText } from "./cue.ts";

type Attributes = ReadonlyMap<string, string>;
interface Open {
  readonly name: string;
  /** Times of what is in it count from here. */
  readonly originSeconds: number;
  readonly endSeconds: number;
  /** Text is collected in a cue of this element. */
  readonly cue: string[] | null;
}
interface Clock {
  readonly frameRate: number;
  readonly tickRate: number;
}

// Bounded, so that no text makes it look at the same signs again and again.
const ATTRIBUTE = /([^\s=/"'<>]{1,64})\s{0,8}=\s{0,8}(?:"([^"]*)"|'([^']*)')/g;
const DEPTH_MAX = 64;
const TAG_LENGTH_MAX = 16_384;
const SECONDS_OF: Readonly<Record<string, number>> = { h: 3_600, m: 60, s: 1, ms: 0.001 };

const localName = (name: string): string => name.slice(name.indexOf(":") + 1).toLowerCase();

const attributesOf = (tag: string): Attributes => {
  const found = new Map<string, string>();
  for (const [, name = "", double, single] of tag.matchAll(ATTRIBUTE)) {
    found.set(localName(name), unescapedText(double ?? single ?? ""));
  }
  return found;
};

const positive = (text: string | undefined): number | null => {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : null;
};
/** §6.2 of TTML: the frame rate with its multiplier, and ticks, which are frames where no tick rate is told. */
const clockOf = (attributes: Attributes): Clock => {
  const [numerator, denominator] = (attributes.get("frameratemultiplier") ?? "1 1").split(/[\s:]+/);
  const multiplier = (positive(numerator) ?? 1) / (positive(denominator) ?? 1);
  const frameRate = (positive(attributes.get("framerate")) ?? 30) * multiplier;
  const isFramed = attributes.has("framerate");
  return { frameRate, tickRate: positive(attributes.get("tickrate")) ?? (isFramed ? frameRate : 1) };
};

/** A time expression (§10.3.1 of TTML) in seconds; null where it is none. */
const secondsOf = (text: string | undefined, clock: Clock): number | null => {
  const expression = text?.trim() ?? "";
  const [, hours, minutes, seconds, frames] =
    /^(\d{1,6}):(\d{2}):(\d{2}(?:\.\d{1,9})?)(?::(\d{1,4})(?:\.\d{1,4})?)?$/.exec(expression) ?? [];
  if (hours !== undefined) {
    return Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds) + Number(frames ?? 0) / clock.frameRate;
  }
  const [, count, metric = ""] = /^(\d{1,15}(?:\.\d{1,9})?)(h|ms|m|s|f|t)$/.exec(expression) ?? [];
  if (count === undefined) return null;
  if (metric === "f") return Number(count) / clock.frameRate;
  return metric === "t" ? Number(count) / clock.tickRate : Number(count) * SECONDS_OF[metric]!;
};

/** Where a tag ends: signs within quotes are none. */
const tagEnd = (text: string, from: number): number => {
  let quote = "";
  const limit = Math.min(text.length, from + TAG_LENGTH_MAX);
  for (let at = from; at < limit; at += 1) {
    const sign = text[at]!;
    if (quote !== "") quote = sign === quote ? "" : quote;
    else if (sign === '"' || sign === "'") quote = sign;
    else if (sign === ">") return at;
  }
  return -1;
};

/** White space as one space (xml:space="default"), line feeds only from `br`. */
const flattened = (text: string): string => text.replace(/[ \t\r\n]+/g, " ");

class Reader {
  readonly #cues = new CueList();
  readonly #stack: Open[] = [];
  #clock: Clock = clockOf(new Map());

  get #top(): Open | undefined {
    return this.#stack.at(-1);
  }

  text(raw: string): void {
    this.#top?.cue?.push(escapedText(flattened(unescapedText(raw))));
  }

  open(name: string, attributes: Attributes): void {
    if (name === "tt") this.#clock = clockOf(attributes);
    const parent = this.#top;
    const begin = secondsOf(attributes.get("begin"), this.#clock);
    const originSeconds = (parent?.originSeconds ?? 0) + (begin ?? 0);
    const end = secondsOf(attributes.get("end"), this.#clock);
    const length = secondsOf(attributes.get("dur"), this.#clock);
    const ends = [parent?.endSeconds ?? Number.POSITIVE_INFINITY];
    if (end !== null) ends.push((parent?.originSeconds ?? 0) + end);
    if (length !== null) ends.push(originSeconds + length);
    this.#stack.push({ name, originSeconds, endSeconds: Math.min(...ends), cue: this.#cueFor(name, begin !== null) });
  }

  /** A paragraph is a cue, and so is a span with its own time; other spans are part of what they are in. */
  #cueFor(name: string, isTimed: boolean): string[] | null {
    if (name === "p") return [];
    if (name !== "span") return null; // metadata in a paragraph is no text of it
    return isTimed ? [] : (this.#top?.cue ?? null);
  }

  lineBreak(): void {
    this.#top?.cue?.push("\n");
  }

  close(name: string): void {
    const at = this.#stack.findLastIndex((open) => open.name === name);
    if (at === -1) return;
    while (this.#stack.length > at) {
      const open = this.#stack.pop()!;
      if (open.cue === null || open.cue === this.#top?.cue) continue;
      this.#cues.add({ startSeconds: open.originSeconds, endSeconds: open.endSeconds, text: open.cue.join("") });
    }
  }

  get isTooDeep(): boolean {
    return this.#stack.length > DEPTH_MAX;
  }

  finish(): TimedText {
    return { blocks: [], cues: this.#cues.sorted() };
  }
}

/** What stands at a `<` that is no element, and where it ends; null: an element. */
const asideAt = (text: string, at: number): { readonly end: number; readonly raw: string } | null => {
  for (const [opens, closes] of [
    ["<!--", "-->"],
    ["<![CDATA[", "]]>"],
    ["<?", "?>"],
    ["<!", ">"],
  ] as const) {
    if (!text.startsWith(opens, at)) continue;
    const found = text.indexOf(closes, at + opens.length);
    const end = found === -1 ? text.length : found;
    const raw = opens === "<![CDATA[" ? escapedText(text.slice(at + opens.length, end)) : "";
    return { end: end + closes.length, raw };
  }
  return null;
};

/** Reads a document as far as it can be read; null: it is none of TTML. */
export const readTtml = (text: string): TimedText | null => {
  if (!/<(?:[\w-]{1,40}:)?tt[\s>]/i.test(text)) return null;
  const reader = new Reader();
  let at = 0;
  while (at < text.length && !reader.isTooDeep) {
    const next = text.indexOf("<", at);
    reader.text(text.slice(at, next === -1 ? text.length : next));
    if (next === -1) break;
    const aside = asideAt(text, next);
    if (aside) {
      reader.text(aside.raw);
      at = aside.end;
      continue;
    }
    const end = tagEnd(text, next + 1);
    if (end === -1) break;
    const tag = text.slice(next + 1, end);
    const name = localName(/^\/?([^\s/>]+)/.exec(tag)?.[1] ?? "");
    if (tag.startsWith("/")) reader.close(name);
    else if (name === "br") reader.lineBreak();
    else {
      reader.open(name, attributesOf(tag));
      if (tag.endsWith("/")) reader.close(name);
    }
    at = end + 1;
  }
  return reader.finish();
};

/** Which film or series a title is, by its name and year: pure. */
import type { Candidate } from "../../contracts/artwork.ts";
import type { Found } from "../../lib/tmdb/tmdb.ts";
import { fold } from "./fold.ts";

/** A name to look for. */
export interface Guess {
  readonly name: string;
  readonly year: number | null;
}

const CANDIDATES_MAX = 10;
/** From here on it is taken for the one, where no other is nearly as good. */
const SURE = 0.8;
const LEAD = 0.1;
/** Below it is noise. */
const POOR = 0.3;

// What releases put behind the name.
const PICTURE_WORD = /^(?:\d{3,4}[pi]|4k|uhd|hdr(?:10)?|[xh]\.?26[45]|hevc)$/i;
const MEDIUM_WORD = /^(?:blu-?ray|b[dr]rip|web(?:-?dl|-?rip)?|hdtv|dvd(?:rip)?|remux|proper)$/i;
const FILE_ENDING = /\.(?:mp4|m4v|mkv|mov|avi|ts|m2ts|mxf|webm|wmv|mpe?g)$/i;
const FIRST_FILM = 1888;

const yearIn = (word: string, lastYear: number): number | null => {
  const [, digits] = /^[([]?(\d{4})[)\]]?$/.exec(word) ?? [];
  const year = Number(digits);
  return digits !== undefined && year >= FIRST_FILM && year <= lastYear ? year : null;
};

/**
 * What a title may be called, best first: `The.Glass.Harbour.1999.1080p.mkv` is "The Glass Harbour" of 1999, or the
 * whole as a name (there are films that end with a year).
 */
export const guessesOf = (name: string, year: number | null, nowYear: number): Guess[] => {
  const isFile = FILE_ENDING.test(name) || !/\s/.test(name.trim());
  const bare = isFile ? name.replace(FILE_ENDING, "").replace(/[._]+/g, " ") : name;
  const words = bare.trim().split(/\s+/);
  const releaseAt = words.findIndex((word, index) => index > 0 && (PICTURE_WORD.test(word) || MEDIUM_WORD.test(word)));
  const kept = releaseAt === -1 ? words : words.slice(0, releaseAt);
  const yearAt = kept.findLastIndex((word, index) => index > 0 && yearIn(word, nowYear + 2) !== null);
  const whole: Guess = { name: kept.join(" "), year };
  if (yearAt === -1) return [whole];
  const cut: Guess = {
    name: kept.slice(0, yearAt).join(" "),
    year: year ?? yearIn(kept[yearAt] ?? "", nowYear + 2),
  };
  return [cut, whole];
};

const trigrams = (text: string): Map<string, number> => {
  const counts = new Map<string, number>();
  const padded = `  ${text} `;
  for (let at = 0; at + 3 <= padded.length; at += 1) {
    const part = padded.slice(at, at + 3);
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  return counts;
};

/** 1: the same but for accents, case and signs; 0: nothing in common. Dice's coefficient of their trigrams. */
export const likeness = (a: string, b: string): number => {
  const [first, second] = [fold(a), fold(b)];
  if (first === second) return first === "" ? 0 : 1;
  const [left, right] = [trigrams(first), trigrams(second)];
  let shared = 0;
  for (const [part, count] of left) shared += Math.min(count, right.get(part) ?? 0);
  const all = [...left.values(), ...right.values()].reduce((sum, count) => sum + count, 0);
  // What is not the same is never taken for it.
  return (0.9 * 2 * shared) / all;
};

const yearOf = (date: string | null): number | null => (date === null ? null : Number(date.slice(0, 4)));

const yearFactor = (wanted: number | null, found: number | null): number => {
  if (wanted === null) return 0.85;
  if (found === null) return 0.8;
  const apart = Math.abs(wanted - found);
  // Festival and cinema are often a year apart.
  if (apart === 0) return 1;
  return apart === 1 ? 0.9 : 0.4;
};

const confidenceOf = (guesses: readonly Guess[], { name, originalName, date }: Found): number => {
  const names = originalName === null ? [name] : [name, originalName];
  const scores = guesses.flatMap((guess) =>
    names.map((one) => likeness(guess.name, one) * yearFactor(guess.year, yearOf(date))),
  );
  return Math.round(Math.max(...scores) * 1_000) / 1_000;
};

/** Best first; of equal ones the one that more people look for. */
export const ranked = (guesses: readonly Guess[], found: readonly Found[]): Candidate[] => {
  const unique = [...new Map(found.map((one) => [one.id, one])).values()];
  return unique
    .map((one) => ({ one, confidence: confidenceOf(guesses, one) }))
    .filter(({ confidence }) => confidence >= POOR)
    .sort((a, b) => b.confidence - a.confidence || b.one.popularity - a.one.popularity || a.one.id - b.one.id)
    .slice(0, CANDIDATES_MAX)
    .map(({ one, confidence }) => ({
      ...{ tmdbId: one.id, name: one.name, originalName: one.originalName, year: yearOf(one.date), confidence },
    }));
};

/** The one that it is, without a doubt; undefined where a person has to look. */
export const sureOne = (candidates: readonly Candidate[]): Candidate | undefined => {
  const [best, second] = candidates;
  if (!best || best.confidence < SURE) return undefined;
  return second && best.confidence - second.confidence < LEAD ? undefined : best;
};

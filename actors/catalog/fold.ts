/**
 * Names as they are compared. For search all that is left are the letters a–z, digits and single spaces: pg_trgm takes
 * its letters from the locale of the database, which is C in the embedded one, and a dictionary in the database (the
 * extension unaccent) may differ between two servers. What is stored and what is asked must be folded alike.
 */

/** Latin letters that Unicode does not take apart. */
const LETTERS: Readonly<Record<string, string>> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ð: "d",
  þ: "th",
  ħ: "h",
  ı: "i",
  ŋ: "n",
  ĸ: "k",
  ŧ: "t",
  ſ: "s",
};
const KEY_CHARACTERS_MAX = 200;
const BASE = 26;
const CODE_LETTERS = 4; // 26^4 = 456,976: most of Unicode, and all that is written today
const A = 97;

/** In lower case and without accents, words apart by one space; letters of all scripts stay what they are. */
export const plain = (text: string): string =>
  text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
    .replace(/[ßæœøłđðþħıŋĸŧſ]/g, (letter) => LETTERS[letter] ?? letter)
    // An apostrophe is inside of a word: "don't" and "dont" are the same one.
    .replace(/['’ʼ`]/g, "")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

/** What lists of titles are ordered by. */
export const sortKeyOf = (name: string): string => {
  const key = [...plain(name)].slice(0, KEY_CHARACTERS_MAX).join("");
  // A name of signs alone has to stand somewhere.
  return key === "" ? name.slice(0, KEY_CHARACTERS_MAX) : key;
};

const codeOf = (letter: string): string => {
  let rest = (letter.codePointAt(0) ?? 0) % BASE ** CODE_LETTERS;
  let code = "";
  for (let place = 0; place < CODE_LETTERS; place += 1) {
    code = String.fromCharCode(A + (rest % BASE)) + code;
    rest = Math.floor(rest / BASE);
  }
  return code;
};

/** Each letter of another script as four letters; scripts that put no space between words have one after each sign. */
export const fold = (text: string): string =>
  plain(text)
    .replace(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/gu, " $& ")
    .replace(/[^\x20-\x7e]/gu, codeOf)
    .replace(/ {2,}/g, " ")
    .trim();

/** Each of these names after a space, so that every word of them begins with one. */
export const foldAll = (names: readonly string[]): string =>
  [...new Set(names.map(fold))].flatMap((name) => (name === "" ? [] : [` ${name}`])).join("");

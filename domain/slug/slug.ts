/** Channel name → stream id (playback document, "Stream ID Generation"; P-07). */

/** The contract's limit for a whole stream id is 140 characters; `.stream` takes 7 of them. */
const SLUG_LENGTH_MAX = 133;

/**
 * Letters that NFKD leaves whole because they are letters of their own, not a letter with a mark.
 * Cyrillic and Greek follow the passport style (ICAO Doc 9303, ELOT 743), which needs ASCII only.
 */
const LETTERS: Readonly<Record<string, string>> = {
  ...{ ß: "ss", æ: "ae", ø: "o", œ: "oe", ł: "l", đ: "d", ð: "d", þ: "th", ħ: "h", ı: "i", ŋ: "ng", ĸ: "k", ŧ: "t" },
  ...{ а: "a", б: "b", в: "v", г: "g", ґ: "g", д: "d", е: "e", ё: "e", є: "ie", ж: "zh", з: "z", и: "i", і: "i" },
  ...{ ї: "i", й: "i", к: "k", л: "l", м: "m", н: "n", о: "o", п: "p", р: "r", с: "s", т: "t", у: "u", ў: "u" },
  ...{ ф: "f", х: "kh", ц: "ts", ч: "ch", ш: "sh", щ: "shch", ъ: "", ы: "y", ь: "", э: "e", ю: "iu", я: "ia" },
  ...{ ђ: "dj", ј: "j", љ: "lj", њ: "nj", ћ: "c", џ: "dz", ѓ: "g", ќ: "k", ѕ: "dz", қ: "q", ғ: "gh", ң: "ng" },
  ...{ ә: "a", ө: "o", ү: "u", ұ: "u", һ: "h" },
  ...{ α: "a", β: "v", γ: "g", δ: "d", ε: "e", ζ: "z", η: "i", θ: "th", ι: "i", κ: "k", λ: "l", μ: "m", ν: "n" },
  ...{ ξ: "x", ο: "o", π: "p", ρ: "r", σ: "s", ς: "s", τ: "t", υ: "y", φ: "f", χ: "ch", ψ: "ps", ω: "o" },
};

const MARKS = /\p{M}+/gu;
const NOT_ALPHANUMERIC = /[^a-z0-9]+/g;

/**
 * Lower case, Unicode transliterated, runs of anything but letters and digits become one `_`, none at the ends.
 * Scripts without an entry in the table count as "anything but": the result may be empty.
 */
export const slugOf = (name: string): string => {
  // Twice to lower case: NFKD can bring capitals back (ℌ → H), and İ has a lower case of two characters.
  const plain = name.toLowerCase().normalize("NFKD").replace(MARKS, "").toLowerCase();
  const latin = Array.from(plain, (letter) => LETTERS[letter] ?? letter).join("");
  return latin.replace(NOT_ALPHANUMERIC, "_").replace(/^_|_$/g, "").slice(0, SLUG_LENGTH_MAX).replace(/_$/, "");
};

/** `<slug>.stream`, or null where the name has no letter or digit that we know. */
export const streamIdOf = (name: string): string | null => {
  const slug = slugOf(name);
  return slug === "" ? null : `${slug}.stream`;
};

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/**
 * Bytes `first` to `last` (both included) of the one body that all scripts cut their bodies from: each byte follows
 * from its position, so that a wrong offset shows.
 */
export const patternBytes = (first: number, last: number): Buffer => {
  const bytes = Buffer.allocUnsafe(last - first + 1);
  for (let at = first; at <= last; at += 1) {
    bytes[at - first] = LETTERS.charCodeAt((at + 7 * Math.floor(at / 26) + 5 * Math.floor(at / 676)) % 26);
  }
  return bytes;
};

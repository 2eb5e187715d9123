/** From a key to the 64 bits that the index knows it by. */

/** 64 bits as two unsigned words. */
export interface KeyHash {
  readonly low: number;
  readonly high: number;
}
export type HashOf = (key: string) => KeyHash;

/** Two UTF-16 units of the key as a little-endian word; after the last whole pair what is left and the length. */
const wordOf = (key: string, step: number, pairs: number): number => {
  const at = step * 2;
  if (step < pairs) return key.charCodeAt(at) | (key.charCodeAt(at + 1) << 16);
  if (step > pairs) return 0;
  return (((key.length * 2) & 0xff) << 24) | (at < key.length ? key.charCodeAt(at) : 0);
};

/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, github.com/veorq/SipHash) over the key's UTF-16
 * units, little-endian. Keyed, so that a viewer can't choose paths that push each other's objects out of the index.
 */
export const halfSipHash =
  ({ low: key0, high: key1 }: KeyHash): HashOf =>
  (key) => {
    let v0 = key0 | 0;
    let v1 = key1 ^ 0xee;
    let v2 = 0x6c796765 ^ key0;
    let v3 = 0x74656462 ^ key1;
    let low = 0;
    const pairs = key.length >> 1;
    // One loop over the words and the two steps of the end, on local variables alone: twice as fast as with functions.
    for (let step = 0; step <= pairs + 2; step += 1) {
      const word = wordOf(key, step, pairs);
      if (step === pairs + 1) v2 ^= 0xee;
      if (step === pairs + 2) v1 ^= 0xdd;
      v3 ^= word;
      for (let round = step > pairs ? 4 : 2; round > 0; round -= 1) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= word;
      if (step === pairs + 1) low = (v1 ^ v3) >>> 0;
    }
    return { low, high: (v1 ^ v3) >>> 0 };
  };

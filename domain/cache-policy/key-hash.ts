/** 32 bits of a text; the seed makes collisions hard to choose from outside. FNV-1a with a final mix. */
export const hashOf = (key: string, seed: number): number => {
  let hash = seed ^ 0x811c9dc5;
  for (let n = 0; n < key.length; n += 1) hash = Math.imul(hash ^ key.charCodeAt(n), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
};

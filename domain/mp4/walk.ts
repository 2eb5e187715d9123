/** Walks the boxes inside a box (ISO/IEC 14496-12 §4.2). */
export interface Child {
  readonly type: string;
  /** The whole box, its header too. */
  readonly box: Buffer;
}

/** Boxes of `bytes` from `offset` on. Throws on one that does not fit into them. */
export function* childrenOf(bytes: Buffer, offset = 8): Generator<Child> {
  let at = offset;
  while (at + 8 <= bytes.length) {
    const size = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (size < 8 || at + size > bytes.length)
      throw new Error(`a box of ${size} bytes does not fit: ${printable(type)}`);
    yield { type, box: bytes.subarray(at, at + size) };
    at += size;
  }
}

const printable = (type: string): string => type.replace(/[^\x20-\x7e]/g, "?");

/** The first box at a path of types; `offset`: where the children of the outermost box begin. */
export const findBox = (bytes: Buffer, [type, ...rest]: readonly string[], offset = 8): Buffer | undefined => {
  for (const child of childrenOf(bytes, offset)) {
    if (child.type === type) return rest.length === 0 ? child.box : findBox(child.box, rest);
  }
  return undefined;
};

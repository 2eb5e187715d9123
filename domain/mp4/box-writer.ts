/** Puts boxes together (ISO/IEC 14496-12 §4.2), for what is made once and kept; fragments are written in place. */
const HEADER_BYTES = 8;

/** A box of its parts, in their order. */
export const box = (type: string, ...parts: readonly Buffer[]): Buffer => {
  const sizeBytes = parts.reduce((sum, part) => sum + part.length, HEADER_BYTES);
  const out = Buffer.alloc(sizeBytes);
  out.writeUInt32BE(sizeBytes, 0);
  out.write(type, 4, "latin1");
  let at = HEADER_BYTES;
  for (const part of parts) at += part.copy(out, at);
  return out;
};

/** Type, version and flags of a full box (§4.2). */
export interface FullBoxHead {
  readonly type: string;
  readonly version?: number;
  readonly flags?: number;
}

/** A box with version and flags; both 0 where not given. */
export const fullBox = ({ type, version = 0, flags = 0 }: FullBoxHead, ...parts: readonly Buffer[]): Buffer =>
  box(type, uint32s(version * 2 ** 24 + flags), ...parts);

/** Whole numbers of 32 bits, big endian. */
export const uint32s = (...values: readonly number[]): Buffer => {
  const out = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) out.writeUInt32BE(value, index * 4);
  return out;
};

/** Whole numbers of 16 bits, big endian. */
export const uint16s = (...values: readonly number[]): Buffer => {
  const out = Buffer.alloc(values.length * 2);
  for (const [index, value] of values.entries()) out.writeUInt16BE(value, index * 2);
  return out;
};

/** UTF-8, ended by a NUL. */
export const cString = (text: string): Buffer => Buffer.from(`${text.replaceAll("\0", "")}\0`);

/** Boxes as they are sent: with a header of eight bytes, whatever header the file gave them. */
import type { BoxView } from "./box-view.ts";

const HEADER_BYTES = 8;

/** A box of `type` with fields and boxes in it, in memory of its own (ISO/IEC 14496-12 §4.2). */
export const plainBox = (type: string, fields: Uint8Array, boxes: readonly BoxView[] = []): Buffer => {
  const size = boxes.reduce((sum, { bytes }) => sum + HEADER_BYTES + bytes, HEADER_BYTES + fields.length);
  const out = Buffer.allocUnsafeSlow(size);
  let at = 0;
  const put = (name: string, sizeBytes: number, body: Uint8Array): void => {
    out.writeUInt32BE(sizeBytes, at);
    out.write(name, at + 4, "latin1");
    out.set(body, at + HEADER_BYTES);
    at += HEADER_BYTES + body.length;
  };
  put(type, size, fields);
  for (const { type: name, bytes, body } of boxes) put(name, HEADER_BYTES + bytes, body);
  return out;
};

/** Sample entries as they are sent: what the standard knows of one, without what QuickTime adds to it. */
import type { BoxView } from "./box-view.ts";

/** A box of `type` with fields and boxes in it (ISO/IEC 14496-12 §4.2). */
export const sampleEntry = (type: string, fields: Uint8Array, boxes: readonly BoxView[]): Buffer => {
  const size = boxes.reduce((sum, { whole }) => sum + whole.length, 8 + fields.length);
  const entry = Buffer.allocUnsafeSlow(size);
  entry.writeUInt32BE(size, 0);
  entry.write(type, 4, "latin1");
  entry.set(fields, 8);
  let at = 8 + fields.length;
  for (const { whole } of boxes) {
    entry.set(whole, at);
    at += whole.length;
  }
  return entry;
};

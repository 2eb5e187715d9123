/**
 * Pictures for the simulator, real JPEG and PNG bytes: blocks of one colour each, so that an encoder of a page is
 * enough (ITU-T T.81, baseline, DC coefficients alone; PNG third edition, filter 0).
 */
import { crc32, deflateSync } from "node:zlib";

export interface Size {
  readonly width: number;
  readonly height: number;
}
type Rgb = readonly [red: number, green: number, blue: number];

/** Equal seeds give equal pictures. */
const colourOf = (seed: number, x: number, y: number): Rgb => {
  const at = (seed * 2_654_435_761 + ((x >> 2) * 40_503 + (y >> 2) * 9_973)) >>> 0;
  return [64 + (at % 160), 64 + ((at >>> 8) % 160), 64 + ((at >>> 16) % 160)];
};

class Bits {
  readonly bytes: number[] = [];
  #held = 0;
  #count = 0;

  put(value: number, bitCount: number): void {
    for (let bit = bitCount - 1; bit >= 0; bit -= 1) {
      this.#held = (this.#held << 1) | ((value >> bit) & 1);
      this.#count += 1;
      if (this.#count < 8) continue;
      this.bytes.push(this.#held);
      // A marker may not come up in coded data (T.81 F.1.2.3).
      if (this.#held === 0xff) this.bytes.push(0);
      this.#held = 0;
      this.#count = 0;
    }
  }
  end(): void {
    while (this.#count > 0) this.put(1, 1);
  }
}

const marker = (code: number, body: readonly number[]): number[] => [
  ...[0xff, code, (body.length + 2) >> 8, (body.length + 2) & 0xff],
  ...body,
];
// Twelve sizes of differences with four bits each; of the others only "end of block", with one bit.
const DC_TABLE = [0x00, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const AC_TABLE = [0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00];

const headOf = ({ width, height }: Size): number[] => [
  ...[0xff, 0xd8],
  ...marker(0xe0, [0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0]),
  ...marker(0xdb, [0, ...new Array<number>(64).fill(8)]),
  ...marker(0xc0, [8, height >> 8, height & 0xff, width >> 8, width & 0xff, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]),
  ...marker(0xc4, DC_TABLE),
  ...marker(0xc4, AC_TABLE),
  ...marker(0xda, [3, 1, 0, 2, 0, 3, 0, 0, 63, 0]),
];

const toYcc = ([red, green, blue]: Rgb): Rgb => [
  Math.round(0.299 * red + 0.587 * green + 0.114 * blue),
  Math.round(128 - 0.1687 * red - 0.3313 * green + 0.5 * blue),
  Math.round(128 + 0.5 * red - 0.4187 * green - 0.0813 * blue),
];

/** A block of 8×8 samples of value v has the DC coefficient 8 (v - 128), which the table of eights divides. */
export const jpegOf = (size: Size, seed: number): Buffer => {
  const bits = new Bits();
  const before = [0, 0, 0];
  for (let y = 0; y < Math.ceil(size.height / 8); y += 1) {
    for (let x = 0; x < Math.ceil(size.width / 8); x += 1) {
      for (const [component, sample] of toYcc(colourOf(seed, x, y)).entries()) {
        const difference = sample - 128 - (before[component] ?? 0);
        before[component] = sample - 128;
        const bitCount = 32 - Math.clz32(Math.abs(difference));
        bits.put(bitCount, 4);
        bits.put(difference < 0 ? difference + 2 ** bitCount - 1 : difference, bitCount);
        bits.put(0, 1);
      }
    }
  }
  bits.end();
  return Buffer.from([...headOf(size), ...bits.bytes, 0xff, 0xd9]);
};

const chunk = (name: string, body: Buffer): Buffer => {
  const named = Buffer.concat([Buffer.from(name, "latin1"), body]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(body.length, 0);
  frame.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([frame.subarray(0, 4), named, frame.subarray(4)]);
};

export const pngOf = ({ width, height }: Size, seed: number): Buffer => {
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows.set(colourOf(seed, x >> 3, y >> 3), y * (1 + width * 3) + 1 + x * 3);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8); // eight bits, true colour
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
};

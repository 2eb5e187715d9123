/** What a picture is by its own bytes (not by its name or what a server says), and how large. */

export interface PictureType {
  readonly extension: "jpg" | "png" | "webp";
  readonly contentType: string;
  readonly width: number;
  readonly height: number;
}

/** ITU-T T.81 B.2.2: the frame header; the markers of tables with close numbers are no frames. */
const jpegSize = (bytes: Buffer): { width: number; height: number } | undefined => {
  let at = 2;
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const code = bytes[at + 1] ?? 0;
    // Fill bytes may stand before a marker.
    if (code === 0xff) {
      at += 1;
      continue;
    }
    const isFrame = code >= 0xc0 && code <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(code);
    if (isFrame) return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    if (code === 0xda || code === 0xd9) return undefined;
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2) return undefined;
    at += 2 + length;
  }
  return undefined;
};

/** The WebP container: lossy, lossless and extended each say it elsewhere. */
const webpSize = (bytes: Buffer): { width: number; height: number } | undefined => {
  if (bytes.length < 30) return undefined;
  switch (bytes.toString("latin1", 12, 16)) {
    case "VP8 ":
      return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
    case "VP8L": {
      const bits = bytes.readUInt32LE(21);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case "VP8X":
      return { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
    default:
      return undefined;
  }
};

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Undefined: it is neither JPEG, PNG nor WebP, or broken before its size. */
export const pictureType = (bytes: Buffer): PictureType | undefined => {
  const as = (extension: PictureType["extension"], size: { width: number; height: number } | undefined) =>
    size && size.width > 0 && size.height > 0
      ? { extension, contentType: `image/${extension === "jpg" ? "jpeg" : extension}`, ...size }
      : undefined;
  if (bytes.length < 24) return undefined;
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return as("jpg", jpegSize(bytes));
  if (bytes.subarray(0, 8).equals(PNG)) {
    const isHead = bytes.toString("latin1", 12, 16) === "IHDR";
    return isHead ? as("png", { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }) : undefined;
  }
  const isWebp = bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WEBP";
  return isWebp ? as("webp", webpSize(bytes)) : undefined;
};

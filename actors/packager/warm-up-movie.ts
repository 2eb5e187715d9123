/** A long film out of a short clip, for warming up: its tables are repeated, its media is not (ISO/IEC 14496-12 §8). */
const CONTAINERS = ["moov", "trak", "mdia", "minf", "stbl"];
const HEADER_BYTES = 8;
const TABLE_AT = 16; // header, version and flags, count
const SIZES_AT = 20; // sample_size stands before the count

const boxOf = (type: string, ...parts: readonly Buffer[]): Buffer => {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, HEADER_BYTES));
  header.write(type, 4, "latin1");
  return Buffer.concat([header, ...parts]);
};

interface Box {
  readonly type: string;
  readonly bytes: Buffer;
}
const boxesOf = (bytes: Buffer, from = HEADER_BYTES): Box[] => {
  const boxes: Box[] = [];
  for (let at = from; at < bytes.length; at += boxes.at(-1)?.bytes.length ?? bytes.length) {
    const size = bytes.readUInt32BE(at);
    boxes.push({ type: bytes.toString("latin1", at + 4, at + 8), bytes: bytes.subarray(at, at + size) });
  }
  return boxes;
};

/** A table whose entries come again and again; a number in the first place of each may grow from round to round. */
const repeated = ({ type, bytes }: Box, rounds: number, growth: { entryBytes: number; by: number } | null): Buffer => {
  const at = type === "stsz" ? SIZES_AT : TABLE_AT;
  const head = Buffer.from(bytes.subarray(HEADER_BYTES, at));
  head.writeUInt32BE(head.readUInt32BE(head.length - 4) * rounds, head.length - 4);
  const tables = Array.from({ length: rounds }, (_, round) => {
    const table = Buffer.from(bytes.subarray(at));
    for (let entry = 0; growth && entry < table.length; entry += growth.entryBytes) {
      table.writeUInt32BE(table.readUInt32BE(entry) + round * growth.by, entry);
    }
    return table;
  });
  return boxOf(type, head, ...tables);
};

const countIn = (boxes: readonly Box[], wanted: string, at: number): number =>
  boxes.find(({ type }) => type === wanted)?.bytes.readUInt32BE(at) ?? 0;

const looped = (box: Box, rounds: number, siblings: readonly Box[]): Buffer => {
  const { type, bytes } = box;
  if (CONTAINERS.includes(type)) {
    const children = boxesOf(bytes);
    return boxOf(type, ...children.map((child) => looped(child, rounds, children)));
  }
  switch (type) {
    case "stts":
    case "ctts":
    case "stsz":
    case "stco":
      return repeated(box, rounds, null);
    case "stss":
      return repeated(box, rounds, { entryBytes: 4, by: countIn(siblings, "stsz", SIZES_AT - 4) });
    case "stsc":
      return repeated(box, rounds, { entryBytes: 12, by: countIn(siblings, "stco", TABLE_AT - 4) });
    default:
      return bytes;
  }
};

/** The clip so many times over: its old `moov` is free space, the new one stands at the end. */
export const loopedMovie = (clip: Buffer, rounds: number): Buffer => {
  const file = Buffer.from(clip);
  const moov = boxesOf(clip, 0).find(({ type }) => type === "moov");
  if (!moov) throw new Error("bug: a clip without moov");
  file.write("free", moov.bytes.byteOffset - clip.byteOffset + 4, "latin1");
  return Buffer.concat([file, looped(moov, rounds, [])]);
};

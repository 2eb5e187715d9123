/** Sample entries as they go into an init segment (ISO/IEC 14496-12 §8.5.2, §12.1.3, §12.2.3). */
import { box, uint16s, uint32s } from "./box-writer.ts";
import type { AudioCodec, Codec } from "./movie.ts";

const REFERENCE_AT = 14;
const SOUND_VERSION_AT = 16;
/** Where the boxes inside an entry begin. */
export const ENTRY_BYTES = { video: 86, audio: 36, text: 16 } as const;
/** Fixed parts of QuickTime's sound descriptions, version 1 and 2 (QuickTime File Format, "Sound Sample Descriptions"). */
const QUICKTIME_ENTRY_BYTES: readonly number[] = [ENTRY_BYTES.audio, 52, 72];
const SAMPLE_SIZE_BITS = 16;
const RATE_MAX = 0xffff;

interface Span {
  readonly type: string;
  readonly at: number;
  readonly end: number;
}

/** The boxes from `at` on; null when they don't end with the entry. A QuickTime terminator (§4.2: a zero) ends them too. */
const spansOf = (entry: Buffer, at: number): Span[] | null => {
  const spans: Span[] = [];
  let next = at;
  while (next + 8 <= entry.length) {
    const size = entry.readUInt32BE(next);
    if (size < 8 || next + size > entry.length) return null;
    spans.push({ type: entry.toString("latin1", next + 4, next + 8), at: next, end: next + size });
    next += size;
  }
  const rest = entry.subarray(next);
  return rest.length < 8 && rest.every((byte) => byte === 0) ? spans : null;
};

/** Boxes that a QuickTime `wave` hides, without its own bookkeeping. */
const unwrapped = (entry: Buffer, spans: readonly Span[]): Buffer[] =>
  spans.flatMap(({ type, at, end }) => {
    const bytes = entry.subarray(at, end);
    if (type !== "wave") return QUICKTIME_ONLY.has(type) ? [] : [bytes];
    const inner = spansOf(bytes, 8) ?? [];
    return unwrapped(
      bytes,
      inner.filter((span) => span.type !== entry.toString("latin1", 4, 8) && span.end - span.at > 8),
    );
  });
const QUICKTIME_ONLY: ReadonlySet<string> = new Set(["chan", "frma", "enda"]);

/** A sound entry of version 1 or 2, of QuickTime or ISO, as one of version 0, which every player reads. */
const plainSoundEntry = (entry: Buffer, codec: AudioCodec): Buffer => {
  const version = entry.readUInt16BE(SOUND_VERSION_AT);
  const iso = spansOf(entry, ENTRY_BYTES.audio);
  const spans = iso ?? spansOf(entry, QUICKTIME_ENTRY_BYTES[version] ?? entry.length) ?? [];
  return box(
    entry.toString("latin1", 4, 8),
    Buffer.alloc(6),
    uint16s(1),
    Buffer.alloc(8),
    uint16s(codec.channelCount, SAMPLE_SIZE_BITS, 0, 0),
    uint32s(codec.sampleRate <= RATE_MAX ? codec.sampleRate * 2 ** 16 : 0),
    ...unwrapped(
      entry,
      spans.filter(({ type }) => type !== "srat"),
    ),
  );
};

/** The sample entry of a track as it was, with its data in the file itself and without what only QuickTime reads. */
export const initSampleEntry = (codec: Codec): Buffer => {
  const source = codec.sampleEntry;
  if (codec.kind === "audio" && source.readUInt16BE(SOUND_VERSION_AT) !== 0) return plainSoundEntry(source, codec);
  const end = spansOf(source, ENTRY_BYTES[codec.kind])?.at(-1)?.end ?? source.length;
  const entry = Buffer.from(source.subarray(0, end));
  entry.writeUInt32BE(end, 0);
  entry.writeUInt16BE(1, REFERENCE_AT);
  return entry;
};

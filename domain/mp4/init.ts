/** What a player must know of a track before its first sample: read from `moov` (ISO/IEC 14496-12 §8.2). */
import { childrenOf, findBox } from "./walk.ts";

export interface TrackInfo {
  readonly kind: "video" | "audio";
  /** Units per second of every time in the track's fragments. */
  readonly timescale: number;
  /** RFC 6381 string, as it goes into CODECS. */
  readonly codec: string;
  /** Luma samples; 0 for audio. */
  readonly width: number;
  readonly height: number;
  /** 0 for video. */
  readonly channelCount: number;
  readonly sampleRate: number;
  /** The decoder configuration (avcC, hvcC, esds) in hex: streams splice into each other where it is the same. */
  readonly configuration: string;
}

const hex2 = (value: number): string => value.toString(16).padStart(2, "0");
const VISUAL_ENTRY_BYTES = 86; // ISO/IEC 14496-12 §12.1.3
const AUDIO_ENTRY_BYTES = 36; // §12.2.3

/** `avc1.PPCCLL` (ISO/IEC 14496-15 §5.4.2.1; RFC 6381 §3.3). */
const avcCodec = (entry: Buffer, type: string): string => {
  const config = findBox(entry, ["avcC"], VISUAL_ENTRY_BYTES);
  if (!config) throw new Error(`${type} without avcC`);
  return `${type}.${hex2(config.readUInt8(9))}${hex2(config.readUInt8(10))}${hex2(config.readUInt8(11))}`;
};

const reversedBits32 = (value: number): number => {
  let out = 0;
  for (let bit = 0; bit < 32; bit += 1) out = (out << 1) | ((value >>> bit) & 1);
  return out >>> 0;
};

/** `hvc1.P.C.TL.constraints` (ISO/IEC 14496-15 annex E). */
const hevcCodec = (entry: Buffer, type: string): string => {
  const config = findBox(entry, ["hvcC"], VISUAL_ENTRY_BYTES);
  if (!config) throw new Error(`${type} without hvcC`);
  const profileByte = config.readUInt8(9);
  const space = ["", "A", "B", "C"][profileByte >> 6] ?? "";
  const tier = profileByte & 0x20 ? "H" : "L";
  const constraints = [...config.subarray(14, 20)];
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const tail = constraints.map((byte) => `.${byte.toString(16)}`).join("");
  const compatibility = reversedBits32(config.readUInt32BE(10)).toString(16);
  return `${type}.${space}${profileByte & 0x1f}.${compatibility}.${tier}${config.readUInt8(20)}${tail}`;
};

const ES_DESCRIPTOR = 0x03;
const DECODER_CONFIG = 0x04;
const DECODER_SPECIFIC_INFO = 0x05;
const SIZE_BYTES_MAX = 4;

/** Where the contents of a descriptor begin: after its tag and one to four bytes of size (ISO/IEC 14496-1 §8.3.3). */
const contentsAt = (bytes: Buffer, at: number, tag: number): number => {
  if (bytes.readUInt8(at) !== tag) throw new Error(`esds: descriptor ${bytes.readUInt8(at)} where ${tag} was expected`);
  for (let next = at + 1; next <= at + SIZE_BYTES_MAX; next += 1) {
    if (!(bytes.readUInt8(next) & 0x80)) return next + 1;
  }
  throw new Error("esds: a size of more than four bytes");
};

/** Optional fields of an ES descriptor (ISO/IEC 14496-1 §7.2.6.5), after its id. */
const esFieldsBytes = (bytes: Buffer, at: number): number => {
  const flags = bytes.readUInt8(at + 2);
  const dependsOn = flags & 0x80 ? 2 : 0;
  const url = flags & 0x40 ? 1 + bytes.readUInt8(at + 3 + dependsOn) : 0;
  return 3 + dependsOn + url + (flags & 0x20 ? 2 : 0);
};

const DECODER_CONFIG_BYTES = 13; // object type, stream type, buffer size, two bit rates (§7.2.6.6)
const ESCAPED_OBJECT_TYPE = 31;

/** `mp4a.40.N` with the audio object type of the AudioSpecificConfig (RFC 6381 §3.3, ISO/IEC 14496-3 §1.6.2.1). */
const aacCodec = (entry: Buffer): string => {
  const esds = findBox(entry, ["esds"], AUDIO_ENTRY_BYTES);
  if (!esds) throw new Error("mp4a without esds");
  const stream = contentsAt(esds, 12, ES_DESCRIPTOR);
  const decoder = contentsAt(esds, stream + esFieldsBytes(esds, stream), DECODER_CONFIG);
  const config = contentsAt(esds, decoder + DECODER_CONFIG_BYTES, DECODER_SPECIFIC_INFO);
  const type = esds.readUInt8(config) >> 3;
  if (type !== ESCAPED_OBJECT_TYPE) return `mp4a.40.${type}`;
  return `mp4a.40.${32 + ((esds.readUInt16BE(config) >> 5) & 0x3f)}`;
};

interface Codec {
  readonly kind: "video" | "audio";
  readonly configurationBox: string;
  readonly text: (entry: Buffer, type: string) => string;
}
const AVC: Codec = { kind: "video", configurationBox: "avcC", text: avcCodec };
const HEVC: Codec = { kind: "video", configurationBox: "hvcC", text: hevcCodec };
const AAC: Codec = { kind: "audio", configurationBox: "esds", text: aacCodec };
const CODECS: Readonly<Record<string, Codec>> = { avc1: AVC, avc3: AVC, hvc1: HEVC, hev1: HEVC, mp4a: AAC };
const ENTRY_BYTES = { video: VISUAL_ENTRY_BYTES, audio: AUDIO_ENTRY_BYTES } as const;

const timescaleOf = (mdhd: Buffer): number => mdhd.readUInt32BE(mdhd.readUInt8(8) === 1 ? 28 : 20);

/** Reads the one track of a `moov` box. Throws where it is not one that we make: no track, or an unknown codec. */
export const parseInit = (moov: Buffer): TrackInfo => {
  const tracks = [...childrenOf(moov)].filter(({ type }) => type === "trak");
  if (tracks.length !== 1) throw new Error(`${tracks.length} tracks in an init segment, one is wanted`);
  const mdhd = findBox(moov, ["trak", "mdia", "mdhd"]);
  const stsd = findBox(moov, ["trak", "mdia", "minf", "stbl", "stsd"]);
  const [entry] = stsd ? [...childrenOf(stsd, 16)] : [];
  const known = entry && CODECS[entry.type];
  if (!mdhd || !entry || !known) throw new Error(`no codec that we know: ${entry?.type ?? "none"}`);
  const { kind } = known;
  const isVideo = kind === "video";
  return {
    kind,
    timescale: timescaleOf(mdhd),
    codec: known.text(entry.box, entry.type),
    width: isVideo ? entry.box.readUInt16BE(32) : 0,
    height: isVideo ? entry.box.readUInt16BE(34) : 0,
    channelCount: isVideo ? 0 : entry.box.readUInt16BE(24),
    sampleRate: isVideo ? 0 : entry.box.readUInt32BE(32) >>> 16,
    configuration: findBox(entry.box, [known.configurationBox], ENTRY_BYTES[kind])?.toString("hex", 8) ?? "",
  };
};

/** What a player must know of a track before its first sample: read from `moov` (ISO/IEC 14496-12 §8.2). */
import { BoxView } from "./box-view.ts";
import { readCodec } from "./codec.ts";
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

const VISUAL_ENTRY_BYTES = 86; // ISO/IEC 14496-12 §12.1.3
const AUDIO_ENTRY_BYTES = 36; // §12.2.3
/** Where the decoder configuration is, by sample entry: the codecs that our encoder writes. */
const CONFIGURATION: Readonly<Record<string, string>> = {
  avc1: "avcC",
  avc3: "avcC",
  hvc1: "hvcC",
  hev1: "hvcC",
  mp4a: "esds",
};
const ENTRY_HEADER_BYTES = 8;

const timescaleOf = (mdhd: Buffer): number => mdhd.readUInt32BE(mdhd.readUInt8(8) === 1 ? 28 : 20);

/** Reads the one track of a `moov` box. Throws where it is not one that we make: no track, or an unknown codec. */
export const parseInit = (moov: Buffer): TrackInfo => {
  const tracks = [...childrenOf(moov)].filter(({ type }) => type === "trak");
  if (tracks.length !== 1) throw new Error(`${tracks.length} tracks in an init segment, one is wanted`);
  const mdhd = findBox(moov, ["trak", "mdia", "mdhd"]);
  const stsd = findBox(moov, ["trak", "mdia", "minf", "stbl", "stsd"]);
  const [entry] = stsd ? [...childrenOf(stsd, 16)] : [];
  const configurationBox = CONFIGURATION[entry?.type ?? ""];
  if (!mdhd || !entry || !configurationBox) throw new Error(`no codec that we know: ${entry?.type ?? "none"}`);
  const isVideo = entry.type !== "mp4a";
  const view = new BoxView(entry.type, entry.box, ENTRY_HEADER_BYTES);
  const codec = readCodec(view, { handler: isVideo ? "vide" : "soun", stsdVersion: 0 });
  if (typeof codec === "string") throw new Error(`no codec that we know: ${codec}`);
  const configurationAt = isVideo ? VISUAL_ENTRY_BYTES : AUDIO_ENTRY_BYTES;
  return {
    kind: isVideo ? "video" : "audio",
    timescale: timescaleOf(mdhd),
    codec: codec.codecs,
    width: codec.kind === "video" ? codec.width : 0,
    height: codec.kind === "video" ? codec.height : 0,
    channelCount: isVideo ? 0 : entry.box.readUInt16BE(24),
    sampleRate: isVideo ? 0 : entry.box.readUInt32BE(32) >>> 16,
    configuration: findBox(entry.box, [configurationBox], configurationAt)?.toString("hex", 8) ?? "",
  };
};

/** Sample entries (ISO/IEC 14496-12 §8.5.2, §12): which codec a track has, and what is sent of its entry. */
import { readAacConfig } from "./aac.ts";
import { type BoxView, damaged, ownCopy } from "./box-view.ts";
import { avcText, hevcText } from "./codec-text.ts";
import { readEsds } from "./descriptor.ts";
import type { AudioCodec, Codec, VideoCodec } from "./movie.ts";
import { type NalConfig, readAvcC, readHvcC } from "./parameter-sets.ts";

/** Where the boxes of an entry begin, after its header. */
const VISUAL_FIELDS_BYTES = 78; // ISO/IEC 14496-12 §12.1.3
const AUDIO_FIELDS_BYTES = 28; // §12.2.3

interface NalCodec {
  readonly box: string;
  readonly text: (type: string, configuration: BoxView) => string;
  readonly read: (configuration: BoxView) => NalConfig;
}
const AVC: NalCodec = { box: "avcC", text: avcText, read: readAvcC };
const HEVC: NalCodec = { box: "hvcC", text: hevcText, read: readHvcC };
const NAL_CODECS: Readonly<Record<string, NalCodec>> = { avc1: AVC, avc3: AVC, hvc1: HEVC, hev1: HEVC };

const readVideo = (entry: BoxView): VideoCodec | null => {
  const codec = NAL_CODECS[entry.type];
  if (!codec) return null;
  const configuration = entry.child(codec.box, VISUAL_FIELDS_BYTES) ?? damaged(`${entry.type} without ${codec.box}`);
  return {
    kind: "video",
    fourcc: entry.type,
    codecs: codec.text(entry.type, configuration),
    sampleEntry: ownCopy(entry.whole),
    width: entry.u16(24),
    height: entry.u16(26),
    ...codec.read(configuration),
    sampleAspectRatio: [1, 1],
  };
};

const readAudio = (entry: BoxView): AudioCodec | null => {
  if (entry.type !== "mp4a") return null;
  const esds = entry.child("esds", AUDIO_FIELDS_BYTES) ?? damaged("mp4a without esds");
  const { configuration } = readEsds(esds);
  const aac = readAacConfig(configuration);
  return {
    kind: "audio",
    fourcc: entry.type,
    codecs: `mp4a.40.${aac.objectType}`,
    sampleEntry: ownCopy(entry.whole),
    sampleRate: aac.sampleRate,
    channelCount: aac.channelCount || entry.u16(16),
    audioSpecificConfig: ownCopy(configuration),
    samplesPerFrame: aac.samplesPerFrame,
  };
};

/** The codec of a sample entry; null: none that is served. */
export const readCodec = (entry: BoxView, handler: string): Codec | null => {
  if (handler === "vide") return readVideo(entry);
  if (handler === "soun") return readAudio(entry);
  return null;
};

/** Audio sample entries: of the standard (ISO/IEC 14496-12 §12.2.3) and of QuickTime ("Sound Sample Description"). */
import { readAacConfig } from "./aac.ts";
import { type AudioFormat, readDac3, readDec3, readDfLa, readDOps } from "./audio-config.ts";
import { type BoxView, damaged, ownCopy } from "./box-view.ts";
import { readEsds } from "./descriptor.ts";
import type { AudioCodec } from "./movie.ts";
import { plainBox } from "./plain-box.ts";

/** Where the boxes of an entry begin, after its header. */
const FIELDS_BYTES = 28;
/** QuickTime's versions 1 and 2 have more fields before them. */
const BOXES_AT = [FIELDS_BYTES, 44, 64];

interface EntryFields {
  readonly channelCount: number;
  readonly sampleRate: number;
  readonly boxes: readonly BoxView[];
}

/** `stsdVersion` 1 tells the standard's own version 1, whose fields are those of version 0 (§12.2.3.2). */
const readFields = (entry: BoxView, stsdVersion: number): EntryFields => {
  const version = stsdVersion === 0 ? entry.u16(8) : 0;
  const boxesAt = BOXES_AT[version] ?? damaged(`${entry.type}: a sound description of version ${version}`);
  const boxes = entry.childrenAfter(boxesAt);
  if (version === 2) {
    const rate = entry.slice(32, 8).readDoubleBE(0);
    return { channelCount: entry.u32(40), sampleRate: rate >= 1 && rate < 2 ** 31 ? Math.round(rate) : 0, boxes };
  }
  return { channelCount: entry.u16(16), sampleRate: entry.u16(24), boxes };
};

/** An entry of version 0 with one configuration box, whatever it was before. */
const entryOf = (type: string, format: AudioFormat, boxes: readonly BoxView[]): Buffer => {
  const fields = Buffer.alloc(FIELDS_BYTES);
  fields.writeUInt16BE(1, 6); // data_reference_index
  fields.writeUInt16BE(Math.min(format.channelCount, 0xffff), 16);
  fields.writeUInt16BE(16, 18); // samplesize
  if (format.sampleRate < 2 ** 16) fields.writeUInt16BE(format.sampleRate, 24); // 0 where it does not fit
  return plainBox(type, fields, boxes);
};

interface Found extends AudioFormat {
  readonly codecs: string;
  readonly configuration: BoxView;
  readonly audioSpecificConfig: Buffer | null;
}

const MPEG4_AUDIO = 0x40;
const MPEG2_AAC = [0x66, 0x67, 0x68];
const MP3 = [0x69, 0x6b];
const MPEG1_RATE_MIN = 32_000;

/** HE-AAC that only the entry tells of: its rate is twice that of the core (ISO/IEC 14496-3 §1.6.5.3). */
const withImplicitSbr = (aac: ReturnType<typeof readAacConfig>, entryRate: number): typeof aac =>
  aac.objectType === 2 && entryRate === 2 * aac.sampleRate
    ? { ...aac, objectType: 5, sampleRate: entryRate, samplesPerFrame: 2 * aac.samplesPerFrame }
    : aac;

/** Codecs in `mp4a`, by the object type of `esds` (RFC 6381 §3.3); a text names one that is not served. */
const readMp4a = ({ channelCount, sampleRate, boxes }: EntryFields): Found | string => {
  const child = (type: string): BoxView | undefined => boxes.find((box) => box.type === type);
  const esds = child("esds") ?? child("wave")?.child("esds") ?? damaged("mp4a without esds");
  const { objectType, configuration } = readEsds(esds);
  const hex = objectType.toString(16).padStart(2, "0");
  if (MP3.includes(objectType)) {
    const samplesPerFrame = sampleRate >= MPEG1_RATE_MIN ? 1152 : 576;
    const format = { sampleRate: sampleRate || damaged("mp4a: a sampling rate of 0"), channelCount, samplesPerFrame };
    return { codecs: "mp4a.6b", configuration: esds, audioSpecificConfig: null, ...format };
  }
  if ((objectType !== MPEG4_AUDIO && !MPEG2_AAC.includes(objectType)) || configuration.length === 0)
    return `mp4a.${hex}`;
  const aac = withImplicitSbr(readAacConfig(configuration), sampleRate);
  if (aac.objectType === 0) return "mp4a.40.0";
  return {
    codecs: objectType === MPEG4_AUDIO ? `mp4a.40.${aac.objectType}` : `mp4a.${hex}`,
    configuration: esds,
    audioSpecificConfig: ownCopy(configuration),
    sampleRate: aac.sampleRate,
    channelCount: aac.channelCount || channelCount,
    samplesPerFrame: aac.samplesPerFrame,
  };
};

const BOX_CODECS: ReadonlyMap<string, readonly [box: string, read: (box: BoxView) => AudioFormat]> = new Map([
  ["ac-3", ["dac3", readDac3]],
  ["ec-3", ["dec3", readDec3]],
  ["Opus", ["dOps", readDOps]],
  ["fLaC", ["dfLa", readDfLa]],
]);

const readOther = (type: string, { boxes }: EntryFields): Found | string => {
  const known = BOX_CODECS.get(type);
  if (!known) return type;
  const [box, read] = known;
  const configuration = boxes.find((one) => one.type === box) ?? damaged(`${type} without ${box}`);
  return { codecs: type, configuration, audioSpecificConfig: null, ...read(configuration) };
};

/** The codec of an entry; a text names one that is not served. */
export const readAudioEntry = (entry: BoxView, stsdVersion: number): AudioCodec | string => {
  if (entry.type !== "mp4a" && !BOX_CODECS.has(entry.type)) return entry.type;
  const fields = readFields(entry, stsdVersion);
  const found = entry.type === "mp4a" ? readMp4a(fields) : readOther(entry.type, fields);
  if (typeof found === "string") return found;
  const { configuration, ...described } = found;
  const bitRate = fields.boxes.filter(({ type }) => type === "btrt");
  const bytes = entryOf(entry.type, described, [configuration, ...bitRate]);
  return { kind: "audio", fourcc: entry.type, sampleEntry: bytes, ...described };
};

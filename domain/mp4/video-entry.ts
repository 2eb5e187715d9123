/** Visual sample entries (ISO/IEC 14496-12 §12.1.3). */
import { type BoxView, damaged } from "./box-view.ts";
import { av1Text, avcText, hevcText, vp9Text } from "./codec-text.ts";
import type { VideoCodec } from "./movie.ts";
import { type NalConfig, readAvcC, readHvcC } from "./parameter-sets.ts";
import { plainBox } from "./plain-box.ts";

/** Where the boxes of an entry begin, after its header. */
const FIELDS_BYTES = 78;
/** Bytes that QuickTime fills with a vendor and qualities, and which are 0 here (§12.1.3.2). */
const RESERVED = [8, 24] as const;
/** What is sent of an entry besides its configuration: shape, colours, rates, HDR, stereo, spherical pictures. */
const KEPT = "pasp clap colr btrt mdcv clli SmDm CoLL dvcC dvvC hvcE lhvC amve sv3d st3d".split(" ");

interface VideoKind {
  readonly box: string;
  readonly text: (type: string, configuration: BoxView, colr: BoxView | undefined) => string;
  readonly nalUnits: (configuration: BoxView) => NalConfig;
}
const NONE: NalConfig = { nalLengthBytes: 0, parameterSets: [] };
const AVC: VideoKind = { box: "avcC", text: avcText, nalUnits: readAvcC };
const HEVC: VideoKind = { box: "hvcC", text: hevcText, nalUnits: readHvcC };
const AV1: VideoKind = { box: "av1C", text: av1Text, nalUnits: () => NONE };
const VP9: VideoKind = { box: "vpcC", text: vp9Text, nalUnits: () => NONE };
const KINDS: ReadonlyMap<string, VideoKind> = new Map([
  ["avc1", AVC],
  ["avc3", AVC],
  ["hvc1", HEVC],
  ["hev1", HEVC],
  ["av01", AV1],
  ["vp09", VP9],
]);

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/** Pixels that are so much wider than high, or higher than wide, are a damaged box's. */
const ASPECT_MAX = 16;

/** `pasp` (§12.1.4.2) in lowest terms. */
const aspectOf = (pasp: BoxView | undefined): readonly [number, number] => {
  const [across, down] = pasp && pasp.bytes >= 8 ? [pasp.u32(0), pasp.u32(4)] : [1, 1];
  if (across === 0 || down === 0 || Math.max(across / down, down / across) > ASPECT_MAX) return [1, 1];
  const divisor = greatestDivisor(across, down);
  return [across / divisor, down / divisor];
};

/** QuickTime's `nclc` is not among the colour types of the standard (§12.1.5.2); the samples tell the same. */
const isKept = (box: BoxView, configuration: BoxView): boolean =>
  box === configuration || (KEPT.includes(box.type) && !(box.type === "colr" && box.body.indexOf("nclc") === 0));

/** The codec of an entry; null: none that is served. */
export const readVideoEntry = (entry: BoxView): VideoCodec | null => {
  const kind = KINDS.get(entry.type);
  if (!kind) return null;
  const boxes = entry.childrenAfter(FIELDS_BYTES);
  const child = (type: string): BoxView | undefined => boxes.find((box) => box.type === type);
  const configuration = child(kind.box) ?? damaged(`${entry.type} without ${kind.box}`);
  const fields = Buffer.from(entry.slice(0, FIELDS_BYTES)).fill(0, ...RESERVED);
  fields.writeUInt16BE(1, 6); // data_reference_index: an init segment has one data reference
  const kept = boxes.filter((box) => isKept(box, configuration));
  const [width, height] = [entry.u16(24), entry.u16(26)];
  if (width === 0 || height === 0) damaged(`${entry.type}: a picture of ${width}×${height}`);
  return {
    kind: "video",
    fourcc: entry.type,
    codecs: kind.text(entry.type, configuration, child("colr")),
    sampleEntry: plainBox(entry.type, fields, kept),
    width,
    height,
    ...kind.nalUnits(configuration),
    sampleAspectRatio: aspectOf(child("pasp")),
  };
};

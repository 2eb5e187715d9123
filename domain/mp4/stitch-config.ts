/** Whether chunks can share one decoder configuration (ISO/IEC 14496-15), and what differs where they can't. */
import { unsupported } from "./box-view.ts";
import type { VideoCodec, VideoTrack } from "./movie.ts";
import { inChunk } from "./stitch-samples.ts";
import { childrenOf } from "./walk.ts";

/** Where the boxes of a visual sample entry begin, after its own header. */
const BOXES_AT = 8 + 78;
/** Profile, level and formats of a configuration, before its parameter sets; SEI behind those may differ. */
const FIXED_BYTES: Readonly<Record<string, number>> = { avcC: 5, hvcC: 22 };
/** Rates of one chunk alone: never those of the whole. */
const RATES = "btrt";

const boxesOf = (codec: VideoCodec): ReadonlyMap<string, Buffer> =>
  new Map([...childrenOf(codec.sampleEntry, BOXES_AT)].map(({ type, box }) => [type, box]));

/** `VPS`, `SPS` or `PPS` by the type of the NAL unit. */
const setName = (set: Buffer, isHevc: boolean): string => {
  const type = isHevc ? ((set[0] ?? 0) >> 1) & 0x3f : (set[0] ?? 0) & 0x1f;
  return { 7: "SPS", 8: "PPS", 32: "VPS", 33: "SPS", 34: "PPS" }[type] ?? `parameter set of type ${type}`;
};

const setDifference = (one: VideoCodec, other: VideoCodec, isHevc: boolean): string | null => {
  const [own, others] = [one.parameterSets, other.parameterSets];
  if (own.length !== others.length) return `${others.length} parameter sets against ${own.length}`;
  const index = own.findIndex((set, at) => !set.equals(others[at]!));
  return index === -1 ? null : `its ${setName(own[index]!, isHevc)}`;
};

const boxDifference = (one: VideoCodec, other: VideoCodec): string | null => {
  const [own, others] = [boxesOf(one), boxesOf(other)];
  for (const type of new Set([...own.keys(), ...others.keys()])) {
    if (type === RATES) continue;
    const [a, b] = [own.get(type), others.get(type)];
    if (!a || !b) return `${type}, which only one of them has`;
    const end = FIXED_BYTES[type] === undefined ? undefined : 8 + FIXED_BYTES[type];
    if (!a.subarray(0, end).subarray(8).equals(b.subarray(0, end).subarray(8))) return type;
  }
  return null;
};

/** What a decoder would trip over, in words; null: nothing. */
const difference = (one: VideoCodec, other: VideoCodec): string | null => {
  if (one.fourcc !== other.fourcc) return `codec ${other.fourcc} against ${one.fourcc}`;
  if (one.width !== other.width || one.height !== other.height) {
    return `${other.width}×${other.height} against ${one.width}×${one.height}`;
  }
  if (one.nalLengthBytes !== other.nalLengthBytes) return "bytes of a NAL unit's length";
  return setDifference(one, other, /^h(vc|ev)1$/.test(one.fourcc)) ?? boxDifference(one, other);
};

/** Refuses chunks (MovieError) that the first one's decoder configuration does not fit. */
export const checkConfigurations = (tracks: readonly VideoTrack[]): void => {
  const [first] = tracks;
  for (const [index, track] of tracks.entries()) {
    const what = first ? difference(first.codec, track.codec) : null;
    if (what !== null) inChunk(index, () => unsupported(`it can't follow chunk 0: ${what}`));
  }
};

/** A sample entry without the rates of the one chunk that it is from. */
export const withoutRates = (entry: Buffer): Buffer => {
  const kept = [...childrenOf(entry, BOXES_AT)].filter(({ type }) => type !== RATES).map(({ box }) => box);
  const out = Buffer.concat([entry.subarray(0, BOXES_AT), ...kept]);
  out.writeUInt32BE(out.length, 0);
  return out;
};

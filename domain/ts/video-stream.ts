/** H.264 and H.265 as byte streams in a transport stream (ISO/IEC 13818-1 §2.14, §2.17). */
import { ownCopy } from "../mp4/box-view.ts";
import type { VideoTrack } from "../mp4/movie.ts";
import type { TrackClock } from "./clock.ts";
import { type NoTsMapping, noTsMapping } from "./mapping.ts";
import { type ListedStream, PID, registration } from "./psi.ts";
import { ENCRYPTED_AVC } from "./sample-aes.ts";

/** Room for them is kept in every source area. */
export const PARAMETER_SET_BYTES_MAX = 32 * 1024;
const START_CODE = [0, 0, 0, 1] as const;

/** A parameter set with its start code. */
export interface ParameterSet {
  /** Of the kinds that the codec has, one bit each; 0 for others, which are always sent. */
  readonly kind: number;
  readonly bytes: Buffer;
}

/** How NAL units of a codec are told apart. */
export interface NalSyntax {
  /** A header of two bytes (ITU-T H.265 §7.3.1.2), not of one (H.264 §7.3.1). */
  readonly isHevc: boolean;
  readonly streamType: number;
  readonly delimiterType: number;
  /** `nal_unit_type` of the first kind of parameter set, and how many kinds follow each other. */
  readonly firstSetType: number;
  readonly setTypeCount: number;
  /** An access unit delimiter that allows every kind of picture, with its start code. */
  readonly delimiter: Buffer;
}
const AVC: NalSyntax = {
  isHevc: false,
  streamType: 0x1b,
  delimiterType: 9,
  firstSetType: 7, // SPS, PPS
  setTypeCount: 2,
  delimiter: Buffer.from([...START_CODE, 0x09, 0xf0]),
};
const HEVC: NalSyntax = {
  isHevc: true,
  streamType: 0x24,
  delimiterType: 35,
  firstSetType: 32, // VPS, SPS, PPS
  setTypeCount: 3,
  delimiter: Buffer.from([...START_CODE, 0x46, 0x01, 0x50]),
};
const SYNTAX: Readonly<Record<string, NalSyntax>> = { avc1: AVC, avc3: AVC, hvc1: HEVC, hev1: HEVC };

export interface VideoStream {
  readonly listed: ListedStream;
  readonly clock: TrackClock;
  /** Units of the track by which decoding comes earlier than the file says, so that no picture is shown before it. */
  readonly decodeLead: number;
  readonly syntax: NalSyntax;
  /** Bytes of a length prefix in the file. */
  readonly nalLengthBytes: number;
  readonly sets: readonly ParameterSet[];
  readonly setBytes: number;
  /** Slices are encrypted (`sample-aes.ts`). */
  readonly isEncrypted: boolean;
}

const parameterSet = ({ isHevc, firstSetType, setTypeCount }: NalSyntax, unit: Buffer): ParameterSet => {
  const [head = 0] = unit;
  const index = (isHevc ? (head >> 1) & 63 : head & 31) - firstSetType;
  const kind = index >= 0 && index < setTypeCount ? 1 << index : 0;
  return { kind, bytes: ownCopy(Uint8Array.from([...START_CODE, ...unit])) };
};

/** Frames from the first on that show how far pictures are reordered: some seconds, any GOP's pattern. */
const PATTERN_FRAMES = 256;

/**
 * Files whose composition offsets are signed have decode times that begin with the first picture shown: a picture that
 * is shown before its decode time must not be (ISO/IEC 13818-1 §2.7.4), so decoding is told earlier by as much.
 */
const decodeLeadOf = ({ table }: VideoTrack): number => {
  const { compositionOffset } = table.samples(0, Math.min(PATTERN_FRAMES, table.sampleCount));
  return Math.abs(compositionOffset.reduce((lowest, offset) => Math.min(lowest, offset), 0));
};

const listed = ({ isHevc, streamType }: NalSyntax, isEncrypted: boolean): ListedStream => {
  if (isEncrypted)
    return { pid: PID.video, streamType: ENCRYPTED_AVC.streamType, descriptors: ENCRYPTED_AVC.descriptors };
  return { pid: PID.video, streamType, descriptors: isHevc ? registration("HEVC") : [] };
};

export const videoStream = (track: VideoTrack, isEncrypted: boolean): VideoStream | NoTsMapping => {
  const { fourcc, nalLengthBytes, parameterSets } = track.codec;
  const syntax = SYNTAX[fourcc];
  if (!syntax) return noTsMapping(track.codec, "of video only H.264 and H.265 have one");
  if (isEncrypted && syntax.isHevc) return noTsMapping(track.codec, "of encrypted video only H.264 has one");
  const sets = parameterSets.map((unit) => parameterSet(syntax, unit));
  const setBytes = sets.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (setBytes > PARAMETER_SET_BYTES_MAX) return noTsMapping(track.codec, `${setBytes} bytes of parameter sets`);
  return {
    listed: listed(syntax, isEncrypted),
    clock: track,
    decodeLead: decodeLeadOf(track),
    syntax,
    nalLengthBytes,
    sets,
    setBytes,
    isEncrypted,
  };
};

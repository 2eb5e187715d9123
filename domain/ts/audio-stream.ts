/** AAC as ADTS, AC-3, E-AC-3 and MPEG audio as they are. */
import { threeLetterLanguage } from "../mp4/language.ts";
import type { AudioCodec, AudioTrack } from "../mp4/movie.ts";
import { ADTS_FRAME_BYTES_MAX, adtsOf } from "./adts.ts";
import { TICKS_PER_SECOND, type TrackClock } from "./clock.ts";
import { type NoTsMapping, noTsMapping } from "./mapping.ts";
import { type ListedStream, languageDescriptor, PID, registration } from "./psi.ts";
import { encryptedAac } from "./sample-aes.ts";

export interface AudioStream {
  readonly listed: ListedStream;
  readonly clock: TrackClock;
  readonly streamId: number;
  /** Of one frame; null where the codec does not say. */
  readonly frameTicks: number | null;
  /** What stands before each frame; empty where frames have headers of their own. */
  readonly frameHeader: Buffer;
  /** Of a frame without that header; what is longer is damaged, and cut. */
  readonly frameBytesMax: number;
  /** Frames are encrypted (`sample-aes.ts`). */
  readonly isEncrypted: boolean;
}

/** How a codec is carried. */
interface Carriage {
  /** ISO/IEC 13818-1 Table 2-34; ATSC A/52 Annexes A and G. */
  readonly streamType: number;
  readonly streamId: number;
  readonly descriptors?: readonly number[];
  readonly frameHeader?: Buffer;
}
const MPEG_AUDIO = 0xc0;
const PRIVATE_STREAM_1 = 0xbd;
/** Longer than a frame of any codec, and shorter than a PES packet may be (16 bits). */
const FRAME_BYTES_MAX = 60_000;
const NO_HEADER = Buffer.alloc(0);
/** MPEG-1 audio; below are the sampling rates of MPEG-2. */
const MPEG1_RATE_MIN = 32_000;

/** Layer III by any of its names: object types 0x69 and 0x6B, and 34 of MPEG-4. */
const isMp3 = ({ fourcc, codecs }: AudioCodec): boolean =>
  fourcc === ".mp3" || /^(?:mp3|mp4a\.(?:69|6b|40\.34))$/i.test(codecs);

const carriageOf = (codec: AudioCodec): Carriage | string => {
  if (codec.fourcc === "ac-3")
    return { streamType: 0x81, streamId: PRIVATE_STREAM_1, descriptors: registration("AC-3") };
  if (codec.fourcc === "ec-3")
    return { streamType: 0x87, streamId: PRIVATE_STREAM_1, descriptors: registration("EAC3") };
  if (isMp3(codec)) return { streamType: codec.sampleRate >= MPEG1_RATE_MIN ? 0x03 : 0x04, streamId: MPEG_AUDIO };
  if (!codec.audioSpecificConfig) return "of audio only AAC, AC-3, E-AC-3 and MP3 have one";
  const adts = adtsOf(codec.audioSpecificConfig);
  if ("reason" in adts) return adts.reason;
  return { streamType: 0x0f, streamId: MPEG_AUDIO, frameHeader: adts.header };
};

/** Others need the start of their media, or are nowhere said to be possible. */
const encryptedCarriageOf = (codec: AudioCodec): Carriage | string => {
  const carriage = carriageOf(codec);
  if (typeof carriage === "string") return carriage;
  if (!codec.audioSpecificConfig || !carriage.frameHeader) return "of encrypted audio only AAC has one";
  return { ...carriage, ...encryptedAac(codec.codecs, codec.audioSpecificConfig) };
};

export const audioStream = (track: AudioTrack, isEncrypted: boolean): AudioStream | NoTsMapping => {
  const carriage = isEncrypted ? encryptedCarriageOf(track.codec) : carriageOf(track.codec);
  if (typeof carriage === "string") return noTsMapping(track.codec, carriage);
  const { streamType, streamId, descriptors = [], frameHeader } = carriage;
  const { samplesPerFrame, sampleRate } = track.codec;
  const letters = threeLetterLanguage(track.language);
  const language = letters === "und" ? [] : languageDescriptor(letters);
  return {
    listed: { pid: PID.audio, streamType, descriptors: [...descriptors, ...language] },
    clock: track,
    streamId,
    frameTicks: samplesPerFrame > 0 && sampleRate > 0 ? (samplesPerFrame * TICKS_PER_SECOND) / sampleRate : null,
    frameHeader: frameHeader ?? NO_HEADER,
    frameBytesMax: frameHeader ? ADTS_FRAME_BYTES_MAX - frameHeader.length : FRAME_BYTES_MAX,
    isEncrypted,
  };
};

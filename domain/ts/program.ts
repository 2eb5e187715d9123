import type { AudioTrack, VideoTrack } from "../mp4/movie.ts";
import { type AudioStream, audioStream } from "./audio-stream.ts";
import { ID3_PROGRAM_DESCRIPTOR, ID3_STREAM } from "./id3.ts";
import type { NoTsMapping } from "./mapping.ts";
import { patPacket, pmtPacket } from "./psi.ts";
import { type VideoStream, videoStream } from "./video-stream.ts";

/** What all segments of one choice of tracks have in common: the tables, the codecs' headers, the clocks. */
export interface TsProgram {
  readonly kind: "program";
  readonly pat: Buffer;
  readonly pmt: Buffer;
  readonly video: VideoStream | null;
  readonly audio: AudioStream | null;
}

export interface ProgramTracks {
  /** Null: none is sent. */
  readonly video: VideoTrack | null;
  readonly audio: AudioTrack | null;
  /** Media is encrypted by SAMPLE-AES: segments need a cipher. */
  readonly sampleAes?: boolean;
  /** Lists a stream of timed ID3 tags, which segments may then carry. */
  readonly id3?: boolean;
}

/** Made once per file and choice of tracks; says which codec stands against it where there is no such stream. */
export const tsProgram = (tracks: ProgramTracks): TsProgram | NoTsMapping => {
  const { sampleAes = false } = tracks;
  const video = tracks.video && videoStream(tracks.video, sampleAes);
  if (video && "kind" in video) return video;
  const audio = tracks.audio && audioStream(tracks.audio, sampleAes);
  if (audio && "kind" in audio) return audio;
  const streams = [video, audio].flatMap((stream) => stream?.listed ?? []);
  const pmt = pmtPacket({
    pcrPid: streams[0]?.pid ?? null,
    descriptors: tracks.id3 ? ID3_PROGRAM_DESCRIPTOR : [],
    streams: tracks.id3 ? [...streams, ID3_STREAM] : streams,
  });
  return { kind: "program", pat: patPacket(), pmt, video, audio };
};

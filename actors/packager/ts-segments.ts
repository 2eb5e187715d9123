/** MPEG-2 TS segments out of a file (`domain/ts`). */
import { fail } from "../../contracts/errors.ts";
import { largestSampleBytes } from "../../domain/mp4/gather.ts";
import type { AudioTrack, Samples, Track, VideoTrack } from "../../domain/mp4/movie.ts";
import { type TsProgram, tsProgram } from "../../domain/ts/program.ts";
import { type SegmentInput, TsSegment } from "../../domain/ts/segment.ts";
import { areaBytesFor } from "../../domain/ts/source-window.ts";
import { type SamplesPart, sourceBytesOf } from "./fragments.ts";
import type { FileProtection } from "./protection.ts";
import type { SegmentRecipe } from "./workshop.ts";

export interface TsOptions {
  readonly path: string;
  readonly parts: readonly SamplesPart[];
  /** 0-based. */
  readonly segmentIndex: number;
  readonly protection: FileProtection | null;
  /** A timed ID3 tag that goes with the segment. */
  readonly artwork: Buffer | null;
}

const isVideo = (track: Track): track is VideoTrack => track.codec.kind === "video";
const isAudio = (track: Track): track is AudioTrack => track.codec.kind === "audio";

/** Tables and headers of a track choice, made once for each: they hang on the video's track, else on the audio's. */
const programs = new WeakMap<Track, Map<string, TsProgram>>();

interface ProgramChoice {
  readonly video: VideoTrack | null;
  readonly audio: AudioTrack | null;
  readonly sampleAes: boolean;
  readonly id3: boolean;
}

const programOf = (path: string, choice: ProgramChoice): TsProgram => {
  const { video, audio, sampleAes, id3 } = choice;
  const leader = video ?? audio;
  if (!leader) throw new Error("bug: a segment without tracks");
  const key = `${audio?.id} ${sampleAes} ${id3}`;
  const known = programs.get(leader)?.get(key);
  if (known) return known;
  const made = tsProgram(choice);
  // Without its audio a film is of little use, and its audio is in fMP4.
  if (made.kind === "no-ts-mapping") return fail("MEDIA_UNSUPPORTED", { path, reason: made.reason });
  const others = programs.get(leader) ?? new Map<string, TsProgram>();
  programs.set(leader, others.set(key, made));
  return made;
};

/** Of one video and one audio track at most. MEDIA_UNSUPPORTED for codecs that have no place in TS. */
export const tsRecipe = ({ path, parts, segmentIndex, protection, artwork }: TsOptions): SegmentRecipe => {
  const samplesOf = (track: Track | undefined): Samples | null =>
    parts.find((part) => part.track === track)?.samples ?? null;
  const tracks = parts.map((part) => part.track);
  const [video, audio] = [tracks.find(isVideo), tracks.find(isAudio)];
  const cipher = protection?.schemeOf("ts") === "sample-aes" ? protection.tsCipher : null;
  const choice = { video: video ?? null, audio: audio ?? null, sampleAes: cipher !== null, id3: artwork !== null };
  const program = programOf(path, choice);
  const input: SegmentInput = {
    program,
    segmentIndex,
    video: samplesOf(video),
    audio: samplesOf(audio),
    ...(cipher ? { cipher } : {}),
    tag: artwork,
  };
  return {
    exactBytes: new TsSegment(input).exactBytes,
    sourceBytes: sourceBytesOf(parts),
    sourceStepBytes: areaBytesFor(program, largestSampleBytes(parts.map(({ samples }) => samples))),
    madeStepBytes: 0, // packet by packet
    isInFileOrder: true,
    open: () => new TsSegment(input),
  };
};

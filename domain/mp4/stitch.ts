/**
 * One MP4 out of parts that were encoded apart: chunks with pictures alone, one behind the other, and one file with
 * every sound track, whole. Nothing is copied here: the answer is what comes before the media, and which ranges of the
 * parts the media is.
 */
import { unsupported } from "./box-view.ts";
import type { Movie, VideoTrack } from "./movie.ts";
import { checkConfigurations } from "./stitch-config.ts";
import { type Extents, finalLayout, gridCuts, virtualLayout } from "./stitch-layout.ts";
import { stitchedHead } from "./stitch-moov.ts";
import { inChunk, stitchAudio, stitchVideo } from "./stitch-samples.ts";

export type { Extent, Extents } from "./stitch-layout.ts";

export interface StitchParts {
  /** In order, at least one: movies with one track of pictures and no other, in the same encoder's configuration. */
  readonly chunks: readonly Movie[];
  /** Its sound tracks, in their order; null: there is none. */
  readonly audio: Movie | null;
}

export interface StitchOptions {
  /**
   * `virtual`: samples stay where they are, a range of each part is the media. `final`: copied segment by segment, the
   * pictures of each and then each track's sound.
   */
  readonly layout: "virtual" | "final";
  /** The grid: of what is copied, and of `stsc`. */
  readonly segmentSeconds: number;
  /** `pictures`: sound that begins behind the last picture's end is left out, since more pictures follow. */
  readonly audioUntil?: "end" | "pictures";
}

export interface Stitched {
  /** `ftyp`, `moov` and the header of `mdat`. */
  readonly head: Buffer;
  /** What follows it: ranges of the chunks, and of the audio as the part behind the last of them. */
  readonly extents: Extents;
  readonly sizeBytes: number;
  readonly frameCount: number;
  /** When the last picture ends. */
  readonly pictureSeconds: number;
}

const pictureOf = ({ video, audio, text }: Movie, index: number): VideoTrack => {
  const [track] = video;
  if (track && video.length + audio.length + text.length === 1) return track;
  return inChunk(index, () => unsupported(`it has ${video.length} tracks of pictures, and ${audio.length} of sound`));
};

/**
 * Throws MovieError where the parts don't fit together, with the words of what differs. Presentation times are the
 * parts' own: the first chunk begins when it said, each other one where the one before it ends; sound keeps its times,
 * what an encoder put before its beginning is taken off by an edit again.
 */
export const stitch = ({ chunks, audio }: StitchParts, options: StitchOptions): Stitched => {
  const pictures = chunks.map(pictureOf);
  checkConfigurations(pictures);
  const video = stitchVideo(pictures);
  const pictureSeconds = video.endTicks / video.timescale;
  const until = options.audioUntil === "pictures" ? pictureSeconds : null;
  const sounds = (audio?.audio ?? []).map((track) => stitchAudio(track, chunks.length, until));
  const tracks = [video, ...sounds] as const;
  const cuts = gridCuts(tracks, options.segmentSeconds);
  const layout = options.layout === "final" ? finalLayout(tracks, cuts) : virtualLayout(tracks, cuts);
  const head = stitchedHead(tracks, layout);
  const sizeBytes = head.length + layout.extents.lengthBytes;
  return { head, extents: layout.extents, sizeBytes, frameCount: video.samples.count, pictureSeconds };
};

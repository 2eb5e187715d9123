import type { AudioCodec, VideoCodec } from "../mp4/movie.ts";

/** A codec that no player takes in a transport stream: the file is served as fMP4, or without the track. */
export interface NoTsMapping {
  readonly kind: "no-ts-mapping";
  readonly media: "video" | "audio";
  /** RFC 6381. */
  readonly codecs: string;
  readonly reason: string;
}

export const noTsMapping = ({ kind, codecs }: VideoCodec | AudioCodec, why: string): NoTsMapping => ({
  kind: "no-ts-mapping",
  media: kind,
  codecs,
  reason: `${codecs} has no place in a transport stream: ${why}`,
});

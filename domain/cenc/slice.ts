/** What subsample encryption must know of NAL units: where the header of a slice ends (ISO/IEC 23001-7 §9.5). */
import type { VideoCodec } from "../mp4/movie.ts";
import { avcSlices } from "./avc-slice.ts";
import { hevcSlices } from "./hevc-slice.ts";

/** NAL units of one track, in decode order: later ones are read by the parameter sets of earlier ones. */
export interface SliceReader {
  /**
   * Bytes of a coded slice that stay clear, header of the NAL unit included; 0: it is none, all of it stays clear. The
   * unit lies from `start` up to `end`. Parameter sets are learned. NalError when the header can't be read.
   */
  clearBytes(bytes: Uint8Array, start: number, end: number): number;
}

const READERS: Readonly<Record<string, () => SliceReader>> = {
  avc1: avcSlices,
  avc3: avcSlices,
  hvc1: hevcSlices,
  hev1: hevcSlices,
};

/** The codec's samples are NAL units whose slice headers can be read. */
export const isSliced = ({ fourcc, nalLengthBytes }: VideoCodec): boolean => fourcc in READERS && nalLengthBytes > 0;

/** Throws for codecs of which `isSliced` is false. */
export const sliceReader = ({ fourcc, parameterSets }: VideoCodec): SliceReader => {
  const reader = READERS[fourcc]?.();
  if (!reader) throw new Error(`bug: no slices in ${fourcc}`);
  for (const unit of parameterSets) reader.clearBytes(unit, 0, unit.length);
  return reader;
};

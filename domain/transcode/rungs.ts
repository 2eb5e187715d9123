/** The rungs of one title: its ladder, with what each is encoded as. */
import { type AbrRung, type LadderCodec, shownSize, smartAbrLadder } from "../ladder/smart-abr-ladder.ts";
import type { DynamicRange } from "./colour.ts";
import type { SourceVideo } from "./source.ts";

export interface TitleRung extends AbrRung {
  readonly dynamicRange: DynamicRange;
  readonly bitDepth: 8 | 10;
}

/** What x265 takes at least. */
const HEVC_SIDE_MIN = 32;

/** As it is shown: upright, with square pixels. */
export const shownSizeOf = ({ width, height, sampleAspectRatio, orientation }: SourceVideo) =>
  shownSize({ width, height, sampleAspectRatio, rotation: orientation.turn });

export const titleRungs = (video: SourceVideo, codec: LadderCodec): TitleRung[] => {
  const { width, height } = shownSizeOf(video);
  const ladder = smartAbrLadder(codec, width, height);
  const isTiny = ladder.some((rung) => rung.codec === "hevc" && Math.min(rung.width, rung.height) < HEVC_SIDE_MIN);
  const rungs = isTiny ? smartAbrLadder("h264", width, height) : ladder;
  return rungs.map((rung) => {
    const isHevc = rung.codec === "hevc";
    return {
      ...rung,
      dynamicRange: isHevc ? video.colour.dynamicRange : "sdr",
      bitDepth: isHevc && video.colour.bitDepth > 8 ? 10 : 8,
    };
  });
};

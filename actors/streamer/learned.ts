/** What a stream makes of what ffmpeg says about its source. Pure. */
import type { SourceInfo } from "../../lib/ffmpeg/source-info.ts";
import type { Learned } from "./state-file.ts";

export type Lesson =
  /** Nothing new, or nothing that matters. */
  | { readonly kind: "known" }
  /** Probing ended before a key frame came. */
  | { readonly kind: "unclear" }
  /** `otherCommand`: the command that runs was made for other tracks. */
  | { readonly kind: "new"; readonly learned: Learned; readonly otherCommand: boolean };

/** A command is made for a picture with sound until something else is known. */
const EXPECTED = { hasAudio: true, interlaced: false };

/**
 * `isShown`: viewers have seen something, so size and rate stay what they are; the filters hide what the source does.
 */
export const learnFrom = (before: Learned | null, info: SourceInfo, { isShown }: { isShown: boolean }): Lesson => {
  if (!info.hasVideo) return { kind: "known" };
  const isFixed = isShown && before !== null;
  if (!isFixed && (info.width === null || info.height === null)) return { kind: before ? "known" : "unclear" };
  const { hasAudio, interlaced } = info;
  const { frameRate, width, height } = isFixed ? before : info;
  const learned = { frameRate, width, height, hasAudio, interlaced };
  if (JSON.stringify(learned) === JSON.stringify(before)) return { kind: "known" };
  const madeFor = before ?? EXPECTED;
  const otherCommand = hasAudio !== madeFor.hasAudio || interlaced !== madeFor.interlaced;
  return { kind: "new", learned, otherCommand };
};

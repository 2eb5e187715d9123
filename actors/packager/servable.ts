/** Which tracks have a form in which container, encrypted as their file's rule says: the others are in no playlist. */
import { codeOf, fail } from "../../contracts/errors.ts";
import { isProtected } from "../../domain/cenc/protection.ts";
import type { Container, TrackChoice } from "../../domain/csmil/leaf.ts";
import { type AudioTrack, MovieError, type VideoTrack } from "../../domain/mp4/movie.ts";
import { tsProgram } from "../../domain/ts/program.ts";
import type { CutMovie } from "../../domain/vod/plan.ts";
import type { FileProtection } from "./protection.ts";

export interface Offer {
  readonly path: string;
  readonly cut: CutMovie;
  readonly tracks: TrackChoice;
  readonly container: Container;
  readonly protection: FileProtection | null;
}

interface Chosen {
  readonly video: VideoTrack | null;
  readonly audio: AudioTrack | null;
}

const chosen = ({ cut: { movie }, tracks }: Offer): Chosen => ({
  video: (tracks.video ? movie.video[0] : null) ?? null,
  audio: (tracks.audio === null ? null : movie.audio[tracks.audio]) ?? null,
});

/** Null: nothing stands against it. */
const obstacle = (offer: Offer): string | null => {
  const { container, protection } = offer;
  const { video, audio } = chosen(offer);
  const scheme = protection?.schemeOf(container) ?? null;
  if (container === "ts") {
    const program = tsProgram({ video, audio, sampleAes: scheme === "sample-aes" });
    return program.kind === "program" ? null : program.reason;
  }
  if (scheme !== "cenc" && scheme !== "cbcs") return null;
  try {
    if (video) isProtected(video.codec);
    return null;
  } catch (error) {
    if (error instanceof MovieError) return error.message;
    throw error;
  }
};

/** MEDIA_UNSUPPORTED for what would be a playlist of segments that can't be made. */
export const assertServable = (offer: Offer): void => {
  const reason = obstacle(offer);
  if (reason !== null) fail("MEDIA_UNSUPPORTED", { path: offer.path, reason });
};

export const isServable = (offer: Offer): boolean => {
  try {
    assertServable(offer);
    return true;
  } catch (error) {
    if (codeOf(error) === "MEDIA_UNSUPPORTED") return false;
    throw error;
  }
};

/** Those that can be served; MEDIA_UNSUPPORTED when none can. */
export const servable = <T>(all: readonly T[], offerOf: (one: T) => Offer): readonly T[] => {
  const found = all.filter((one) => isServable(offerOf(one)));
  const [first] = all;
  if (found.length === 0 && first !== undefined) assertServable(offerOf(first));
  return found;
};

/** When the audio of two files of a set is the same, encoded twice. */
import type { RenditionTrack } from "./rendition.ts";

const RATE_RATIO = 1.1;

/** Same codec, language, name and layout, at nearly the same rate: one of them is enough in a manifest. */
export const isSameAudio = (one: RenditionTrack, other: RenditionTrack): boolean =>
  one.codecs === other.codecs &&
  one.language === other.language &&
  one.name === other.name &&
  one.channelCount === other.channelCount &&
  one.sampleRate === other.sampleRate &&
  Math.max(one.averageBps, other.averageBps) <= RATE_RATIO * Math.min(one.averageBps, other.averageBps);

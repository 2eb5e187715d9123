/** What is decided about a source before anything is encoded: the row `plan` of a transcode. Plain values. */
import type { MediaFacts } from "../../contracts/transcoder.ts";
import type { LadderCodec } from "../../domain/ladder/smart-abr-ladder.ts";
import { type SoundTrack, soundTracks } from "../../domain/transcode/other-arguments.ts";
import { shownSizeOf, type TitleRung, titleRungs } from "../../domain/transcode/rungs.ts";
import type { Source } from "../../domain/transcode/source.ts";
import {
  type Chunk,
  chunkPlan,
  commonRate,
  frameCountOf,
  hertz,
  type Rate,
  secondsAt,
} from "../../domain/transcode/timing.ts";

export interface Plan {
  readonly source: Source;
  readonly rate: Rate;
  /** Of the whole title. */
  readonly frameCount: number;
  /** Of these the source has pictures; behind them the last one stays. */
  readonly pictureFrames: number;
  readonly rungs: readonly TitleRung[];
  readonly sound: readonly SoundTrack[];
}

/** Null: nothing tells how long it is. `pictureEndSeconds`: as its last packets say, in the source's time. */
export const planOf = (source: Source, codec: LadderCodec, pictureEndSeconds: number | null): Plan | null => {
  const { video, originSeconds } = source;
  const rate = commonRate(video.averageRate, video.nominalRate);
  const pictureEnd = pictureEndSeconds ?? video.endSeconds;
  const soundEnds = source.audio.flatMap(({ endSeconds }) => (endSeconds === null ? [] : [endSeconds]));
  const ends = pictureEnd === null ? soundEnds : [pictureEnd, ...soundEnds];
  const seconds = ends.length > 0 ? Math.max(...ends) - originSeconds : source.durationSeconds;
  if (seconds === null || !(seconds > 0)) return null;
  const frameCount = frameCountOf(seconds, rate);
  const pictureFrames = pictureEnd === null ? frameCount : frameCountOf(pictureEnd - originSeconds, rate);
  return {
    source,
    rate,
    frameCount,
    pictureFrames: Math.min(frameCount, pictureFrames),
    rungs: titleRungs(video, codec),
    sound: soundTracks(source.audio),
  };
};

export const chunksOf = (plan: Plan): Chunk[] => chunkPlan(plan.frameCount, plan.rate);
/** Sound of so many seconds is made first, of titles that are longer than twice that: 1 s of work. */
export const HEAD_SECONDS = 60;
export const hasAudioHead = (plan: Plan): boolean => plan.sound.length > 0 && durationOf(plan) > 2 * HEAD_SECONDS;

export const durationOf = (plan: Plan): number => secondsAt(plan.frameCount, plan.rate);

export const mediaFactsOf = (plan: Plan): MediaFacts => {
  const { video, audio, texts, notes } = plan.source;
  const languages = (tracks: readonly { readonly language: string }[]) => [...new Set(tracks.map((t) => t.language))];
  return {
    durationSeconds: durationOf(plan),
    ...shownSizeOf(video),
    videoCodec: video.codec,
    dynamicRange: video.colour.dynamicRange,
    frameRate: hertz(plan.rate),
    audioLanguages: languages(audio),
    subtitleLanguages: languages(texts),
    notes: [...notes],
  };
};

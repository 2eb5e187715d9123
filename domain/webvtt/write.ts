/** WebVTT as it is sent: cut into segments for HLS (RFC 8216 §3.5), and whole for DASH. */
import { TIME_OFFSET_SECONDS } from "../vod/plan.ts";
import { type Cue, type TimedText, timestamp } from "./cue.ts";

const MPEG_TICKS_PER_SECOND = 90_000;
/** Cue time 0 is where the media's time 0 was moved to. */
const MAP = `X-TIMESTAMP-MAP=MPEGTS:${TIME_OFFSET_SECONDS * MPEG_TICKS_PER_SECOND},LOCAL:00:00:00.000`;

const cueText = ({ id, settings, text }: Cue, from: number, to: number): string => {
  const times = `${timestamp(from)} --> ${timestamp(to)}`;
  return `${id === "" ? "" : `${id}\n`}${times}${settings === "" ? "" : ` ${settings}`}\n${text}\n`;
};

const written = (head: string, { blocks }: TimedText, cues: readonly string[]): string =>
  `${head}\n${[...blocks.map((block) => `${block}\n`), ...cues].map((part) => `\n${part}`).join("")}`;

/** A part of the presentation in seconds; `endSeconds` is not in it. */
export interface Interval {
  readonly startSeconds: number;
  readonly endSeconds: number;
}
const shownIn = (text: TimedText, { startSeconds, endSeconds }: Interval): readonly Cue[] =>
  text.cues.filter((cue) => cue.startSeconds < endSeconds && cue.endSeconds > startSeconds);

/** One segment: every cue that is shown in it, with its whole times, so also in the segments that it reaches into. */
export const webvttSegment = (text: TimedText, interval: Interval): string =>
  written(
    `WEBVTT\n${MAP}`,
    text,
    shownIn(text, interval).map((cue) => cueText(cue, cue.startSeconds, cue.endSeconds)),
  );

/** What is shown in an interval as one file, with times that count from its beginning: `start` and `end` of an MPD. */
export const webvttFile = (text: TimedText, { startSeconds, endSeconds }: Interval): string =>
  written(
    "WEBVTT",
    text,
    shownIn(text, { startSeconds, endSeconds }).map((cue) =>
      cueText(cue, Math.max(0, cue.startSeconds - startSeconds), Math.min(endSeconds, cue.endSeconds) - startSeconds),
    ),
  );

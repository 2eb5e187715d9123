/**
 * The MPD of a live presentation (ISO/IEC 23009-1), profile isoff-live: one Period, segments by number, relative URIs.
 */
import { bandwidthOf } from "../live/bandwidth.ts";
import { segmentMsOf, TICKS_PER_SECOND } from "../live/grid.ts";
import type { Presentation } from "../live/presentation.ts";
import type { Rendition } from "../live/rendition.ts";
import { element } from "./xml.ts";

export interface MpdOptions {
  /** First segment number of the anchor: the period's start, for as long as the channel has that anchor. */
  readonly firstNumber: number;
  /** What the encoder may use for a rendition, bit/s by name. */
  readonly declaredBps?: Readonly<Record<string, number>>;
  /** URI of a rendition's init segment, relative to its folder. */
  readonly initUri?: (rendition: Rendition) => string;
  /** Date of stream time 0, ms since 1970, on the clock that `clockMs` tells; it never changes. */
  readonly zeroMs: number;
}

const PRESENTATION_DELAY_SEGMENTS = 3;
const MINIMUM_UPDATE_SEGMENTS = 2;
const CHANNELS_UNKNOWN = 2;
const iso = (ms: number): string => new Date(Math.round(ms)).toISOString();
const duration = (ms: number): string => `PT${(ms / 1000).toFixed(3).replace(/\.?0+$/, "")}S`;

/** A segment counts as available so long after its last frame is due: renditions don't arrive at the same moment. */
const SLACK_MS = 500;

const template = (rendition: Rendition, presentation: Presentation, options: MpdOptions): string => {
  const timescale = rendition.info?.timescale ?? TICKS_PER_SECOND;
  const units = (presentation.grid.segmentTicks * timescale) / TICKS_PER_SECOND;
  return element("SegmentTemplate", {
    timescale,
    duration: units,
    startNumber: options.firstNumber,
    presentationTimeOffset: Math.round(options.firstNumber * units),
    initialization: `${rendition.name}/${options.initUri?.(rendition) ?? "init.mp4"}`,
    media: `${rendition.name}/$Number$.m4s`,
  });
};

const representation = (rendition: Rendition, presentation: Presentation, options: MpdOptions): string => {
  const { info, name } = rendition;
  const { num, den } = presentation.grid.frameRate;
  const { peakBps } = bandwidthOf(rendition, presentation.grid, options.declaredBps?.[name] ?? 0);
  const common = { id: name, codecs: info?.codec, bandwidth: peakBps };
  const segments = template(rendition, presentation, options);
  if (rendition.kind === "video") {
    const frameRate = den === 1 ? num : `${num}/${den}`;
    const size = { width: info?.width, height: info?.height, frameRate, sar: "1:1" };
    return element("Representation", { ...common, ...size }, [segments]);
  }
  const channels = element("AudioChannelConfiguration", {
    schemeIdUri: "urn:mpeg:dash:23003:3:audio_channel_configuration:2011",
    value: info?.channelCount ?? CHANNELS_UNKNOWN,
  });
  return element("Representation", { ...common, audioSamplingRate: info?.sampleRate }, [channels, segments]);
};

const adaptationSet = (presentation: Presentation, kind: "video" | "audio", options: MpdOptions): string[] => {
  const renditions = presentation.renditions.filter((rendition) => rendition.kind === kind);
  if (renditions.length === 0) return [];
  const attributes = {
    id: kind === "video" ? 1 : 2,
    contentType: kind,
    mimeType: `${kind}/mp4`,
    segmentAlignment: "true",
    startWithSAP: 1,
  };
  return [
    element(
      "AdaptationSet",
      attributes,
      renditions.map((rendition) => representation(rendition, presentation, options)),
    ),
  ];
};

const delaySegmentsOf = ({ windowSegments }: Presentation): number =>
  Math.min(windowSegments, PRESENTATION_DELAY_SEGMENTS);

/**
 * How many segments back a player may go: a stream that has just begun has fewer than its window, and the Period of an
 * old channel began long before them (§5.3.1.2, timeShiftBufferDepth).
 */
const depthOf = ({ firstSegmentNumber, lastSegmentNumber, windowSegments }: Presentation): number =>
  firstSegmentNumber === null || lastSegmentNumber === null
    ? 0
    : Math.min(windowSegments, lastSegmentNumber - firstSegmentNumber + 1);

/**
 * Whether there is an MPD to give. A player keeps the delay that it chose when it joined, and chooses no more than the
 * depth: one that joins before there is enough of it stalls at every segment from then on (seen with dash.js).
 */
export const isDeepEnough = (presentation: Presentation): boolean =>
  depthOf(presentation) >= delaySegmentsOf(presentation);

/**
 * What the clock of `UTCTiming` shows, ms since 1970. It goes with the source's clock: `availabilityStartTime` must not
 * change (DASH-IF IOP, timing model), and the source's clock drifts from ours.
 */
export const clockMs = (presentation: Presentation, zeroMs: number, nowMs: number): number =>
  nowMs - presentation.wallClockMs(0) + zeroMs;

/**
 * Of a presentation that is deep enough. `publishTime` is that of the newest segment: it grows with the presentation,
 * equally on all origins. The clock of `UTCTiming` is fetched from below the stream's own folder, so from wherever the
 * manifest came from.
 */
export const mpdOf = (presentation: Presentation, options: MpdOptions): string => {
  const segmentMs = segmentMsOf(presentation.grid);
  const newestMs = Math.max(...presentation.renditions.map(({ lastSegment }) => lastSegment?.programDateTimeMs ?? 0));
  const period = element("Period", { id: "p0", start: "PT0S" }, [
    ...adaptationSet(presentation, "video", options),
    ...adaptationSet(presentation, "audio", options),
  ]);
  const utc = element("UTCTiming", { schemeIdUri: "urn:mpeg:dash:utc:http-iso:2014", value: "time" });
  const attributes = {
    xmlns: "urn:mpeg:dash:schema:mpd:2011",
    profiles: "urn:mpeg:dash:profile:isoff-live:2011",
    type: "dynamic",
    availabilityStartTime: iso(options.zeroMs + options.firstNumber * segmentMs + SLACK_MS),
    publishTime: iso(newestMs + segmentMs),
    minimumUpdatePeriod: duration(segmentMs * MINIMUM_UPDATE_SEGMENTS),
    minBufferTime: duration(segmentMs),
    timeShiftBufferDepth: duration(depthOf(presentation) * segmentMs),
    maxSegmentDuration: duration(segmentMs + 100), // audio frames don't lie on the grid
    suggestedPresentationDelay: duration(delaySegmentsOf(presentation) * segmentMs),
  };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element("MPD", attributes, [period, utc])}\n`;
};

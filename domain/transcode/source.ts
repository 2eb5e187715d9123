/** A source as the transcoder sees it, out of what ffprobe says: decisions are made on this and on nothing else. */
import { type Colour, colourOf } from "./colour.ts";
import { type Orientation, orientationOf } from "./orientation.ts";
import { numberOf, type Probed, type ProbedFrame, type ProbedStream, ratioOf } from "./probed.ts";

export interface SourceVideo {
  /** Among all streams of the file. */
  readonly streamIndex: number;
  readonly codec: string;
  /** As they are coded: before the orientation and the aspect ratio. */
  readonly width: number;
  readonly height: number;
  readonly sampleAspectRatio: { readonly num: number; readonly den: number };
  readonly orientation: Orientation;
  readonly isInterlaced: boolean;
  readonly colour: Colour;
  /** Per second: what there is, and what the timestamps could hold; null where it isn't told. */
  readonly averageRate: number | null;
  readonly nominalRate: number | null;
  readonly startSeconds: number;
  readonly endSeconds: number | null;
  /** CEA-608 or 708 in the user data of the first frames. */
  readonly hasCaptions: boolean;
}
export interface SourceAudio {
  readonly streamIndex: number;
  readonly codec: string;
  /** ISO 639 or BCP 47; `und`. */
  readonly language: string;
  readonly title: string;
  readonly channels: number;
  readonly isDefault: boolean;
  readonly startSeconds: number;
  readonly endSeconds: number | null;
}
export interface SourceText {
  readonly streamIndex: number;
  readonly codec: string;
  readonly language: string;
  readonly title: string;
  readonly isDefault: boolean;
  readonly isForced: boolean;
  readonly isSdh: boolean;
}
export interface Source {
  readonly container: string;
  readonly video: SourceVideo;
  readonly audio: readonly SourceAudio[];
  readonly texts: readonly SourceText[];
  /** What plays at 0 s of the title is at this time of the file. */
  readonly originSeconds: number;
  /** Null: the file doesn't tell. */
  readonly durationSeconds: number | null;
  /** Of what is left out, for people. */
  readonly notes: readonly string[];
}
/** `refused`: why it can't be transcoded, for people. */
export type SourceReading = { readonly source: Source } | { readonly refused: string };

const SIDE_MAX = 8192;
const PIXELS_MAX = 8192 * 4320;
const SIDE_MIN = 2;
const DURATION_MAX_SECONDS = 24 * 3600;
const STREAMS_MAX = 200;
const AUDIO_MAX = 16; // with a 5.1 besides each these are the 32 tracks that a set may have
const TEXTS_MAX = 60; // and four channels of captions
/** Samples that an encoder of sound put before its beginning: they are not heard, and no picture waits for them. */
const PRIMING_MAX_SECONDS = 0.1;
/** A sound that begins so much before the picture is a mistake of the file and no opening of the film. */
const LEAD_MAX_SECONDS = 30;

const TEXT_CODECS = new Set(["subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text", "ttml"]);
const BITMAP_CODECS = new Set(["dvb_subtitle", "dvd_subtitle", "hdmv_pgs_subtitle", "xsub"]);
const LANGUAGE = /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}$/;

const languageOf = ({ tags }: ProbedStream): string => {
  const text = tags?.language ?? tags?.LANGUAGE ?? "und";
  return LANGUAGE.test(text) ? text : "und";
};
const titleOf = ({ tags }: ProbedStream): string => (tags?.title ?? "").slice(0, 200);
const isSet = ({ disposition }: ProbedStream, name: string): boolean => disposition?.[name] === 1;
const startOf = (stream: ProbedStream): number => numberOf(stream.start_time) ?? 0;

/** `00:01:02.500000000`, as Matroska has it of a stream; it counts from 0 of the file. */
const clockSeconds = (text: string | undefined): number | null => {
  const [, hours, minutes, seconds] = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/.exec(text ?? "") ?? [];
  return seconds === undefined ? null : Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
};
const endOf = (stream: ProbedStream): number | null => {
  const durationSeconds = numberOf(stream.duration);
  return durationSeconds === null ? clockSeconds(stream.tags?.DURATION) : startOf(stream) + durationSeconds;
};

/** Cover art, still pictures and pictures that were never coded are none. */
const isPicture = (stream: ProbedStream): boolean =>
  stream.codec_type === "video" &&
  !isSet(stream, "attached_pic") &&
  !isSet(stream, "timed_thumbnails") &&
  !isSet(stream, "still_image") &&
  (stream.width ?? 0) > 0;

const perSecond = (text: string | undefined): number | null => {
  const ratio = ratioOf(text);
  return ratio === null ? null : ratio.num / ratio.den;
};

const isCaptioned = ({ side_data_list = [] }: ProbedFrame): boolean =>
  side_data_list.some(({ side_data_type }) => /Closed Captions/.test(side_data_type ?? ""));

const videoOf = (stream: ProbedStream, frames: readonly ProbedFrame[]): SourceVideo => ({
  streamIndex: stream.index,
  codec: stream.codec_name ?? "unknown",
  width: stream.width ?? 0,
  height: stream.height ?? 0,
  sampleAspectRatio: ratioOf(stream.sample_aspect_ratio) ?? { num: 1, den: 1 },
  orientation: orientationOf(stream.side_data_list ?? []),
  // What the frames say: containers call progressive films interlaced, and the other way round.
  isInterlaced:
    frames.length > 0
      ? frames.some((frame) => frame.interlaced_frame === 1)
      : /^(?:tt|bb|tb|bt)$/.test(stream.field_order ?? ""),
  colour: colourOf(stream, frames[0]),
  averageRate: perSecond(stream.avg_frame_rate),
  nominalRate: perSecond(stream.r_frame_rate),
  startSeconds: startOf(stream),
  endSeconds: endOf(stream),
  hasCaptions: stream.closed_captions === 1 || frames.some(isCaptioned),
});

const audioOf = (stream: ProbedStream): SourceAudio => ({
  streamIndex: stream.index,
  codec: stream.codec_name ?? "unknown",
  language: languageOf(stream),
  title: titleOf(stream),
  channels: stream.channels ?? 0,
  isDefault: isSet(stream, "default"),
  startSeconds: startOf(stream),
  endSeconds: endOf(stream),
});

const subtitleId = ({ index, codec_name = "unknown" }: ProbedStream) => ({ streamIndex: index, codec: codec_name });
const textOf = (stream: ProbedStream): SourceText => ({
  ...subtitleId(stream),
  language: languageOf(stream),
  title: titleOf(stream),
  isDefault: isSet(stream, "default"),
  isForced: isSet(stream, "forced"),
  isSdh: isSet(stream, "hearing_impaired"),
});

const refusalOf = ({ width, height }: SourceVideo): string | null => {
  if (width < SIDE_MIN || height < SIDE_MIN) return `a picture of ${width}x${height} is too small`;
  if (width > SIDE_MAX || height > SIDE_MAX || width * height > PIXELS_MAX) {
    return `a picture of ${width}x${height} is over ${SIDE_MAX}x${PIXELS_MAX / SIDE_MAX}`;
  }
  return null;
};

/** Why a subtitle stream is left out, by its codec. */
const leftOut = (codec: string): string => {
  if (BITMAP_CODECS.has(codec)) return "subtitles that are pictures of text, which WebVTT can't show";
  if (codec === "dvb_teletext") return "teletext, which doesn't say which of its pages are subtitles";
  return "subtitles that can't be read as text";
};

/** Null: it is text. */
export const subtitleNote = ({ codec, streamIndex }: Pick<SourceText, "codec" | "streamIndex">): string | null =>
  TEXT_CODECS.has(codec) ? null : `left out: ${leftOut(codec)}, ${codec} (stream ${streamIndex})`;

/** What ffmpeg says of a stream as it opens a file; undefined: the line is about something else. */
export const subtitleOf = (line: string): Pick<SourceText, "codec" | "streamIndex"> | undefined => {
  const [, index, codec] = /Stream #0:(\d+)\S*: Subtitle: (\w+)/.exec(line) ?? [];
  return codec === undefined ? undefined : { codec, streamIndex: Number(index) };
};

const notesOf = (streams: readonly ProbedStream[]): string[] => {
  const name = (stream: ProbedStream): string => `${stream.codec_name ?? "unknown"} (stream ${stream.index})`;
  const subtitles = streams.filter((stream) => stream.codec_type === "subtitle");
  const mute = streams.filter((stream) => stream.codec_type === "audio" && !isHeard(stream));
  const pictures = streams.filter(isPicture).slice(1);
  return [
    ...subtitles.flatMap((stream) => subtitleNote(subtitleId(stream)) ?? []),
    ...mute.map((stream) => `left out: sound that can't be decoded, ${name(stream)}`),
    ...pictures.map((stream) => `left out: a second picture, ${name(stream)}`),
  ];
};
const isHeard = (stream: ProbedStream): boolean =>
  stream.codec_type === "audio" &&
  (stream.channels ?? 0) > 0 &&
  stream.codec_name !== undefined &&
  stream.codec_name !== "none" &&
  stream.codec_name !== "unknown";

/** Where the first of picture and sound begins. */
const originOf = (video: SourceVideo, audio: readonly SourceAudio[]): number => {
  const earliest = Math.min(video.startSeconds, ...audio.map((track) => track.startSeconds));
  if (video.startSeconds - earliest < PRIMING_MAX_SECONDS) return video.startSeconds;
  return Math.max(earliest, video.startSeconds - LEAD_MAX_SECONDS);
};

/** `frames`: the first few of the picture. */
export const readSource = (probed: Probed, frames: readonly ProbedFrame[]): SourceReading => {
  const streams = probed.streams ?? [];
  if (streams.length === 0) return { refused: "nothing in it is a picture or a sound" };
  if (streams.length > STREAMS_MAX)
    return { refused: `it has ${streams.length} streams, at most ${STREAMS_MAX} are read` };
  const picture = streams.find(isPicture);
  if (picture === undefined) {
    return {
      refused: streams.some(isHeard)
        ? "it has sound alone, and a title needs a picture: music and radio plays are not taken"
        : "it has no video",
    };
  }
  if (picture.codec_name === undefined) return { refused: "its video has an unknown codec" };
  const video = videoOf(picture, frames);
  const refused = refusalOf(video);
  if (refused !== null) return { refused };
  const audio = streams.filter(isHeard).slice(0, AUDIO_MAX).map(audioOf);
  const texts = streams
    .filter((stream) => stream.codec_type === "subtitle" && TEXT_CODECS.has(stream.codec_name ?? ""))
    .slice(0, TEXTS_MAX)
    .map(textOf);
  const originSeconds = originOf(video, audio);
  const endSeconds = Math.max(...[video, ...audio].map((track) => track.endSeconds ?? Number.NEGATIVE_INFINITY));
  const stated = numberOf(probed.format?.duration);
  const durationSeconds = endSeconds > originSeconds ? endSeconds - originSeconds : stated;
  if (durationSeconds !== null && durationSeconds > DURATION_MAX_SECONDS) {
    return { refused: `it is ${Math.round(durationSeconds / 3600)} hours long, at most 24 are taken` };
  }
  const container = probed.format?.format_name ?? "unknown";
  return { source: { container, video, audio, texts, originSeconds, durationSeconds, notes: notesOf(streams) } };
};

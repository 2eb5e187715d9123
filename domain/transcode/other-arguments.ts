/** ffmpeg's arguments for what is made of a whole source at once: sound, subtitles, and a copy that can be sought. */
import type { SourceAudio, SourceText } from "./source.ts";
import { confinement, PROGRESS, QUIET, READ_LIMITS, type SourceInput, sourceArguments } from "./video-arguments.ts";

const words = (text: string): string[] => text.split(" ");
const SAMPLE_RATE = 48_000;
const STEREO = { channels: 2, kbps: 128 } as const;
const SURROUND = { channels: 6, kbps: 384 } as const;
const NOTHING_OF_ITS_WORDS = words("-map_metadata -1 -map_chapters -1 -fflags +bitexact");

/** A track of sound as titles have it. */
export interface SoundTrack {
  readonly streamIndex: number;
  readonly language: string;
  readonly name: string;
  readonly channels: 2 | 6;
  readonly isDefault: boolean;
}

/**
 * Each in stereo, one language after the other, and where there is more than that the 5.1 besides it. The default comes
 * first: in MP4 it is the one track that is enabled, and readers take enabled tracks before the others.
 */
export const soundTracks = (audio: readonly SourceAudio[]): SoundTrack[] => {
  const standard = audio.find((track) => track.isDefault) ?? audio[0];
  const inOrder = [...audio.filter((track) => track === standard), ...audio.filter((track) => track !== standard)];
  return inOrder.flatMap((track) => {
    const name = track.title === "" ? track.language : track.title;
    const made = { streamIndex: track.streamIndex, language: track.language };
    const stereo: SoundTrack = { ...made, name, channels: 2, isDefault: track === standard };
    if (track.channels < SURROUND.channels) return [stereo];
    return [stereo, { ...made, name: `${name} 5.1`.slice(0, 200), channels: 6, isDefault: false }];
  });
};

/**
 * All sound, whole: encoded in pieces it would have a seam at each. Holes are filled and drift is taken up against the
 * clock of the file; it is exactly as long as the title. Loudness stays as it is.
 */
export const soundArguments = (options: {
  readonly input: SourceInput;
  readonly originSeconds: number;
  readonly durationSeconds: number;
  readonly tracks: readonly SoundTrack[];
  readonly file: string;
}): string[] => {
  const { input, originSeconds, durationSeconds, tracks, file } = options;
  const samples = Math.round(durationSeconds * SAMPLE_RATE);
  const chain = `aresample=${SAMPLE_RATE}:async=1000:first_pts=0,apad=whole_len=${samples},atrim=end_sample=${samples}`;
  const encoded = ({ channels, language, isDefault }: SoundTrack, i: number): string[] => [
    ...[`-filter:a:${i}`, chain, `-ac:a:${i}`, String(channels)],
    ...[`-b:a:${i}`, `${channels === SURROUND.channels ? SURROUND.kbps : STEREO.kbps}k`],
    ...[`-metadata:s:a:${i}`, `language=${language}`, `-disposition:a:${i}`, isDefault ? "default" : "0"],
  ];
  return [
    ...[...QUIET, ...PROGRESS, ...sourceArguments(input, { originSeconds })],
    ...tracks.flatMap(({ streamIndex }) => ["-map", `0:${streamIndex}`]),
    ...[...NOTHING_OF_ITS_WORDS, "-c:a", "aac", ...tracks.flatMap(encoded)],
    ...["-movflags", "+faststart", "-f", "mp4", file],
  ];
};

/** Every subtitle track as a WebVTT file; ffmpeg's encoder takes SRT, ASS and the text of MP4 alike. */
export const textArguments = (options: {
  readonly input: SourceInput;
  readonly originSeconds: number;
  readonly outputs: readonly { readonly text: Pick<SourceText, "streamIndex">; readonly file: string }[];
}): string[] => [
  ...[...QUIET, ...PROGRESS, ...sourceArguments(options.input, options)],
  ...options.outputs.flatMap(({ text, file }) => [
    ...["-map", `0:${text.streamIndex}`, ...NOTHING_OF_ITS_WORDS],
    ...["-c:s", "webvtt", "-f", "webvtt", file],
  ]),
];

/** Twice: of the graph's description and of the filter's options (ffmpeg-filters, "Notes on filtergraph escaping"). */
const escaped = (value: string): string => value.replace(/[\\':]/g, "\\$&").replace(/[\\'[\],;]/g, "\\$&");

/** CEA-608 out of the picture's user data, as it is: only the `movie` source hands it on as a stream. */
export const captionArguments = (options: {
  readonly input: SourceInput;
  readonly originSeconds: number;
  /** `CaptionReader` reads it. */
  readonly file: string;
}): string[] => {
  const { input, originSeconds, file } = options;
  const [, protocols = "", , containers = ""] = confinement(input);
  const opened = `protocol_whitelist=${protocols}:format_whitelist=${containers}`;
  return [
    ...[...QUIET, ...PROGRESS, "-copyts", "-itsoffset", (-originSeconds).toFixed(6)],
    ...["-f", "lavfi", "-i", `movie=${escaped(input.url)}:format_opts=${escaped(opened)}[out+subcc]`],
    ...["-map", "0:s:0", "-c", "copy", "-f", "rcwt", file],
    // Progress goes on where for a long time nobody says anything.
    ...["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"],
  ];
};

/** Scenarist files, one for each channel, as WebVTT. */
export const captionTextArguments = (
  channels: readonly { readonly scc: string; readonly file: string }[],
): string[] => [
  ...[...QUIET, ...PROGRESS],
  ...channels.flatMap(({ scc }) => ["-f", "scc", "-i", scc]),
  ...channels.flatMap(({ file }, i) => [
    ...["-map", `${i}:s:0`, ...NOTHING_OF_ITS_WORDS],
    ...["-c:s", "webvtt", "-f", "webvtt", file],
  ]),
];

/** Containers with an index, and times that are the same wherever reading begins. */
const INDEXED = /^(?:mov,|matroska,)/;
export const isIndexed = (container: string): boolean => INDEXED.test(container);

/** Text that Matroska holds as it is; other becomes SRT. */
const MATROSKA_TEXT = new Set(["subrip", "srt", "ass", "ssa", "webvtt", "text"]);
/** Texts come seldom: what waits for them is written after this. */
const INTERLEAVE_MICROSECONDS = 10_000_000;

/**
 * A copy of picture, sound and text in a container with an index. Read from its beginning a stream's times are put
 * right where they jump or are missing; chunks begin in the middle, so it is done once for all of them.
 */
export const rewrapArguments = (options: {
  readonly input: SourceInput;
  readonly file: string;
  /** `flac`: sound that Matroska can't hold as it is. */
  readonly sound: "copy" | "flac" | "none";
  /** Streams that are taken; null: all sound, since it isn't known what there is. */
  readonly audio: readonly Pick<SourceAudio, "streamIndex">[] | null;
  readonly texts: readonly Pick<SourceText, "streamIndex" | "codec">[];
}): string[] => {
  const { input, file, sound, texts } = options;
  const audio = options.audio?.map(({ streamIndex }) => `0:${streamIndex}`) ?? ["0:a?"];
  const streams = [...(sound === "none" ? [] : audio), ...texts.map(({ streamIndex }) => `0:${streamIndex}`)];
  return [
    ...[...QUIET, ...PROGRESS, "-fflags", "+genpts", ...READ_LIMITS, ...confinement(input), "-i", input.url],
    ...["-map", "0:V:0", ...streams.flatMap((stream) => ["-map", stream]), "-c", "copy"],
    ...(sound === "flac" ? ["-c:a", "flac"] : []),
    ...texts.flatMap(({ codec }, i) => (MATROSKA_TEXT.has(codec) ? [] : [`-c:s:${i}`, "srt"])),
    // Packets before any timestamp can't be placed.
    ...["-avoid_negative_ts", "make_zero"],
    ...["-max_interleave_delta", String(texts.length > 0 ? INTERLEAVE_MICROSECONDS : 0), "-f", "matroska", file],
  ];
};

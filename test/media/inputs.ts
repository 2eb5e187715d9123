/**
 * The varied inputs that everything is tried on: each is a few commands of ffmpeg, and what is expected of it. `IN`
 * stands for the file that the step before made, `OUT` for the one to make.
 */
import * as patch from "./patches.ts";

/** What a reader must find. */
export interface Expected {
  /** RFC 6381 strings, in the order of `Movie`. */
  readonly video?: readonly string[];
  readonly audio?: readonly string[];
  readonly text?: readonly string[];
  readonly ignored?: readonly string[];
  /** Cannot be served, and why. */
  readonly refused?: "unsupported" | "damaged";
  readonly seconds?: number;
  /** Frames of the first video track. */
  readonly frames?: number;
  readonly keyFrames?: number;
  /** Clockwise degrees. */
  readonly rotation?: number;
  readonly sampleAspectRatio?: readonly [number, number];
  /** Of the audio tracks, in order. */
  readonly languages?: readonly string[];
  readonly names?: readonly string[];
  readonly channels?: readonly number[];
  /** Presentation of the first video frame less that of the first audio frame, ms. */
  readonly videoLateMs?: number;
  /** Where ffprobe reads it otherwise. */
  readonly probe?: Probe;
}

/** How a file is compared with what ffprobe says of it. */
export interface Probe {
  readonly why: string;
  /** Nothing of it can be compared. */
  readonly skipped?: true;
  /** Presentation times are not compared. */
  readonly withoutPts?: true;
  /** Without edit lists, of which ffmpeg drops and repeats packets. */
  readonly ignoreEdits?: true;
  /** Its times are later by so much. */
  readonly laterSeconds?: number;
}

/** A command, or what is done to the bytes of the file that the step before made. */
export type Step = string | ((bytes: Buffer) => Buffer);

export interface MediaInput {
  readonly steps: readonly Step[];
  readonly extension?: "mov" | "m4a";
  readonly expected: Expected;
}

interface Picture {
  readonly size?: string;
  readonly rate?: string;
  readonly seconds?: number;
}
const picture = ({ size = "192x108", rate = "25", seconds = 8 }: Picture = {}): string =>
  `-f lavfi -i testsrc2=s=${size}:r=${rate}:d=${seconds}`;
const tone = (seconds = 8, rate = 48_000): string => `-f lavfi -i sine=440:r=${rate}:d=${seconds}:b=4`;

const AVC = "-c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -sc_threshold 0 -g 50 -keyint_min 50";
const AVC_B = `${AVC} -bf 2 -b_strategy 0 -g 50`;
const AAC = "-c:a aac -b:a 48k";
const BOTH = `${picture()} ${tone()}`;
const COPY = "-i IN -map 0 -c copy";

const BASELINE = "avc1.42c00b";
const MAIN = "avc1.4d400b";
const LC = "mp4a.40.2";
const PLAIN: Expected = { video: [MAIN], audio: [LC], seconds: 8, frames: 200, keyFrames: 4 };

/** Two tracks, H.264 with B-frames and AAC, and what is done to them. */
const plain = (options: string, expected: Expected = {}): MediaInput => ({
  steps: [`${BOTH} ${AVC_B} ${AAC} ${options} OUT`],
  expected: { ...PLAIN, ...expected },
});
const and = (input: MediaInput, change: (bytes: Buffer) => Buffer): MediaInput => ({
  ...input,
  steps: [...input.steps, change],
});
const patched = (change: (bytes: Buffer) => Buffer, expected: Expected = {}, options = ""): MediaInput =>
  and(plain(options, expected), change);
const copied = (first: string, copy: string, expected: Expected): MediaInput => ({
  steps: [`${BOTH} ${AVC_B} ${AAC} ${first} OUT`, copy],
  expected,
});
const rated = (rate: string, frames: number, keyFrames: number): MediaInput => ({
  steps: [`${picture({ rate, seconds: 8 })} ${tone()} ${AVC_B} ${AAC} OUT`],
  expected: { audio: [LC], frames, keyFrames },
});
const videoOnly = (source: Picture, codec: string, expected: Expected): MediaInput => ({
  steps: [`${picture(source)} ${codec} OUT`],
  expected,
});
const audioOnly = (source: string, codec: string, expected: Expected): MediaInput => ({
  steps: [`${source} ${codec} OUT`],
  expected,
});

const HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1:frame-threads=1 -g 50";
const BT2100 = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv";
const LANGUAGES = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -metadata:s:a:1 title=Kommentar";
const KEY = "00112233445566778899aabbccddeeff";
const CONTAINERS: Readonly<Record<string, MediaInput>> = {
  "moov-last": plain(""),
  "moov-first": plain("-movflags +faststart"),
  fragmented: plain("-movflags frag_keyframe+empty_moov"),
  "fragmented-sidx": plain("-movflags frag_keyframe+empty_moov+default_base_moof+global_sidx"),
  "fragmented-dash": plain("-movflags dash -frag_duration 1000000"),
  "fragmented-without-mfra": plain("-movflags frag_keyframe+empty_moov+skip_trailer"),
  "fragmented-after-moov-samples": plain("-movflags frag_keyframe"),
  "fragmented-separate-moof": plain("-movflags frag_keyframe+empty_moov+separate_moof"),
  "fragmented-without-base-offset": plain("-movflags frag_keyframe+empty_moov+omit_tfhd_offset"),
  "fragmented-every-frame": {
    steps: [`${picture()} ${AVC_B} -movflags frag_every_frame+empty_moov+default_base_moof OUT`],
    expected: { video: [MAIN], seconds: 8, frames: 200, keyFrames: 4 },
  },
  "fragmented-negative-offsets": plain("-movflags cmaf+negative_cts_offsets -frag_duration 2000000", {
    probe: { why: "ffmpeg moves a fragmented track by its largest negative offset", withoutPts: true },
  }),
  "fragmented-late-start": {
    steps: [`${BOTH} ${AVC_B} ${AAC} OUT`, `${COPY} -output_ts_offset 3600 -movflags cmaf+frag_discont OUT`],
    expected: {
      ...PLAIN,
      probe: { why: "whole seconds of a late start are left out", laterSeconds: 3600, withoutPts: true },
    },
  },
  "fragmented-sidx-that-lies": patched(
    patch.lyingSidx,
    { probe: { why: "ffmpeg believes it", skipped: true } },
    "-movflags frag_keyframe+empty_moov+default_base_moof+global_sidx", // without: ffmpeg forgets sidx in its offsets
  ),
  "mdat-64-bit": patched(patch.mdat64),
  "chunk-offsets-64-bit": patched(patch.co64),
  "sizes-of-16-bit": patched(patch.stz2),
  "every-second-description": patched(patch.twiceDescribed),
  "edit-list-version-1": patched(patch.wideEdits),
  "edit-list-several": patched(patch.threeEdits, {
    probe: { why: "ffmpeg begins each edit at a key frame", ignoreEdits: true },
  }),
  "boxes-unknown-everywhere": patched(patch.unknownBoxes),
  "tracks-disabled": patched(
    patch.firstVideoDisabled,
    { video: [BASELINE, MAIN] },
    `-map 0 -map 0:v -map 1 ${AVC} -bf:v:0 2 -bf:v:1 0`,
  ),
  quicktime: { ...plain(""), extension: "mov" },
  "quicktime-96-khz": {
    steps: [`${tone(8, 96_000)} ${AAC} OUT`],
    extension: "mov",
    expected: { audio: [LC], channels: [1], seconds: 8 },
  },
  "quicktime-pcm": {
    steps: [`${BOTH} ${AVC_B} -c:a pcm_s16le OUT`],
    extension: "mov",
    expected: { video: [MAIN], ignored: ["sowt"], seconds: 8 },
  },
};

const TIMES: Readonly<Record<string, MediaInput>> = {
  "video-late": copied("", `-itsoffset 0.5 -i IN -i IN -map 0:v -map 1:a -c copy OUT`, {
    ...PLAIN,
    seconds: 8.5,
    videoLateMs: 521,
  }),
  "audio-late": copied("", `-i IN -itsoffset 0.5 -i IN -map 0:v -map 1:a -c copy OUT`, {
    ...PLAIN,
    seconds: 8.5,
    videoLateMs: -478,
  }),
  "starts-before-zero": copied("", "-ss 3 -i IN -c copy OUT", {
    video: [MAIN],
    audio: [LC],
    probe: { why: "ffmpeg drops what is before the edit", ignoreEdits: true },
  }),
  "without-b-frames": { steps: [`${BOTH} ${AVC} ${AAC} OUT`], expected: { ...PLAIN, video: [BASELINE] } },
  "b-frames-3": plain("-bf 3 -x264-params b-pyramid=normal", {}),
  "open-gop": plain("-x264-params open-gop=1", {}),
  vfr: {
    steps: [`${picture()} ${tone()} -vf select=not(mod(n\\,7))+not(mod(n\\,3)) -fps_mode vfr ${AVC_B} ${AAC} OUT`],
    expected: { video: [MAIN], audio: [LC], frames: 86 },
  },
  "rate-23.976": rated("24000/1001", 192, 4),
  "rate-29.97": rated("30000/1001", 240, 5),
  "rate-50": rated("50", 400, 8),
  "rate-59.94": rated("60000/1001", 480, 10),
  "gop-10-s": {
    steps: [`${picture({ seconds: 24 })} ${tone(24)} ${AVC_B} ${AAC} -g 250 -keyint_min 250 OUT`],
    expected: { video: [MAIN], audio: [LC], seconds: 24, frames: 600, keyFrames: 3 },
  },
  "one-key-frame": plain("-g 9999 -keyint_min 9999", { keyFrames: 1 }),
  "intra-only": plain("-g 1 -bf 0", { video: ["avc1.42c00b"], keyFrames: 200 }),
  "timescale-1": videoOnly({ rate: "1" }, `${AVC_B} -video_track_timescale 1`, {
    video: ["avc1.4d400a"],
    frames: 8,
    seconds: 8,
  }),
  "timescale-600": plain("-video_track_timescale 600"),
  "timescale-90000": plain("-video_track_timescale 90000"),
  "timescale-10-million": plain("-video_track_timescale 10000000"),
  "one-frame": videoOnly({}, `${AVC} -frames:v 1`, { video: [BASELINE], frames: 1, seconds: 0.04 }),
  "no-samples": patched(patch.initOnly, { refused: "unsupported" }, "-movflags frag_keyframe+empty_moov"),
};

const PICTURES: Readonly<Record<string, MediaInput>> = {
  "hevc-hvc1": videoOnly({}, `${HEVC} -pix_fmt yuv420p -tag:v hvc1`, {
    video: ["hvc1.1.6.L30.90"],
    frames: 200,
    keyFrames: 4,
  }),
  "hevc-hev1": videoOnly({}, `${HEVC} -pix_fmt yuv420p -tag:v hev1`, {
    video: ["hev1.1.6.L30.90"],
    frames: 200,
    keyFrames: 4,
  }),
  "hevc-10-bit": videoOnly({}, `${HEVC} -pix_fmt yuv420p10le -tag:v hvc1`, { video: ["hvc1.2.4.L30.90"], frames: 200 }),
  av1: videoOnly({}, "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 50", { video: ["av01.0.00M.08"], frames: 200 }),
  "av1-10-bit-coloured": videoOnly(
    { seconds: 2 },
    `-c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p10le ${BT2100}`,
    { video: ["av01.0.00M.10.0.110.09.16.09.0"], frames: 50 },
  ),
  vp9: videoOnly({}, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 50", {
    video: ["vp09.00.10.08.01.02.02.02.00"],
    frames: 200,
  }),
  "avc-in-band-entry": patched(patch.avc3, { video: ["avc3.4d400b"] }),
  "avc-10-bit": videoOnly({}, `${AVC} -pix_fmt yuv420p10le`, { video: ["avc1.6e000b"], frames: 200 }),
  "avc-4-4-4-odd": videoOnly({ size: "641x359", seconds: 2 }, `${AVC} -pix_fmt yuv444p`, { frames: 50 }),
  cropped: videoOnly({ size: "642x362", seconds: 2 }, AVC_B, { frames: 50 }),
  "16x16": videoOnly({ size: "16x16" }, AVC_B, { frames: 200 }),
  "7680x4320": videoOnly({ size: "7680x4320" }, `${AVC} -frames:v 1`, { frames: 1 }),
  interlaced: plain("-vf tinterlace=interleave_top,fieldorder=tff -flags +ilme+ildct", {
    video: ["avc1.4d400a"],
    frames: 100,
    keyFrames: 2,
  }),
  "rotation-90": copied("", "-display_rotation -90 -i IN -c copy OUT", { ...PLAIN, rotation: 90 }),
  "rotation-180": copied("", "-display_rotation 180 -i IN -c copy OUT", { ...PLAIN, rotation: 180 }),
  "rotation-270": copied("", "-display_rotation 90 -i IN -c copy OUT", { ...PLAIN, rotation: 270 }),
  anamorphic: plain("-vf setsar=64/45", { sampleAspectRatio: [64, 45] }),
  "captions-608": {
    steps: [
      `${picture()} ${AVC} -bsf:v h264_metadata=aud=insert -f h264 OUT`,
      patch.captioned,
      `-f h264 -r 25 -i IN -c copy -f mp4 OUT`,
    ],
    expected: { video: [BASELINE], frames: 200 },
  },
  "video-only": { steps: [`${picture()} ${AVC_B} OUT`], expected: { video: [MAIN], frames: 200, seconds: 8 } },
  "mpeg-4-part-2": { steps: [`${BOTH} -c:v mpeg4 ${AAC} OUT`], expected: { refused: "unsupported" } },
  "mpeg-4-part-2-besides": {
    steps: [`${picture()} ${picture()} ${tone()} -map 0 -map 1 -map 2 ${AVC_B} -c:v:1 mpeg4 ${AAC} OUT`],
    expected: { ...PLAIN, ignored: ["mp4v"] },
  },
};

const SOUNDS: Readonly<Record<string, MediaInput>> = {
  "audio-only": { ...audioOnly(tone(), AAC, { audio: [LC], channels: [1], seconds: 8 }), extension: "m4a" },
  stereo: audioOnly(tone(), `${AAC} -ac 2`, { audio: [LC], channels: [2] }),
  "5.1": audioOnly(tone(), `${AAC} -ac 6`, { audio: [LC], channels: [6] }),
  "22-khz": audioOnly(tone(8, 22_050), AAC, { audio: [LC], channels: [1] }),
  "44-khz": audioOnly(tone(8, 44_100), AAC, { audio: [LC], channels: [1] }),
  "he-aac": and(audioOnly(tone(8, 24_000), AAC, { audio: ["mp4a.40.5"] }), patch.heAac),
  "he-aac-backward": and(audioOnly(tone(8, 24_000), AAC, { audio: ["mp4a.40.5"] }), patch.heAacBackward),
  "he-aac-implicit": and(audioOnly(tone(8, 24_000), AAC, { audio: ["mp4a.40.5"] }), patch.heAacImplicit),
  "he-aac-v2": and(audioOnly(tone(8, 24_000), AAC, { audio: ["mp4a.40.29"], channels: [2] }), patch.heAacV2),
  "ac-3": audioOnly(tone(), "-c:a ac3 -ac 6", { audio: ["ac-3"], channels: [6] }),
  "e-ac-3": audioOnly(tone(), "-c:a eac3 -ac 6", { audio: ["ec-3"], channels: [6] }),
  opus: audioOnly(tone(), "-c:a libopus", { audio: ["Opus"], channels: [1] }),
  flac: audioOnly(tone(2), "-c:a flac", { audio: ["fLaC"], channels: [1] }),
  mp3: audioOnly(tone(), "-c:a libmp3lame", { audio: ["mp4a.6b"], channels: [1] }),
  alac: audioOnly(tone(2), "-c:a alac", { refused: "unsupported" }),
  "two-languages": {
    steps: [`${picture()} ${tone()} ${tone()} -map 0 -map 1 -map 2 ${AVC_B} ${AAC} ${LANGUAGES} OUT`],
    expected: { ...PLAIN, audio: [LC, LC], languages: ["en", "de"], names: ["", "Kommentar"] },
  },
  "language-tag": patched(patch.brazilian, { languages: ["pt-BR"] }),
};

const OTHERS: Readonly<Record<string, MediaInput>> = {
  "mov-text": {
    steps: [`${BOTH} -f srt -i SUBTITLES -map 0 -map 1 -map 2 ${AVC_B} ${AAC} -c:s mov_text -f mp4 OUT`],
    expected: { ...PLAIN, text: ["tx3g"] },
  },
  webvtt: {
    steps: [`${BOTH} -f srt -i SUBTITLES -map 0 -map 1 -map 2 ${AVC_B} ${AAC} -c:s mov_text -f mp4 OUT`, patch.wvtt],
    expected: { ...PLAIN, text: ["wvtt"] },
  },
  ttml: {
    steps: [`${BOTH} -f srt -i SUBTITLES -map 0 -map 1 -map 2 ${AVC_B} ${AAC} -c:s ttml -f mp4 OUT`],
    expected: { ...PLAIN, text: ["stpp"] },
  },
  timecode: plain("-timecode 01:00:00:00", { ignored: ["tmcd"] }),
  chapters: {
    steps: [`${BOTH} -f ffmetadata -i CHAPTERS -map 0 -map 1 -map_chapters 2 ${AVC_B} ${AAC} -f mp4 OUT`],
    expected: { ...PLAIN, ignored: ["text"] },
  },
  "two-videos": {
    steps: [`${picture()} ${picture({ size: "64x36" })} ${tone()} -map 0 -map 1 -map 2 ${AVC_B} ${AAC} OUT`],
    expected: { ...PLAIN, video: [MAIN, "avc1.4d400a"] },
  },
  encrypted: plain(`-encryption_scheme cenc-aes-ctr -encryption_key ${KEY} -encryption_kid ${KEY}`, {
    refused: "unsupported",
  }),
  truncated: patched(
    (bytes) => bytes.subarray(0, bytes.length - 20_000),
    { refused: "damaged" },
    "-movflags +faststart",
  ),
  "without-moov": patched((bytes) => bytes.subarray(0, 20_000), { refused: "damaged" }),
  "transport-stream": { steps: [`${BOTH} ${AVC_B} ${AAC} -f mpegts OUT`], expected: { refused: "unsupported" } },
};

/** Name → how it is made, what is expected. Names are those of the files. */
export const INPUTS: Readonly<Record<string, MediaInput>> = {
  ...CONTAINERS,
  ...TIMES,
  ...PICTURES,
  ...SOUNDS,
  ...OTHERS,
};

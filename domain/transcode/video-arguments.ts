/**
 * ffmpeg's arguments for the pictures of a chunk: one decode, all rungs. A chunk has exactly the frames that a whole
 * run has there: what a frame of the output shows is decided by the source's timestamps alone, each taken by itself, so
 * that it makes no difference where the decoding began.
 */
import { type Colour, hevcColourParams, toneMapFilters } from "./colour.ts";
import { levelOf } from "./levels.ts";
import { turningFilters } from "./orientation.ts";
import type { TitleRung } from "./rungs.ts";
import type { SourceVideo } from "./source.ts";
import { gopFramesMax, hertz, keyFrames, type Rate, secondsAt } from "./timing.ts";

export interface SourceInput {
  /** A path or an address. */
  readonly url: string;
  readonly protocols: readonly string[];
}
export interface ChunkOptions {
  readonly input: SourceInput;
  readonly video: SourceVideo;
  readonly originSeconds: number;
  readonly rate: Rate;
  /** Frames of the title. */
  readonly from: number;
  readonly until: number;
  /** Where decoding begins, in the source's own time: at a key frame before `from`. Null: at the beginning. */
  readonly seekSeconds: number | null;
  /** Frames for which the source has pictures; behind them the last one stays, as long as there is sound. */
  readonly pictureFrames: number;
  readonly preset: string;
}

/** What ffmpeg says of a picture with captions in it, while `chunkArguments` work. */
export const CAPTIONS_SEEN = /side data - ATSC A53 Part 4 Closed Captions/;
export interface RungOutput {
  readonly rung: TitleRung;
  readonly file: string;
  /** 1, or less where a segment came out larger than its rung allows. */
  readonly rateShare: number;
}

const words = (text: string): string[] => text.split(" ");

/** Containers that an upload may have. Playlists are not among them: they would name further files. */
const CONTAINERS =
  "mov,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,live_flv,asf,ogg,mxf,gxf,nut,rm,dv,wtv,ivf,h264,hevc,m4v,av1,obu," +
  "aac,mp3,flac,wav,ac3,eac3,aiff,ape,dts,amr,caf,gif,swf,nsv,vob,xmv,bink,smk,roq";
/** What is taken of an upload, for all programs that open one. */
export const confinement = ({ protocols }: SourceInput): string[] => [
  ...["-protocol_whitelist", protocols.join(","), "-format_whitelist", CONTAINERS],
];

/** What is read to find out which streams there are: transport streams tell late. */
export const READ_LIMITS = words("-probesize 50M -analyzeduration 20M");

export const QUIET = words("-hide_banner -nostats -nostdin -loglevel level+info -y");
/** Percent and frames per second come on the first pipe. */
export const PROGRESS = words("-progress pipe:3 -stats_period 0.5");

/** The source with its own timestamps, moved so that the title begins at 0. */
export const sourceArguments = (
  input: SourceInput,
  { originSeconds, seekSeconds = null }: { readonly originSeconds: number; readonly seekSeconds?: number | null },
): string[] => [
  ...words("-copyts"), // without it times begin anew wherever the decoding does
  ...words("-noautorotate"), // C-35: turned by a filter that is known, once
  ...confinement(input),
  // In the source's own time; not accurate, since ffmpeg would drop frames by a rounding of its own.
  ...(seekSeconds === null ? [] : ["-seek_timestamp", "1", "-noaccurate_seek", "-ss", seekSeconds.toFixed(6)]),
  ...["-itsoffset", (-originSeconds).toFixed(6)],
  ...["-i", input.url],
];

/** The last picture stays at most so much longer than it should: a file that breaks off is no film with a still end. */
const HOLD_GRACE_SECONDS = 2;

/** From the source's frames to the title's: upright, progressive, at the constant rate, `from` to `until`. */
const headFilters = ({ video, rate, from, until, pictureFrames }: ChunkOptions): string[] => {
  const perSecond = Math.ceil(hertz(rate));
  const isHeld = until > pictureFrames - perSecond;
  // A chunk behind the last picture begins a second before it, so that there is one to hold.
  const first = isHeld ? Math.max(0, Math.min(from, pictureFrames - perSecond)) : from;
  const stay = Math.max(0, until - Math.max(first, pictureFrames)) + HOLD_GRACE_SECONDS * perSecond;
  return [
    // Captions may begin anywhere: each picture is told of. In a branch of its own ffmpeg would decode for that branch
    // until the source ends, after the chunk has.
    // Without user data, each byte of which it would print.
    ...(video.hasCaptions ? [] : ["sidedata=mode=delete:type=SEI_UNREGISTERED", "showinfo=checksum=0"]),
    "sidedata=mode=delete:type=A53_CC", // they are read as text; rungs never have them in the picture
    // Frames, not fields: twice the rate would be twice the bits. Progressive frames in between stay as they are.
    ...(video.isInterlaced ? ["bwdif=mode=send_frame:parity=auto:deint=interlaced"] : []),
    ...turningFilters(video.orientation),
    // Timestamps become numbers of frames, each by itself: `fps` alone rounds relative to where it started.
    `settb=${rate.den}/${rate.num}`,
    // Before its first picture a title shows that one: `start_time` also repeats it from there on.
    `fps=${rate.num}/${rate.den}:start_time=${secondsAt(first, rate).toFixed(9)}`,
    ...(isHeld ? [`tpad=stop=${stay}:stop_mode=clone`] : []),
    `trim=start_frame=${from - first}:end_frame=${until - first}`,
    "setpts=PTS-STARTPTS",
  ];
};

const scaled = ({ width, height }: { readonly width: number; readonly height: number }): string =>
  `scale=${width}:${height}:flags=bicubic`;

/** Eight bits and no matrix of the source: also what a full range or 4:4:4 becomes. */
const formatOf = (rung: TitleRung): string =>
  `scale=out_range=tv,format=${rung.bitDepth === 10 ? "yuv420p10le" : "yuv420p"},setsar=1`;

const labels = (name: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `[${name}${i}]`).join("");

/**
 * The filter graph; rung i is `[o{i}]`. HDR is mapped to SDR once, at the size of the largest rung that needs it, since
 * it costs more than all scaling.
 */
export const chunkGraph = (options: ChunkOptions, rungs: readonly TitleRung[]): string => {
  const { video } = options;
  const { dynamicRange } = video.colour;
  const mapped = dynamicRange === "sdr" ? [] : rungs.filter((rung) => rung.dynamicRange === "sdr");
  const plain = rungs.filter((rung) => !mapped.includes(rung));
  const [largest] = mapped;
  const head = `[0:${video.streamIndex}]${headFilters(options).join(",")}`;
  const out = (rung: TitleRung, from: string): string =>
    `${from}${scaled(rung)},${formatOf(rung)}[o${rungs.indexOf(rung)}]`;
  if (largest === undefined || dynamicRange === "sdr") {
    return [
      `${head},split=${plain.length}${labels("s", plain.length)}`,
      ...plain.map((rung, i) => out(rung, `[s${i}]`)),
    ].join(";");
  }
  const count = plain.length + 1;
  return [
    `${head},split=${count}${labels("s", count)}`,
    ...plain.map((rung, i) => out(rung, `[s${i}]`)),
    `[s${plain.length}]${scaled(largest)},${toneMapFilters(dynamicRange).join(",")},` +
      `split=${mapped.length}${labels("t", mapped.length)}`,
    ...mapped.map((rung, i) => out(rung, `[t${i}]`)),
  ].join(";");
};

/**
 * Rate and buffer that keep every segment within the rung's rate: in t seconds an encoder may spend rate × t and what
 * the buffer holds, so 0.88 × 6 s + 0.6 s ≤ 6 s × 1, with 2 % left for its misses.
 */
const RATE_SHARE = 0.88;
const BUFFER_SECONDS = 0.6;
const CRF: Readonly<Record<TitleRung["codec"], number>> = { h264: 23, hevc: 26 };

const rateArguments = ({ rung, rateShare }: RungOutput): string[] => {
  const kbps = rung.kbps * rateShare;
  return [
    ...["-crf", String(CRF[rung.codec])],
    ...["-maxrate", `${Math.round(kbps * RATE_SHARE)}k`, "-bufsize", `${Math.round(kbps * BUFFER_SECONDS)}k`],
  ];
};

/** Times of key frames in the chunk; half a frame early, for ffmpeg compares them in microseconds. */
const forcedKeys = ({ from, until, rate }: ChunkOptions): string =>
  keyFrames(from, until, rate)
    .map((frame) => Math.max(0, secondsAt(frame - from - 0.5, rate)).toFixed(6))
    .join(",");

const encoderOf = (rung: TitleRung, options: ChunkOptions, colour: Colour): string[] => {
  const { preset, rate } = options;
  const gop = gopFramesMax(rate);
  const level = levelOf(rung, hertz(rate));
  if (rung.codec === "h264") {
    return [
      ...words(`-c:v libx264 -preset ${preset} -profile:v high -level:v ${level}`),
      // stitchable: nothing of the picture goes into the parameter sets, so those of all chunks are equal
      ...["-x264-params", `keyint=${gop}:min-keyint=1:scenecut=0:open-gop=0:stitchable=1`],
    ];
  }
  const params = [
    ...["log-level=error", `keyint=${gop}`, "min-keyint=1", "scenecut=0", "open-gop=0"],
    ...[`level-idc=${level}`, "high-tier=0", "repeat-headers=0"],
    ...hevcColourParams(rung.dynamicRange === "sdr" ? { ...colour, dynamicRange: "sdr" } : colour),
  ];
  return [
    ...words(`-c:v libx265 -preset ${preset} -profile:v ${rung.bitDepth === 10 ? "main10" : "main"}`),
    ...words("-tag:v hvc1"), // parameter sets in the head alone: what Apple's players take
    ...["-x265-params", params.join(":")],
  ];
};

/** One tick is a fraction of a frame that is whole in every rate, and small enough for players that round. */
export const timescaleOf = ({ num }: Rate): number => (num >= 10_000 ? num : num * 1000);

const outputArguments = (output: RungOutput, index: number, options: ChunkOptions): string[] => [
  ...["-map", `[o${index}]`],
  ...words("-fps_mode passthrough"), // frames are what the filters made; nothing is dropped or doubled behind them
  ...encoderOf(output.rung, options, options.video.colour),
  ...rateArguments(output),
  ...["-force_key_frames", forcedKeys(options), "-forced-idr", "1"],
  ...words("-bsf:v setts=pts=PTS:dts=DTS:duration=1"), // the last frame would last no time at all
  ...words("-map_metadata -1 -map_chapters -1 -fflags +bitexact"), // C-35: nothing of the upload's words is handed on
  ...["-video_track_timescale", String(timescaleOf(options.rate)), "-f", "mp4", output.file],
];

/** The whole command of a chunk. */
export const chunkArguments = (options: ChunkOptions, outputs: readonly RungOutput[]): string[] => [
  ...QUIET,
  ...PROGRESS,
  ...sourceArguments(options.input, options),
  ...[
    "-filter_complex",
    chunkGraph(
      options,
      outputs.map(({ rung }) => rung),
    ),
  ],
  ...outputs.flatMap((output, index) => outputArguments(output, index, options)),
];

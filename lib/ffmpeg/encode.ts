/**
 * How live renditions are encoded: each odd flag with its reason. The slate and the live picture use the very same
 * encoder arguments, so that their codec configurations are equal bytes and one splices into the other.
 */
import type { FrameRate } from "./source-info.ts";

export interface Rung {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly videoKbps: number;
}
export interface EncodeSettings {
  readonly frameRate: FrameRate;
  /** Key frames lie on every multiple of so many frames of stream time. */
  readonly gopFrames: number;
  readonly rungs: readonly Rung[];
  readonly preset: string;
  readonly audioKbps: number;
}
export interface LiveOptions {
  /** Everything up to and including `-i <url>`. */
  readonly input: readonly string[];
  readonly settings: EncodeSettings;
  /**
   * Ticks (90 kHz) to add to source time so that key frames lie at multiples of the GOP: the anchor's offset mod GOP.
   */
  readonly phaseTicks: number;
  readonly hasAudio: boolean;
  readonly interlaced: boolean;
}

export const AUDIO_SAMPLE_RATE = 48_000;
const FIRST_OUTPUT_FD = 3;
const TICKS_PER_SECOND = 90_000;

/** Splits constant text: not for values that may hold spaces. */
const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

/**
 * A time as a number of frames: all comparisons with the grid are made in frames, half a frame off, since a key frame
 * that is one frame off stalled players for 10 s.
 */
const framesOf = (time: string, { num, den }: FrameRate): string => `${time}*${num}/${den}+0.5`;

/** In this expression `t` counts from the first encoded frame, which the select filter put on the grid. */
const keyFrameRule = ({ frameRate, gopFrames }: EncodeSettings): string => {
  const slot = (time: string): string => `floor((${framesOf(time, frameRate)})/${gopFrames})`;
  return `expr:if(isnan(prev_forced_t),1,gt(${slot("t")},${slot("prev_forced_t")}))`;
};

export const videoEncoder = (settings: EncodeSettings, rung: Rung): string[] => [
  ...words("-fps_mode passthrough -enc_time_base 1:90000"), // timestamps survive encoding exactly
  ...words(`-c:v libx264 -preset ${settings.preset}`),
  ...words("-tune zerolatency -bf 0"), // without: +0.55 s; no B frames also makes dts = pts
  ...words("-profile:v high -pix_fmt yuv420p"),
  ...words(`-b:v ${rung.videoKbps}k -maxrate ${rung.videoKbps}k -bufsize ${rung.videoKbps}k`),
  ...words("-g 9999 -keyint_min 1 -sc_threshold 0"), // key frames only where the rule says
  ...["-force_key_frames", keyFrameRule(settings)],
  ...words("-video_track_timescale 90000"),
];

export const audioEncoder = ({ audioKbps }: EncodeSettings): string[] =>
  words(`-c:a aac -b:a ${audioKbps}k -ar ${AUDIO_SAMPLE_RATE} -ac 2`);

/** One moof per frame, sent at once: only Node can keep part boundaries equal on all origins. */
const fragments = (output: number): string[] => [
  // frag_discont and no edit list: tfdt is the absolute source time; skip_trailer: nothing at the end that must be
  // parsed
  ...words("-f mp4 -movflags +cmaf+frag_every_frame+frag_discont+skip_trailer -use_editlist 0 -flush_packets 1"),
  `pipe:${FIRST_OUTPUT_FD + output}`,
];

const filterGraph = ({ settings, phaseTicks, interlaced }: LiveOptions): string => {
  const { frameRate, gopFrames, rungs } = settings;
  const streamTime = phaseTicks === 0 ? "t" : `(t+${phaseTicks}/${TICKS_PER_SECOND})`;
  const head = [
    ...(interlaced ? ["yadif=deint=interlaced"] : []),
    // Always: where probing misses the rate x264 takes 90000 frames/s. It also repeats dropped frames.
    `fps=${frameRate.num}/${frameRate.den}`,
    // The first frame must lie on the grid; phase 0 until a 33-bit wrap moved the anchor's offset off the GOP grid.
    `select='gt(selected_n,0)+lt(mod(${framesOf(streamTime, frameRate)},${gopFrames}),1)'`,
    `split=${rungs.length}`,
  ];
  const scale = ({ width, height }: Rung, i: number): string =>
    `[s${i}]scale=${width}:${height}:flags=bicubic,setsar=1[o${i}]`;
  return [`[0:v:0]${head.join(",")}${rungs.map((_, i) => `[s${i}]`).join("")}`, ...rungs.map(scale)].join(";");
};

const QUIET = words("-hide_banner -nostats -nostdin");

/** The whole command: one decode, a fragmented MP4 per rung on `pipe:3` and up, then the audio. */
export const liveArguments = (options: LiveOptions): string[] => {
  const { settings, hasAudio } = options;
  return [
    ...QUIET,
    ...words("-loglevel level+info"), // the source's rate, size and tracks are learnt from these lines
    ...words("-copyts"), // timestamps are the source's: all origins of a channel see the same ones
    ...options.input,
    ...["-filter_complex", filterGraph(options)],
    ...settings.rungs.flatMap((rung, i) => ["-map", `[o${i}]`, ...videoEncoder(settings, rung), ...fragments(i)]),
    ...(hasAudio
      ? [
          ...words("-map 0:a:0 -af aresample=async=1000"), // fills holes against the clock
          ...audioEncoder(settings),
          ...fragments(settings.rungs.length),
        ]
      : []),
  ];
};

/** One GOP of a drawn board (no font is needed) for one rung. */
export const slateVideoArguments = (settings: EncodeSettings, rung: Rung): string[] => {
  const { num, den } = settings.frameRate;
  const bars = ["0x8fa3b5", "0x5f7d99", "0x3d5a76"].map(
    (color, i) => `drawbox=x=iw*${0.3 + 0.15 * i}:y=ih*0.42:w=iw*0.1:h=ih*0.16:color=${color}:t=fill`,
  );
  const board = [`color=c=0x1b2838:s=${rung.width}x${rung.height}:r=${num}/${den}`, ...bars, "setsar=1"].join(",");
  return [
    ...[...QUIET, ...words("-loglevel level+warning"), "-f", "lavfi", "-i", board],
    ...["-frames:v", String(settings.gopFrames), ...videoEncoder(settings, rung), ...fragments(0)],
  ];
};

/** A second of silence; its frames are repeated. */
export const slateAudioArguments = (settings: EncodeSettings): string[] => [
  ...[...QUIET, ...words("-loglevel level+warning -f lavfi -i"), `anullsrc=r=${AUDIO_SAMPLE_RATE}:cl=stereo`],
  ...["-t", "1", ...audioEncoder(settings), ...fragments(0)],
];

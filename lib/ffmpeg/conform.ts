/**
 * Files of a loop are made alike once: one rate, one size, closed GOPs on the grid, uncompressed audio, a length of
 * whole GOPs. They then follow each other, and themselves, without a seam, and any GOP can be the first.
 */
import { AUDIO_SAMPLE_RATE } from "./encode.ts";
import type { FrameRate } from "./source-info.ts";

export interface ConformOptions {
  readonly from: string;
  readonly to: string;
  readonly frameRate: FrameRate;
  readonly gopFrames: number;
  readonly gopCount: number;
  readonly width: number;
  readonly height: number;
  readonly hasAudio: boolean;
  readonly interlaced: boolean;
}

/** Containers of library files; playlists are not among them: they would name further files. */
const CONTAINERS = "mov,matroska,mpegts,mpeg,avi,flv,asf,ogg,mxf";
const QUIET = ["-hide_banner", "-nostats", "-nostdin"];
const confined = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS];

/** Tells about a file on stderr and ends with an error, since no output is named. */
export const probeArguments = (file: string): string[] => [
  ...[...QUIET, "-loglevel", "level+info"],
  ...[...confined, "-i", `file:${file}`],
];

export const conformArguments = (options: ConformOptions): string[] => {
  const { frameRate, gopFrames, gopCount, width, height, hasAudio, interlaced } = options;
  const frameCount = gopFrames * gopCount;
  const sampleCount = Math.round((frameCount * frameRate.den * AUDIO_SAMPLE_RATE) / frameRate.num);
  const fitted = `scale=${width}:${height}:force_original_aspect_ratio=decrease:force_divisible_by=2`;
  const video = [
    ...(interlaced ? ["yadif=deint=interlaced"] : []),
    // start_time: a picture that begins later than the sound does so here too
    `fps=${frameRate.num}/${frameRate.den}:start_time=0`,
    fitted,
    `pad=${width}:${height}:(ow-iw)/2:(oh-ih)/2,setsar=1`,
    // The last picture stays until the GOP is full. A finite number: with an endless one ffmpeg 7 never comes to an
    // end.
    `tpad=stop=${frameCount}:stop_mode=clone,trim=end_frame=${frameCount}`,
  ];
  const audio = [
    `aresample=${AUDIO_SAMPLE_RATE}:async=1000:first_pts=0`,
    `aformat=sample_fmts=s16:channel_layouts=stereo,apad=whole_len=${sampleCount},atrim=end_sample=${sampleCount}`,
  ];
  const silence = ["-f", "lavfi", "-i", `anullsrc=r=${AUDIO_SAMPLE_RATE}:cl=stereo`];
  return [
    ...[...QUIET, "-loglevel", "level+warning", "-y"],
    ...[...confined, "-i", `file:${options.from}`, ...(hasAudio ? [] : silence)],
    ...["-filter_complex", `[0:v:0]${video.join(",")}[v];[${hasAudio ? 0 : 1}:a:0]${audio.join(",")}[a]`],
    ...["-map", "[v]", "-fps_mode", "passthrough"],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-crf", "17", "-pix_fmt", "yuv420p", "-bf", "0"],
    ...["-g", String(gopFrames), "-keyint_min", String(gopFrames), "-sc_threshold", "0"],
    // mov: its time scales are exact (Matroska's milliseconds are not), and it takes PCM
    ...["-map", "[a]", "-c:a", "pcm_s16le", "-video_track_timescale", "90000", "-f", "mov", `file:${options.to}`],
  ];
};

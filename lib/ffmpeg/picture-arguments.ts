/** How pictures and clips are taken out of a finished rung: its key frames lie at equal distances, from 0 s on. */
import type { StoryboardPlan } from "../../domain/pictures/storyboard.ts";
import { type DynamicRange, toneMapFilters } from "../../domain/transcode/colour.ts";
import { confinement } from "../../domain/transcode/video-arguments.ts";
import type { ObjectInput } from "../objects/port.ts";

const QUIET = ["-hide_banner", "-nostdin", "-loglevel", "level+warning", "-y"];
const words = (text: string): string[] => text.split(" ");

const input = (from: ObjectInput, before: readonly string[] = []): string[] => [
  ...confinement(from),
  ...before,
  ...["-i", from.url],
];

/** Pictures are for screens of today: what is in HDR is brought to BT.709 first. */
const toned = (dynamicRange: DynamicRange): string =>
  dynamicRange === "sdr" ? "" : `${toneMapFilters(dynamicRange).join(",")},`;

export const GREY_WIDTH = 32;
export const GREY_HEIGHT = 18;

/** Every key frame as `GREY_WIDTH × GREY_HEIGHT` grey bytes, one after the other, to a file. */
export const greyArguments = (from: ObjectInput, file: string): string[] => [
  ...QUIET,
  ...input(from, ["-skip_frame", "nokey"]),
  ...["-map", "0:v:0", "-fps_mode", "passthrough"],
  ...["-vf", `scale=${GREY_WIDTH}:${GREY_HEIGHT}:flags=area,format=gray`, "-f", "rawvideo", file],
];

/** The sheets of a storyboard, `pattern` with one `%d` that counts from 0. */
export const sheetArguments = (
  from: ObjectInput,
  { everySeconds, width, height, columns, rows }: StoryboardPlan,
  {
    gopSeconds,
    dynamicRange,
    pattern,
  }: { readonly gopSeconds: number; readonly dynamicRange: DynamicRange; readonly pattern: string },
): string[] => [
  ...QUIET,
  ...input(from, ["-skip_frame", "nokey"]),
  ...["-map", "0:v:0", "-fps_mode", "passthrough"],
  // Every so many-th key frame, by count: their distance is known.
  ...[
    "-vf",
    `select='not(mod(n,${Math.round(everySeconds / gopSeconds)}))',` +
      `${toned(dynamicRange)}scale=${width}:${height}:flags=area,setsar=1,tile=${columns}x${rows}`,
  ],
  ...words("-c:v mjpeg -pix_fmt yuvj420p -q:v 5 -start_number 0"),
  pattern,
];

/** One picture in full size. */
export const posterArguments = (
  from: ObjectInput,
  {
    atSeconds,
    dynamicRange,
    file,
  }: { readonly atSeconds: number; readonly dynamicRange: DynamicRange; readonly file: string },
): string[] => [
  ...QUIET,
  ...input(from, ["-ss", String(atSeconds)]),
  ...["-map", "0:v:0", "-frames:v", "1", "-vf", `${toned(dynamicRange)}setsar=1`],
  ...words("-c:v mjpeg -pix_fmt yuvj420p -q:v 3"),
  file,
];

export interface ClipOptions {
  readonly fromSeconds: readonly number[];
  readonly clipSeconds: number;
  readonly hasAudio: boolean;
  readonly dynamicRange: DynamicRange;
  readonly heightMax: number;
  readonly file: string;
}

/** Parts of a title one after the other, as a small MP4 that plays while it loads. */
export const clipArguments = (from: ObjectInput, options: ClipOptions): string[] => {
  const { fromSeconds, clipSeconds, hasAudio, dynamicRange, heightMax, file } = options;
  const inputs = fromSeconds.flatMap((at) => input(from, ["-ss", String(at), "-t", String(clipSeconds)]));
  const parts = fromSeconds.map((_, i) => `[${i}:v:0]${hasAudio ? `[${i}:a:0]` : ""}`).join("");
  const joined = `${parts}concat=n=${fromSeconds.length}:v=1:a=${hasAudio ? 1 : 0}[v]${hasAudio ? "[a]" : ""}`;
  const picture = `[v]${toned(dynamicRange)}scale=-2:'min(${heightMax},2*trunc(ih/2))',setsar=1[o]`;
  return [
    ...QUIET,
    ...inputs,
    ...["-filter_complex", `${joined};${picture}`, "-map", "[o]"],
    ...words("-c:v libx264 -preset veryfast -crf 25 -profile:v high -pix_fmt yuv420p"),
    ...(hasAudio ? ["-map", "[a]", ...words("-c:a aac -b:a 128k -ac 2")] : []),
    ...words("-movflags +faststart -f mp4"),
    file,
  ];
};

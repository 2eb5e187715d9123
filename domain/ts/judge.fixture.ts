/** What ffmpeg says of a file: its packets as they are, and whether it decodes. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { ffprobePath } from "../../test/media/ffprobe.ts";
import { runFfmpeg } from "../../test/support/media-file.ts";

/** A packet by stream copy; times in ticks of 90 kHz. */
export interface JudgedPacket {
  readonly dts: number;
  readonly pts: number;
  readonly hash: string;
}

export interface Judged {
  readonly container: "mp4" | "ts";
  /** The kind of the first video stream; null: there is none. */
  readonly video: "h264" | "hevc" | null;
  /** AAC has headers in a transport stream; null: there is no audio. */
  readonly audio: "adts" | "other" | null;
}

/** Filters that leave the same bytes of both containers: no delimiters, parameter sets, encoder's messages, ADTS. */
const filters = ({ container, video, audio }: Judged): string => {
  const removed = video === "hevc" ? "32-35|39" : "7-9";
  const toAnnexB = container === "mp4" ? `${video}_mp4toannexb,` : "";
  const ofVideo = video ? `-map 0:v:0 -bsf:v ${toAnnexB}filter_units=remove_types=${removed}` : "";
  const ofAudio = audio ? `-map 0:a:0 ${audio === "adts" && container === "ts" ? "-bsf:a aac_adtstoasc" : ""}` : "";
  return `${ofVideo} ${ofAudio}`;
};

const framesIn = (text: string): string[][] =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(",").map((field) => field.trim()));

const uncomplaining = async (args: string, bytes: Buffer): Promise<string> => {
  const { stdout, stderr } = await runFfmpeg(`-v warning -xerror -copyts ${args}`, bytes);
  if (stderr !== "") throw new Error(stderr);
  return stdout.toString();
};

/** Packets of the first streams of each kind in decode order, video before audio. Rejects when ffmpeg complains. */
export const judgedPackets = async (bytes: Buffer, judged: Judged): Promise<JudgedPacket[][]> => {
  const text = await uncomplaining(`-i in -c copy ${filters(judged)} -f framemd5 -`, bytes);
  const bases = [...text.matchAll(/^#tb \d+: (\d+)\/(\d+)$/gm)].map((base) => Number(base[1]) / Number(base[2]));
  const streams: JudgedPacket[][] = bases.map(() => []);
  for (const [stream, dts, pts, , , hash = ""] of framesIn(text)) {
    const ticks = (field: string | undefined) => Math.round(Number(field) * (bases[Number(stream)] ?? 0) * 90_000);
    streams[Number(stream)]?.push({ dts: ticks(dts), pts: ticks(pts), hash });
  }
  return streams;
};

/** How many frames a decoder makes of each stream, video before audio; rejects when ffmpeg complains. */
export const decodedFrames = async (bytes: Buffer, { video, audio }: Judged): Promise<number[]> => {
  const maps = [...(video ? ["-map 0:v:0"] : []), ...(audio ? ["-map 0:a:0"] : [])];
  const args = `-err_detect explode -threads 1 -i in ${maps.join(" ")} -fps_mode passthrough -f framemd5 -`;
  const frames = framesIn(await uncomplaining(args, bytes));
  return maps.map((_, index) => frames.filter(([stream]) => Number(stream) === index).length);
};

export interface ProbedStream {
  readonly codec_name: string;
  readonly codec_tag: string;
  readonly id: string;
  readonly channels?: number;
  readonly tags?: { readonly language?: string };
}
/** The streams that ffprobe finds; rejects when it complains. */
export const probedStreams = async (bytes: Buffer): Promise<ProbedStream[]> => {
  const child = execFile(ffprobePath(), ["-v", "error", "-show_streams", "-of", "json", "-"], { timeout: 60_000 });
  let [out, complaint] = ["", ""];
  child.stdout?.on("data", (text) => (out += text));
  child.stderr?.on("data", (text) => (complaint += text));
  child.stdin?.on("error", () => {}); // it stops reading when it knows enough
  child.stdin?.end(bytes);
  await once(child, "close");
  if (complaint !== "") throw new Error(complaint);
  return (JSON.parse(out) as { streams: ProbedStream[] }).streams;
};

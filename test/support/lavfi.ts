/** Tracks as the live encoder writes them, made from lavfi by the product's own arguments: init segment and samples. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Sample } from "../../domain/mp4/fragment.ts";
import type { TrackInfo } from "../../domain/mp4/init.ts";
import { trackReader } from "../../domain/mp4/track-reader.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { audioEncoder, type EncodeSettings, videoEncoder } from "../../lib/ffmpeg/encode.ts";

export interface Track {
  readonly init: Buffer;
  readonly info: TrackInfo;
  readonly samples: readonly Sample[];
}
export interface Wanted {
  readonly kind: "video" | "audio";
  readonly seconds: number;
  readonly num?: number;
  readonly den?: number;
  readonly width?: number;
  readonly height?: number;
  /** lavfi source; a moving picture or a tone where absent. */
  readonly source?: string;
  readonly codec?: "hevc";
  /** Seconds added to every timestamp. */
  readonly shift?: number;
}

const FRAGMENTS = "-movflags +cmaf+frag_every_frame+frag_discont+skip_trailer -use_editlist 0 -flush_packets 1";

const argumentsFor = (wanted: Wanted): string[] => {
  const { kind, seconds, num = 25, den = 1, width = 64, height = 36, shift = 0 } = wanted;
  const rung = { name: "v0", width, height, videoKbps: 100 };
  const settings: EncodeSettings = {
    frameRate: { num, den },
    gopFrames: Math.round(num / den),
    rungs: [rung],
    preset: "ultrafast",
    audioKbps: 48,
  };
  const source = { video: `testsrc2=s=${width}x${height}:r=${num}/${den}`, audio: "sine=r=48000" }[kind];
  const filter = { video: "setpts", audio: "asetpts" }[kind];
  return [
    ..."-hide_banner -nostdin -loglevel error -copyts -f lavfi -i".split(" "),
    `${wanted.source ?? source},${filter}=PTS+${shift}/TB`,
    ...(kind === "video" ? videoEncoder(settings, rung) : audioEncoder(settings)),
    ...(wanted.codec === "hevc"
      ? "-c:v libx265 -x265-params log-level=none -profile:v main -tag:v hvc1".split(" ")
      : []),
    // Not -t: its end would be counted from 0, wherever the timestamps begin.
    ...(kind === "video"
      ? ["-frames:v", String(Math.round((seconds * num) / den))]
      : ["-frames:a", String(Math.ceil((seconds * 48_000) / 1024))]),
    ...["-f", "mp4", ...FRAGMENTS.split(" "), "pipe:1"],
  ];
};

/** Runs ffmpeg; rejects with what it complains about. */
const output = async (args: readonly string[], input?: Buffer): Promise<Buffer> => {
  const { path } = await findFfmpeg(null);
  return run(path, args, input);
};
const run = async (file: string, args: readonly string[], input?: Buffer): Promise<Buffer> => {
  const child = spawn(file, args, { stdio: [input ? "pipe" : "ignore", "pipe", "pipe"] });
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout?.on("data", (bytes: Buffer) => out.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => errors.push(bytes));
  child.stdin?.on("error", () => {}); // it may end before it has read all
  child.stdin?.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  const complaint = Buffer.concat(errors).toString();
  if (code !== 0 || complaint !== "") throw new Error(`${file} ended with ${code}: ${complaint}`);
  return Buffer.concat(out);
};

const encoded = new Map<string, Promise<Track>>();

/** Encodes once per test process and track that is wanted. */
export const encode = (wanted: Wanted): Promise<Track> => {
  const args = argumentsFor(wanted);
  const key = args.join(" ");
  const track = encoded.get(key) ?? output(args).then(readTrack);
  encoded.set(key, track);
  return track;
};

/** Reads what ffmpeg wrote, in pieces of some awkward size. */
export const readTrack = (bytes: Buffer): Track => {
  const heads: Omit<Track, "samples">[] = [];
  const samples: Sample[] = [];
  const reader = trackReader({
    onInit: (init, info) => heads.push({ init, info }),
    onSample: (sample) => samples.push(sample),
  });
  for (let at = 0; at < bytes.length; at += 1_777) reader.push(bytes.subarray(at, at + 1_777));
  const [head] = heads;
  if (!head) throw new Error("no moov");
  return { ...head, samples };
};

export interface Packet {
  readonly dts: number;
  readonly duration: number;
  readonly key: boolean;
}

/** The packets that ffmpeg's demuxer sees in a file with one track; it must not complain about anything. */
export const packetsOf = async (file: Buffer): Promise<Packet[]> => {
  const args = "-hide_banner -nostdin -v warning -xerror -copyts -i pipe:0 -c copy -f framecrc -";
  const text = (await output(args.split(" "), file)).toString();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => {
    const [, dts, , duration, , , flags] = line.split(",").map((field) => field.trim());
    return { dts: Number(dts), duration: Number(duration), key: flags === undefined };
  });
};

/** An MD5 per frame of a file with one track: ffmpeg decodes all of it and must not complain. */
export const decodedFrames = async (file: Buffer): Promise<string[]> => {
  const args = "-hide_banner -nostdin -v warning -xerror -err_detect explode -copyts -i pipe:0 -fps_mode passthrough";
  const text = (await output([...args.split(" "), "-f", "framemd5", "-"], file)).toString();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(",").at(-1)?.trim() ?? "");
};

/** ffmpeg as a player: what it gets of an address by stream copy, and what it decodes of it. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";

const DEADLINE_MS = 60_000;

export interface PlayedStream {
  readonly kind: "video" | "audio";
  /** Of its packets, in the order in which they came. */
  readonly ptsSeconds: readonly number[];
  /** MD5 of each. */
  readonly hashes: readonly string[];
  /** Checksums of the frames that a decoder makes of it. */
  readonly frames: readonly string[];
}

const HEADER = /^#(tb|media_type) (\d+): (\S+)$/;

interface Framed {
  readonly kind: string;
  readonly base: number;
  readonly ptsSeconds: number[];
  readonly hashes: string[];
}

/** Each stream in what the muxers `framecrc` and `framemd5` write. */
const streamsIn = (text: string): Framed[] => {
  const streams: Framed[] = [];
  for (const line of text.split("\n")) {
    const [, field, index, value = ""] = HEADER.exec(line) ?? [];
    if (field !== undefined) {
      const stream = streams[Number(index)] ?? { kind: "", base: 0, ptsSeconds: [], hashes: [] };
      const [num = 0, den = 1] = value.split("/").map(Number);
      streams[Number(index)] = field === "tb" ? { ...stream, base: num / den } : { ...stream, kind: value };
    } else if (line !== "" && !line.startsWith("#")) {
      const [stream, , pts, , , hash = ""] = line.split(",");
      const found = streams[Number(stream)];
      found?.ptsSeconds.push(Number(pts) * found.base);
      found?.hashes.push(hash.trim());
    }
  }
  return streams;
};

export interface PlayOptions {
  /** Before each input. */
  readonly before?: readonly string[];
  /** What decoders say is taken as it is: pictures that they need are known to be missing. */
  readonly mayComplain?: boolean;
  /** Path of another ffmpeg than npm's. */
  readonly ffmpeg?: string;
}

const sameStreams = (copied: string, decoded: string): PlayedStream[] => {
  const frames = streamsIn(decoded);
  return streamsIn(copied).map(({ kind, ptsSeconds, hashes }, index) => {
    if (kind !== "video" && kind !== "audio") throw new Error(`a stream of ${kind}`);
    return { kind, ptsSeconds, hashes, frames: frames[index]?.hashes ?? [] };
  });
};

/** Pictures before sounds; no texts. */
const media = (index: number): string[] => ["-map", `${index}:v?`, "-map", `${index}:a?`];

let found: Promise<string> | undefined;
const ffmpegPath = (): Promise<string> => {
  found ??= findFfmpeg(null).then((ffmpeg) => ffmpeg.path);
  return found;
};

/** Plays addresses from their beginning to their end, side by side in one process. Rejects when it complains. */
export const play = async (
  urls: readonly string[],
  { before = [], mayComplain = false, ffmpeg }: PlayOptions = {},
): Promise<readonly (readonly PlayedStream[])[]> => {
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-play-"));
  try {
    const inputs = urls.flatMap((url) => ["-threads", "1", ...before, "-i", url]);
    const outputs = urls.flatMap((_, index) => [
      ...[...media(index), "-c", "copy", "-f", "framemd5", `copied${index}`],
      ...[...media(index), "-fps_mode", "passthrough", "-f", "framecrc", `decoded${index}`],
    ]);
    const args = ["-nostdin", "-v", "error", "-copyts", ...inputs, ...outputs];
    const program = ffmpeg ?? (await ffmpegPath());
    const { stderr } = await promisify(execFile)(program, args, { cwd: folder, timeout: DEADLINE_MS });
    if (stderr !== "" && !mayComplain) throw new Error(`${urls.join(" ")}\n${stderr}`);
    const written = (name: string): Promise<string> => readFile(path.join(folder, name), "utf8");
    return await Promise.all(
      urls.map(async (_, index) => sameStreams(await written(`copied${index}`), await written(`decoded${index}`))),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

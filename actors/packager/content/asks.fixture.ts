/** Asks of a title's addresses, and ffmpeg as who judges what is there. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findFfmpeg } from "../../../lib/ffmpeg/binary.ts";

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
}

export const get = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> => {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(20_000) });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString("utf8") };
};

/** The addresses that a media playlist lists, its init segment first, absolute. */
export const listed = (text: string, playlistUrl: string): string[] => {
  const map = /#EXT-X-MAP:URI="([^"]+)"/.exec(text)?.[1];
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return [...(map === undefined ? [] : [map]), ...lines].map((uri) => new URL(uri, playlistUrl).href);
};

/** Frames of the first picture and samples of sound (in packets) that ffmpeg decodes, and what it complains of. */
export const decoded = async (url: string): Promise<{ frames: number; audioPackets: number; complaints: string }> => {
  const { path } = await findFfmpeg(null);
  const count = async (map: string): Promise<{ lines: number; complaints: string }> => {
    const open = "-v warning -nostdin -allowed_extensions ALL".split(" ");
    const isDash = url.includes(".mpd");
    const options = isDash ? ["-v", "warning", "-nostdin"] : open;
    const run = promisify(execFile);
    const out = await run(path, [...options, "-i", url, "-map", map, "-f", "framecrc", "-"], {
      timeout: 60_000,
      maxBuffer: 64 * 2 ** 20,
    });
    const lines = out.stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
    return { lines, complaints: out.stderr };
  };
  const [video, audio] = await Promise.all([count("0:v:0"), count("0:a:0")]);
  return { frames: video.lines, audioPackets: audio.lines, complaints: video.complaints + audio.complaints };
};

/** ffprobe, for tests: the one from npm, else the one in PATH. */
import { execFile } from "node:child_process";
import { accessSync, chmodSync, constants } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";

const DEADLINE_MS = 60_000;
const OUTPUT_BYTES_MAX = 256 * 2 ** 20;

/** The package's own installer would set the mode; it is not run here. */
const fromNpm = (): string | null => {
  try {
    const name = `@ffprobe-installer/${process.platform}-${process.arch}/package.json`;
    const file = path.join(path.dirname(createRequire(import.meta.url).resolve(name)), "ffprobe");
    try {
      accessSync(file, constants.X_OK);
    } catch {
      chmodSync(file, 0o755);
    }
    return file;
  } catch {
    return null;
  }
};

/** Path of the program. */
export const ffprobePath = (): string => fromNpm() ?? "ffprobe";

export interface ProbedStream {
  readonly index: number;
  /** Hexadecimal `track_ID`. */
  readonly id: string;
  readonly codec_type: string;
  readonly codec_name?: string;
  readonly profile?: string;
  readonly time_base: string;
  readonly width?: number;
  readonly height?: number;
  readonly channels?: number;
  readonly sample_rate?: string;
  readonly closed_captions?: number;
}
/** A packet; times in the stream's time base. */
export interface ProbedPacket {
  readonly stream_index: number;
  readonly pts?: number;
  readonly dts?: number;
  readonly duration?: number;
  readonly size: string;
  readonly pos?: string;
  readonly flags: string;
}
export interface Probed {
  readonly streams: readonly ProbedStream[];
  readonly packets: readonly ProbedPacket[];
}

/** Streams and packets of a file; `options` go before it. */
export const probe = async (file: string, options: readonly string[] = []): Promise<Probed> => {
  const args = ["-v", "error", ...options, "-show_streams", "-show_packets", "-of", "json", file];
  const limits = { timeout: DEADLINE_MS, maxBuffer: OUTPUT_BYTES_MAX };
  const { stdout } = await promisify(execFile)(ffprobePath(), args, limits);
  const { streams = [], packets = [] } = JSON.parse(stdout) as Partial<Probed>;
  return { streams, packets };
};

/** What ffmpeg says of a stream: its packets as they are, and whether it decodes. */
import { runFfmpeg } from "../../test/support/media-file.ts";

/** A packet as `framehash` tells it. */
export interface JudgedPacket {
  /** In units of the time base that ffmpeg was told: 90 kHz. */
  readonly dts: number;
  readonly pts: number;
  readonly hash: string;
}

export interface JudgedStream {
  readonly codec: "h264" | "hevc" | "other";
  /** `v:0` or `a:0`. */
  readonly map: string;
  readonly container: "mp4" | "ts";
  /** How audio is carried: AAC has headers in a transport stream. */
  readonly isAdts?: boolean;
}

/** Filters that leave the same bytes of both containers: no delimiters, no parameter sets, no ADTS. */
const filterOf = ({ codec, map, container, isAdts = false }: JudgedStream): string => {
  if (map.startsWith("a")) return container === "ts" && isAdts ? "-bsf:a aac_adtstoasc" : "";
  const toAnnexB = container === "mp4" ? `${codec}_mp4toannexb,` : "";
  return `-bsf:v ${toAnnexB}filter_units=remove_types=${codec === "hevc" ? "32-35|39" : "7-9"}`;
};

const complaint = (stderr: string): string =>
  stderr
    .split("\n")
    .filter((line) => line !== "" && !HARMLESS.some((known) => known.test(line)))
    .join("\n");
/** Of ffmpeg's own muxer of hashes, and of what the sources themselves have. */
const HARMLESS: readonly RegExp[] = [/Timestamps are unset in a packet/];

/** Packets by stream copy, in decode order. Rejects when ffmpeg complains. */
export const judgedPackets = async (bytes: Buffer, stream: JudgedStream): Promise<JudgedPacket[]> => {
  const args = `-v warning -xerror -copyts -i in -map 0:${stream.map} -c copy ${filterOf(stream)} -time_base 1/90000 -enc_time_base 1/90000 -f framemd5 -`;
  const { stdout, stderr } = await runFfmpeg(args, bytes);
  if (complaint(stderr) !== "") throw new Error(complaint(stderr));
  const text = stdout.toString();
  const [, numerator = "1", denominator = "90000"] = /^#tb 0: (\d+)\/(\d+)$/m.exec(text) ?? [];
  const ticks = (field = "") => Math.round((Number(field) * Number(numerator) * 90_000) / Number(denominator));
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, dts, pts, , , hash = ""] = line.split(",").map((field) => field.trim());
      return { dts: ticks(dts), pts: ticks(pts), hash };
    });
};

/** How many frames come out of a decoder; rejects when ffmpeg complains. */
export const decodedFrames = async (bytes: Buffer, map: string): Promise<number> => {
  const args = `-v warning -xerror -err_detect explode -threads 1 -i in -map 0:${map} -fps_mode passthrough -f framemd5 -`;
  const { stdout, stderr } = await runFfmpeg(args, bytes);
  if (complaint(stderr) !== "") throw new Error(complaint(stderr));
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#")).length;
};

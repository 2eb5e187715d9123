/** ffmpeg: found, new enough, with the inputs that channels use. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Settings } from "../../lib/config/config.ts";
import { type Ffmpeg, findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { bad, type Finding, ok, reasonOf, warn } from "./finding.ts";

const run = promisify(execFile);
const RUN_DEADLINE_MS = 10_000;
const MAJOR_MIN = 5; // the command line was proven on 5.1 and 7.0
const PROTOCOLS = ["udp", "http", "https", "srt", "rtmp"];

/** What was found, with the protocols that `-protocols` lists, as findings. */
export const judgeFfmpeg = ({ path, version, major, launcher }: Ffmpeg, protocols: string): Finding[] => {
  const text = `${version} at ${path}`;
  const todo = "Install a full ffmpeg (Debian: apt-get install ffmpeg) and name it in FFMPEG_PATH.";
  const listed = new Set(protocols.split(/\s+/));
  const missing = PROTOCOLS.filter((name) => !listed.has(name));
  const findings: Finding[] = [];
  if (major < MAJOR_MIN) findings.push(warn("ffmpeg", `${text} is old`, todo));
  else if (missing.length > 0) findings.push(warn("ffmpeg", `${text} can't take in ${missing.join(", ")}`, todo));
  else findings.push(ok("ffmpeg", `${text}; takes in ${PROTOCOLS.join(", ")}`));
  if (process.platform === "linux" && launcher.length === 0) {
    const install = "Install util-linux: with its setpriv no ffmpeg outlives a killed node.";
    findings.push(warn("setpriv", "can't be used", install));
  }
  return findings;
};

/** Only the role streamer runs it. */
export const checkFfmpeg = async (settings: Settings): Promise<Finding[]> => {
  if (!settings.roles.includes("streamer")) return [];
  let found: Ffmpeg;
  try {
    found = await findFfmpeg(settings.ffmpegPath);
  } catch (error) {
    const todo = "Without it this process can't take in any channel.";
    return [bad("ffmpeg", reasonOf(error), todo)];
  }
  const { stdout } = await run(found.path, ["-hide_banner", "-protocols"], { timeout: RUN_DEADLINE_MS });
  return judgeFfmpeg(found, stdout);
};

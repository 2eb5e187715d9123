/** A live MPEG-TS source: ffmpeg sends the test picture by multicast on the loopback interface. */
import { spawn } from "node:child_process";
import { liveSourceArguments } from "../../lib/demo/frame-counter.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export interface LiveSource {
  /** What an origin's `ingestUrl` is set to. */
  readonly url: string;
  kill(): void;
}

const PORT_FROM = 20_000;
const PORTS = 20_000;
let used = process.pid;

/** Each source has a group and a port of its own; it ends with the test. */
export const liveSource = async (
  t: Cleaner,
  picture: { rate?: string; audio?: boolean; offsetSeconds?: number } = {},
): Promise<LiveSource> => {
  used += 1;
  const group = `239.255.${used % 250}.${1 + (Math.floor(used / 250) % 250)}`;
  const address = `udp://${group}:${PORT_FROM + (used % PORTS)}`;
  const { path } = await findFfmpeg(null);
  const args = liveSourceArguments(`${address}?pkt_size=1316&localaddr=127.0.0.1&ttl=0`, {
    width: 320,
    height: 180,
    rate: picture.rate ?? "25",
    ...(picture.audio === undefined ? {} : { audio: picture.audio }),
    ...(picture.offsetSeconds === undefined ? {} : { offsetSeconds: picture.offsetSeconds }),
  });
  const child = spawn(path, args, { stdio: ["ignore", "ignore", "inherit"] });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  t.after(async () => kill());
  return { url: `${address}?localaddr=127.0.0.1`, kill };
};

/** The packager as it is shipped, on CPU 0, and its addresses for the benchmarks' media. */
import { execFileSync } from "node:child_process";
import { startNode } from "../test/support/platform.ts";
import type { Cleanup } from "./live.fixture.ts";
import type { Peer } from "./packager-peers.fixture.ts";

/** All threads of a process: those of libuv and V8 are there once it is ready. */
export const onFirstCpu = (pid: number): void => {
  execFileSync("taskset", ["-a", "-c", "-p", "0", String(pid)], { stdio: "ignore" });
};

/** Every setting is the default one, but for where the media are. */
export const startPackager = async (
  cleanup: Cleanup,
  media: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Peer> => {
  const all = { ROLES: "packager", CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: media, ...env };
  const start = async (): Promise<Peer> => {
    const node = await startNode(cleanup, { env: all });
    const pid = node.child.pid ?? 0;
    onFirstCpu(pid);
    const restart = async (): Promise<Peer> => {
      await node.stop();
      return start();
    };
    return { name: "packager", url: node.endpoints.packager ?? "", pid, restart };
  };
  return start();
};

/** Addresses of segments, 1-based. */
export const segmentPaths = (count: number, pathOf: (number: number) => string): readonly string[] =>
  Array.from({ length: count }, (_, index) => pathOf(index + 1));

export const ours = {
  ts: (file: string) => (number: number) => `/i/${file}/segment${number}_0_av.ts`,
  fmp4: (file: string) => (number: number) => `/i/${file}/segment${number}_0_av.m4s`,
  playlist: (file: string) => `/i/${file}/index_0_av.m3u8`,
};

export const vod = {
  ts: (file: string) => (number: number) => `/ts/${file}/seg-${number}-v1-a1.ts`,
  fmp4: (file: string) => (number: number) => `/fmp4/${file}/seg-${number}-v1-a1.m4s`,
  aes: (file: string) => (number: number) => `/aes/${file}/seg-${number}-v1-a1.ts`,
  playlist: (file: string) => `/ts/${file}/index.m3u8`,
};

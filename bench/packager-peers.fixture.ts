/**
 * Who the packager is measured against, each on CPU 0 as it is itself: nginx with the same bytes as static files, and
 * nginx-vod-module where NGINX_VOD_BIN names a build of it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Cleanup, childrenOf, pause } from "./live.fixture.ts";

/** How nginx-vod's memory is managed, and how it frames: facts of its documentation and of glibc's. */
export type Tuning = "installed" | "tuned";

/** Keeps what was allocated, so that each request does not fault it in again. */
const MALLOC_KEEPS = {
  MALLOC_TRIM_THRESHOLD_: "134217728",
  MALLOC_MMAP_THRESHOLD_: "134217728",
  MALLOC_TOP_PAD_: "134217728",
};

export interface Peer {
  readonly name: string;
  readonly url: string;
  /** The process that answers. */
  readonly pid: number;
  restart(): Promise<Peer>;
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo; // it listens on TCP
      server.close(() => resolve(port));
    });
  });

const COMMON = `
daemon off; worker_processes 1; pid nginx.pid; error_log error.log warn;
events { worker_connections 4096; }`;
const HTTP = `
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000; keepalive_timeout 600;
  open_file_cache max=1000 inactive=5m; default_type application/octet-stream;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;`;

const TUNED_TS =
  "vod_hls_mpegts_align_frames off; vod_hls_mpegts_interleave_frames on; vod_output_buffer_pool 64k 128;";

const vodConfig = (media: string, port: number, tuning: Tuning): string => {
  const isTuned = tuning === "tuned";
  const location = (prefix: string, more: string, cacheBuffer: string): string => {
    const tuned = isTuned ? `${TUNED_TS} vod_cache_buffer_size ${cacheBuffer};` : "";
    return `location /${prefix}/ { vod hls; alias ${media}/; ${more} ${tuned} }`;
  };
  return `${COMMON}
http {${HTTP}
  aio on; vod_mode local; vod_segment_duration 6000; vod_align_segments_to_key_frames on;
  vod_manifest_segment_durations_mode accurate; vod_metadata_cache meta 256m; vod_response_cache resp 64m;
  vod_max_metadata_size 256m;
  server { listen 127.0.0.1:${port};
    ${location("ts", "", "1m")}
    ${location("fmp4", "vod_hls_container_format fmp4;", "4m")}
    ${location("aes", 'vod_secret_key "secret$vod_filepath"; vod_hls_encryption_method aes-128;', "1m")}
  }
}`;
};

const staticConfig = (media: string, port: number): string =>
  `${COMMON}\nhttp {${HTTP}\n  server { listen 127.0.0.1:${port}; root ${media}; }\n}`;

interface Nginx {
  readonly name: string;
  readonly binary: string;
  readonly configOf: (port: number) => string;
  readonly env: Readonly<Record<string, string>>;
}

const startNginx = async (cleanup: Cleanup, nginx: Nginx): Promise<Peer> => {
  const prefix = await mkdtemp(path.join(tmpdir(), "castellan-bench-"));
  await mkdir(path.join(prefix, "tmp"));
  const port = await freePort();
  await writeFile(path.join(prefix, "nginx.conf"), nginx.configOf(port));
  const start = (): ChildProcess =>
    spawn("taskset", ["-c", "0", nginx.binary, "-p", prefix, "-c", "nginx.conf", "-e", "error.log"], {
      env: { PATH: process.env.PATH ?? "", ...nginx.env },
      stdio: ["ignore", "inherit", "inherit"],
    });
  let child = start();
  cleanup.after(async () => {
    child.kill("SIGTERM");
    await pause(200);
    await rm(prefix, { recursive: true, force: true });
  });
  const ready = async (): Promise<Peer> => {
    for (let wait = 0; wait < 100; wait += 1) {
      const [worker] = child.pid === undefined ? [] : childrenOf(child.pid, path.basename(nginx.binary).slice(0, 15));
      const isUp = await fetch(`http://127.0.0.1:${port}/`).then(
        () => true,
        () => false,
      );
      if (isUp && worker !== undefined)
        return { name: nginx.name, url: `http://127.0.0.1:${port}`, pid: worker, restart };
      await pause(50);
    }
    throw new Error(`${nginx.name} did not start`);
  };
  const restart = async (): Promise<Peer> => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
    child = start();
    return ready();
  };
  return ready();
};

/** nginx-vod-module; null where there is no build of it. */
export const startVod = async (cleanup: Cleanup, media: string, tuning: Tuning): Promise<Peer | null> => {
  const binary = process.env.NGINX_VOD_BIN;
  if (!binary) return null;
  const env = tuning === "tuned" ? MALLOC_KEEPS : {};
  const configOf = (port: number): string => vodConfig(media, port, tuning);
  return startNginx(cleanup, { name: `nginx-vod ${tuning}`, binary, configOf, env });
};

/** Debian's nginx sending files. */
export const startStatic = (cleanup: Cleanup, folder: string): Promise<Peer> =>
  startNginx(cleanup, {
    name: "nginx static",
    binary: "nginx",
    configOf: (port) => staticConfig(folder, port),
    env: {},
  });

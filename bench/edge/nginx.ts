/** Debian's nginx as a cache, tuned as its documentation says for media. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "../../lib/http/listening.ts";
import { serverDir, startServer } from "../../test/support/server-process.ts";
import { onServerCore } from "../http-load.fixture.ts";
import type { Cleanup } from "../live.fixture.ts";
import type { CacheServer, Place } from "./server.ts";

interface Written extends Place {
  readonly dir: string;
  readonly port: number;
  readonly tlsPort: number;
}

const configOf = ({ dir, port, tlsPort, originPort, certificate, diskBytes }: Written): string => `
daemon off; user root; worker_processes 1; worker_rlimit_nofile 60000; pid ${dir}/pid; error_log ${dir}/error.log warn;
events { worker_connections 16384; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  open_file_cache max=10000; server_tokens off; default_type application/octet-stream;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`).join(" ")}
  proxy_cache_path ${dir}/cache levels=1:2 keys_zone=edge:32m max_size=${diskBytes} inactive=1d use_temp_path=off;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; }
  server {
    listen 127.0.0.1:${port} backlog=8192;
    listen 127.0.0.1:${tlsPort} ssl backlog=8192;
    ssl_certificate ${certificate.certFile}; ssl_certificate_key ${certificate.keyFile}; ssl_protocols TLSv1.3;
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache edge; proxy_cache_key $uri; proxy_cache_lock on; proxy_cache_lock_timeout 60s;
      proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
      proxy_cache_background_update on; proxy_cache_revalidate on;
    }
  }
}
`;

export const startNginx = async (cleanup: Cleanup, place: Place): Promise<CacheServer> => {
  const dir = serverDir(cleanup, "bench-nginx");
  mkdirSync(path.join(dir, "cache"));
  const tlsPort = await freePort("127.0.0.1");
  const { port, process } = await startServer(cleanup, (on) => {
    const file = path.join(dir, "nginx.conf");
    writeFileSync(file, configOf({ ...place, dir, port: on, tlsPort }));
    return onServerCore("nginx", ["-p", dir, "-c", file, "-e", path.join(dir, "error.log")]);
  });
  return { name: "nginx", port, tlsPort, pid: process.pid ?? 0 };
};

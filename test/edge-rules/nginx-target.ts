/** nginx as the target of scripts: a judge from outside, where it does as the RFCs say. Its clock can't be moved. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { serverDir, startServer } from "../support/server-process.ts";
import type { Target } from "./run.ts";

const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
const configOf = (dir: string, port: number, originUrl: string): string => `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log stderr crit;
events { worker_connections 512; }
http {
  access_log off;
  ${TEMPORARY.map((name) => `${name}_temp_path ${dir}/${name};`).join("\n  ")}
  proxy_cache_path ${dir}/cache levels=1 keys_zone=scripts:1m use_temp_path=off;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${originUrl};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache scripts;
      proxy_cache_key $request_uri;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 30s;
      proxy_cache_revalidate on;
    }
  }
}
`;

export const nginxTarget: Target = {
  start: async (originUrl) => {
    const cleaning: (() => void | Promise<void>)[] = [];
    const cleaner = { after: (clean: () => void | Promise<void>) => void cleaning.push(clean) };
    const dir = serverDir(cleaner, "edge-rules");
    const { port } = await startServer(cleaner, (port) => {
      writeFileSync(join(dir, "nginx.conf"), configOf(dir, port, originUrl));
      return { program: "nginx", args: ["-p", dir, "-c", join(dir, "nginx.conf"), "-e", "stderr"], cwd: dir };
    });
    return {
      port,
      advance: () => {
        throw new Error("nginx has a clock of its own");
      },
      stop: async () => {
        for (const clean of cleaning.toReversed()) await clean();
      },
    };
  },
};

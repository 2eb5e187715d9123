/** nginx (Debian's package) in front of one folder, as an ordinary user or as root. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missingPrograms, serverDir, startServer } from "./server-process.ts";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

export const noNginx = missingPrograms("nginx");

export interface Nginx {
  readonly port: number;
  /** Served below `/plain/`; below `/auth/` for the user `viewer` with `nginxPassword`. */
  readonly root: string;
}

export const nginxPassword = "right-s3cret";

/** One process: as root its workers would run as another user, who may not look into a temporary folder. */
const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
const configOf = (dir: string, root: string, port: number): string => `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  sendfile on;
  absolute_redirect off;
  default_type application/octet-stream;
  ${TEMPORARY.map((name) => `${name}_temp_path ${dir}/${name};`).join("\n  ")}
  server {
    listen 127.0.0.1:${port};
    location /plain/ { alias ${root}/; }
    location /untagged/ { alias ${root}/; etag off; }
    location /rangeless/ { alias ${root}/; max_ranges 0; }
    location /moved/ {
      if ($request_uri ~ "^/moved/(.*)$") { return 302 /plain/$1; }
    }
    location /auth/ {
      alias ${root}/;
      auth_basic "media";
      auth_basic_user_file ${dir}/users;
    }
  }
}
`;

export const startNginx = async (t: Cleaner): Promise<Nginx> => {
  const dir = serverDir(t, "nginx");
  const root = join(dir, "root");
  mkdirSync(root);
  writeFileSync(join(dir, "users"), `viewer:{PLAIN}${nginxPassword}\n`);
  const { port } = await startServer(t, (port) => {
    writeFileSync(join(dir, "nginx.conf"), configOf(dir, root, port));
    return { program: "nginx", args: ["-p", dir, "-c", join(dir, "nginx.conf"), "-e", "stderr"], cwd: dir };
  });
  return { port, root };
};

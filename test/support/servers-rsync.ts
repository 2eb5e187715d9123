/** rsync's own daemon (Debian's package) over one folder. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missingPrograms, serverDir, startServer } from "./server-process.ts";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

export const noRsync = missingPrograms("rsync");

export const rsyncPassword = "right-s3cret";

export interface RsyncServer {
  readonly port: number;
  /** Its module `media`, for the user `viewer` with `rsyncPassword`. */
  readonly root: string;
}

/** As root it would serve as another user, who may not look into a temporary folder. */
const configOf = (dir: string, root: string): string => `
use chroot = no
reverse lookup = no
${process.getuid?.() === 0 ? "uid = root\ngid = root" : ""}
[media]
path = ${root}
read only = yes
auth users = viewer
secrets file = ${dir}/secrets
`;

export const startRsync = async (t: Cleaner): Promise<RsyncServer> => {
  const dir = serverDir(t, "rsyncd");
  const root = join(dir, "root");
  mkdirSync(root);
  writeFileSync(join(dir, "secrets"), `viewer:${rsyncPassword}\n`, { mode: 0o600 });
  writeFileSync(join(dir, "rsyncd.conf"), configOf(dir, root));
  const where = ["--daemon", "--no-detach", `--config=${join(dir, "rsyncd.conf")}`, "--address=127.0.0.1"];
  const { port } = await startServer(t, (port) => ({ program: "rsync", args: [...where, `--port=${port}`], cwd: dir }));
  return { port, root };
};

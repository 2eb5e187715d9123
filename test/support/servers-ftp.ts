/** vsftpd (Debian's package), as an ordinary user or as root, in one folder of ours. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificate } from "./certificate.ts";
import { missingPrograms, serverDir, startServer } from "./server-process.ts";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

export const noVsftpd = missingPrograms("vsftpd", "openssl");

export const ftpPassword = "right-s3cret";

export interface FtpServer {
  readonly port: number;
  /** A folder for the user `anonymous` with `ftpPassword`. He sees what the tests' user sees, there being no chroot. */
  readonly root: string;
  /** PEM of the certificate's own authority. */
  readonly caFile: string;
}

/** Logins of accounts would need PAM's settings: those of `anonymous` can be bound to passwords in a file of ours. */
const configOf = (dir: string, root: string, options: { port: number; tls: boolean }): string => `
listen=YES
listen_address=127.0.0.1
listen_port=${options.port}
background=NO
run_as_launching_user=YES
seccomp_sandbox=NO
anonymous_enable=YES
local_enable=NO
anon_root=${root}
anon_world_readable_only=NO
secure_email_list_enable=YES
email_password_file=${dir}/passwords
utf8_filesystem=YES
log_ftp_protocol=NO
xferlog_enable=NO
idle_session_timeout=120
${
  options.tls
    ? `ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
rsa_cert_file=${dir}/certificate.pem
rsa_private_key_file=${dir}/key.pem`
    : ""
}
`;

export const startFtp = async (t: Cleaner, { tls = false } = {}): Promise<FtpServer> => {
  const dir = serverDir(t, "vsftpd");
  const root = join(dir, "root");
  mkdirSync(root);
  writeFileSync(join(dir, "passwords"), `${ftpPassword}\n`, { mode: 0o600 });
  if (tls) makeCertificate(dir);
  const { port } = await startServer(t, (port) => {
    const file = join(dir, "vsftpd.conf");
    writeFileSync(file, configOf(dir, root, { port, tls }), { mode: 0o600 });
    return { program: "vsftpd", args: [file], cwd: dir, env: { LC_ALL: "C.UTF-8" } };
  });
  return { port, root, caFile: join(dir, "certificate.pem") };
};

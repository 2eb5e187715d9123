/** OpenSSH's server (Debian's package) for the user who runs the tests, with keys of its own. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { missingPrograms, serverDir, startServer } from "./server-process.ts";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

export const noSshd = missingPrograms("sshd", "ssh-keygen");

export const sshPassphrase = "right-s3cret";

export interface SshServer {
  readonly port: number;
  readonly user: string;
  /** A folder that the user may read. */
  readonly root: string;
  /**
   * Private keys: one that the server takes, sealed with `sshPassphrase`; the same unsealed; one that it does not take.
   */
  readonly keyFile: string;
  readonly openKeyFile: string;
  readonly strangeKeyFile: string;
  /** Public part of the server's own key: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  /** A known-hosts file for the server behind another port. */
  knownHostsFor(port: number): string;
}

/** ssh-keygen(1); one round of the key's sealing is enough for a test. */
const makeKey = (file: string, passphrase = ""): string => {
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-a", "1", "-C", "test", "-N", passphrase, "-f", file]);
  return readFileSync(`${file}.pub`, "utf8").trim();
};

/** SHLVL: bash reads the user's .bashrc for a command over SSH unless it seems to be a shell's shell. */
const configOf = (dir: string, port: number): string => `
ListenAddress 127.0.0.1
Port ${port}
HostKey ${dir}/host_key
PidFile none
AuthorizedKeysFile ${dir}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
MaxSessions 10
UseDNS no
LogLevel ERROR
SetEnv SHLVL=9
Subsystem sftp internal-sftp
`;

export const startSsh = async (t: Cleaner): Promise<SshServer> => {
  const dir = serverDir(t, "sshd");
  const root = join(dir, "root");
  mkdirSync(root);
  const at = (name: string) => join(dir, name);
  const hostKey = makeKey(at("host_key")).split(" ").slice(0, 2).join(" ");
  const keys = [makeKey(at("key"), sshPassphrase), makeKey(at("open_key"))];
  makeKey(at("strange_key"));
  writeFileSync(at("authorized_keys"), `${keys.join("\n")}\n`);
  // As root it wants the folder that its package makes at boot, and there is no setting for another one.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const { port } = await startServer(t, (port) => {
    writeFileSync(at("sshd_config"), configOf(dir, port));
    return { program: "sshd", args: ["-D", "-e", "-f", at("sshd_config")], cwd: dir };
  });
  return {
    port,
    user: userInfo().username,
    root,
    keyFile: at("key"),
    openKeyFile: at("open_key"),
    strangeKeyFile: at("strange_key"),
    hostKey,
    knownHostsFor: (port) => {
      const file = at(`known hosts ${port}`);
      writeFileSync(file, `[127.0.0.1]:${port} ${hostKey}\n`);
      return file;
    },
  };
};

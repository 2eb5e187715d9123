import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { noSshd, type SshServer, sshPassphrase, startSsh } from "../../test/support/servers-ssh.ts";
import { tcpGate } from "../../test/support/tcp-gate.ts";
import type { SourceCapabilities } from "./port.ts";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles, type Subject } from "./suite-place.ts";

const server: SshServer | undefined = noSshd ? undefined : await startSsh({ after });

const subject = (kind: "sftp" | "scp", capabilities: SourceCapabilities): Subject => ({
  capabilities,
  skip: noSshd,
  place: async (t) => {
    const { port, user, root, keyFile, strangeKeyFile, knownHostsFor } = server!; // or it is skipped
    const gate = await tcpGate(port);
    t.after(() => gate.close());
    const folder = randomBytes(6).toString("hex");
    mkdirSync(join(root, folder));
    const settings = {
      kind,
      host: "127.0.0.1",
      port: gate.port,
      user,
      password: null,
      keyFile,
      passphrase: sshPassphrase,
      knownHostsFile: knownHostsFor(gate.port),
      path: join(root, folder),
    };
    const wrong = { ...settings, keyFile: strangeKeyFile, passphrase: "wrong-s3cret" };
    return { settings, wrong, gate, ...folderFiles(join(root, folder)) };
  },
});

contentSourceSuite("sftp by OpenSSH", subject("sftp", { ranges: true, list: true, strongVersion: false }));
contentSourceSuite("scp by OpenSSH", subject("scp", { ranges: false, list: false, strongVersion: false }));

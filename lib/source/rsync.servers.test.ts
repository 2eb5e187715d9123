import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { noRsync, rsyncPassword, startRsync } from "../../test/support/servers-rsync.ts";
import { noSshd, startSsh } from "../../test/support/servers-ssh.ts";
import { tcpGate } from "../../test/support/tcp-gate.ts";
import type { RsyncSettings } from "./settings.ts";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles, type Subject } from "./suite-place.ts";

const capabilities = { ranges: false, list: true, strongVersion: false };
const skip = noRsync || noSshd;

const place =
  (server: { readonly port: number; readonly root: string }, how: (port: number, folder: string) => Settings) =>
  async (t: Parameters<Subject["place"]>[0]) => {
    const gate = await tcpGate(server.port);
    t.after(() => gate.close());
    const folder = randomBytes(6).toString("hex");
    mkdirSync(join(server.root, folder));
    return { ...how(gate.port, folder), gate, ...folderFiles(join(server.root, folder)) };
  };

interface Settings {
  readonly settings: RsyncSettings;
  readonly wrong: RsyncSettings;
}

const none = { port: 0, root: "" };
const daemon = skip ? none : await startRsync({ after });
const ssh = skip ? undefined : await startSsh({ after });

contentSourceSuite("rsync's daemon", {
  capabilities,
  skip,
  place: place(daemon, (port, folder) => {
    const login = { user: "viewer", password: rsyncPassword, keyFile: null, passphrase: null, knownHostsFile: "" };
    const settings = { kind: "rsync", host: "127.0.0.1", port, module: "media", path: `/${folder}`, ...login } as const;
    return { settings, wrong: { ...settings, password: "wrong-s3cret" } };
  }),
});

contentSourceSuite("rsync over SSH", {
  capabilities,
  skip,
  place: place(ssh ?? none, (port, folder) => {
    const { user, root, openKeyFile, strangeKeyFile, knownHostsFor } = ssh!; // or it is skipped
    const login = { user, password: null, keyFile: openKeyFile, passphrase: null, knownHostsFile: knownHostsFor(port) };
    const path = join(root, folder);
    const settings = { kind: "rsync", host: "127.0.0.1", port, module: null, path, ...login } as const;
    return { settings, wrong: { ...settings, keyFile: strangeKeyFile, passphrase: "wrong-s3cret" } };
  }),
});

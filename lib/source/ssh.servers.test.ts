import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after, type TestContext } from "node:test";
import pino from "pino";
import { findProgram } from "../../test/support/server-process.ts";
import { noSshd, type SshServer, sshPassphrase, startSsh } from "../../test/support/servers-ssh.ts";
import { tcpGate } from "../../test/support/tcp-gate.ts";
import { openSource } from "./open.ts";
import type { ContentSource, SourceCapabilities } from "./port.ts";
import type { RsyncSettings, ScpSettings, SftpSettings } from "./settings.ts";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles, type Subject } from "./suite-place.ts";
import { tempDir } from "./suite-stage.ts";

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

type Settings = SftpSettings | ScpSettings | RsyncSettings;

/** The three kinds that go over SSH, with a known-hosts file of the test's, and all that they log. */
const sources = async (t: TestContext, knownHosts: string) => {
  const { port, user, root, openKeyFile } = server!; // or it is skipped
  const knownHostsFile = join(await tempDir(t), "known hosts");
  writeFileSync(knownHostsFile, knownHosts);
  const keys = { password: null, keyFile: openKeyFile, passphrase: null, knownHostsFile };
  const login = { host: "127.0.0.1", port, user, path: root, ...keys };
  const kinds: Settings[] = [
    { kind: "sftp", ...login },
    { kind: "scp", ...login },
    ...(findProgram("rsync") ? [{ kind: "rsync", module: null, ...login } as const] : []),
  ];
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  const opened = await Promise.all(kinds.map((settings) => openSource(settings, { log })));
  t.after(() => Promise.all(opened.map((source) => source.close())));
  return { opened, lines };
};

const statEach = async (opened: readonly ContentSource[]): Promise<string[]> => {
  const stat = (source: ContentSource) =>
    source.stat("a").then(
      () => "trusted",
      (error: { code?: string }) => error.code ?? "",
    );
  return [...new Set(await Promise.all(opened.map(stat)))];
};

const STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBm7ZxxeU7Vb1b8mgIYCnyDm6QdeoSZ3bJlM2Cjv6W8N";

test("OpenSSH: a server whose key is known is trusted, hashed or behind a pattern too", { skip: noSshd }, async (t) => {
  const { port, hostKey, root } = server!; // or it is skipped
  writeFileSync(join(root, "a"), "1");
  const plain = `[127.0.0.1]:${port} ${hostKey}\n`;
  const file = join(await tempDir(t), "hashed");
  writeFileSync(file, plain);
  execFileSync("ssh-keygen", ["-q", "-H", "-f", file], { stdio: "ignore" });
  const others = [`[127.0.0.*]:${port} ${hostKey}\n`, `127.0.0.1 ${hostKey}\n`];
  for (const known of [plain, readFileSync(file, "utf8"), ...others]) {
    assert.deepEqual(await statEach((await sources(t, known)).opened), ["trusted"], known);
  }
});

test("OpenSSH: a server whose key is unknown, another or revoked is refused, and the log says why", {
  skip: noSshd,
}, async (t) => {
  const { port, hostKey } = server!; // or it is skipped
  const at = `[127.0.0.1]:${port}`;
  const cases = [
    ["", /the host key of \[127\.0\.0\.1\]:\d+ is in no line of /],
    [`127.0.0.2 ${hostKey}\n`, /is in no line of /],
    [`${at} ${STRANGER}\n`, /has changed: SHA256:[\w+/]{43} is not in /],
    [`${at} ${hostKey}\n@revoked * ${hostKey}\n`, /has changed: SHA256:/],
    [`${at} ${STRANGER.replaceAll("ssh-ed25519", "ecdsa-sha2-nistp256")}\n`, /no matching host key/],
  ] as const;
  for (const [known, reason] of cases) {
    const { opened, lines } = await sources(t, known);
    assert.deepEqual(await statEach(opened), ["SOURCE_DENIED"], known);
    assert.match(lines.find((line) => line.includes("sftp source")) ?? "", reason);
  }
});

test("OpenSSH: a private key that can't be used is a source that denies", { skip: noSshd }, async () => {
  const { port, user, root, keyFile, knownHostsFor } = server!; // or it is skipped
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  const login = { host: "127.0.0.1", port, user, path: root, password: null, knownHostsFile: knownHostsFor(port) };
  for (const key of [
    { keyFile, passphrase: "wrong-s3cret" },
    { keyFile, passphrase: null },
    { keyFile: join(root, "none"), passphrase: null },
  ]) {
    const source = await openSource({ kind: "sftp", ...login, ...key }, { log });
    await assert.rejects(source.stat("a"), { code: "SOURCE_DENIED" });
    await source.close();
  }
  assert.match(lines.join(""), /the private key .* can't be used/);
  assert.doesNotMatch(lines.join(""), /s3cret/);
});

test("OpenSSH: by SFTP a link is what it leads to, and a FIFO is not there", { skip: noSshd }, async (t) => {
  const { port, hostKey, root } = server!; // or it is skipped
  const folder = join(root, "links");
  mkdirSync(join(folder, "folder"), { recursive: true });
  writeFileSync(join(folder, "file"), "12345");
  symlinkSync("file", join(folder, "to-file"));
  symlinkSync("folder", join(folder, "to-folder"));
  symlinkSync("nothing", join(folder, "to-nothing"));
  execFileSync("mkfifo", [join(folder, "fifo")]);
  const { opened } = await sources(t, `[127.0.0.1]:${port} ${hostKey}\n`);
  for (const source of opened) {
    await assert.rejects(source.open("links/fifo"), { code: "SOURCE_NOT_FOUND" }, source.kind);
    await assert.rejects(source.fetchTo("links/fifo", join(root, "f")), { code: "SOURCE_NOT_FOUND" }, source.kind);
    if (!source.capabilities.list) continue;
    const entries = [];
    for await (const { path, kind, sizeBytes } of source.list("links")) entries.push([path, kind, sizeBytes]);
    assert.deepEqual(entries, [
      ["links/file", "file", 5],
      ["links/folder", "folder", null],
      ["links/to-file", "file", 5],
      ["links/to-folder", "folder", null],
    ]);
  }
});

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after } from "node:test";
import { ftpPassword, noVsftpd, startFtp } from "../../test/support/servers-ftp.ts";
import { tcpGate } from "../../test/support/tcp-gate.ts";
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { FtpSettings } from "./settings.ts";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles, type Subject } from "./suite-place.ts";

const NOT_THROUGH_GATE = "its data connections are others than the one that the test stops; see ftp.test.ts";

const subject = async (secure: FtpSettings["secure"]): Promise<Subject> => {
  const none = { port: 0, root: "", caFile: "" };
  const server = noVsftpd ? none : await startFtp({ after }, { tls: secure !== "off" });
  return {
    capabilities: { ranges: true, list: true, strongVersion: false },
    skip: noVsftpd,
    lacks: {
      "a fetch that stalls in its middle times out and leaves no file": NOT_THROUGH_GATE,
      "a range that stalls in its middle times out, and what comes late is written nowhere": NOT_THROUGH_GATE,
      "a connection that breaks in the middle of a range fails, and the next one is good": NOT_THROUGH_GATE,
      "a caller who leaves in the middle of a range gets no more bytes written": NOT_THROUGH_GATE,
    },
    place: async (t) => {
      const gate = await tcpGate(server.port);
      t.after(() => gate.close());
      const folder = randomBytes(6).toString("hex");
      mkdirSync(join(server.root, folder));
      const settings: FtpSettings = {
        kind: "ftp",
        host: "127.0.0.1",
        port: gate.port,
        user: "anonymous",
        password: ftpPassword,
        path: join(server.root, folder),
        secure,
        ...(secure === "off" ? {} : { caFile: server.caFile }),
      };
      const wrong = { ...settings, password: "wrong-s3cret" };
      return { settings, wrong, gate, ...folderFiles(join(server.root, folder)) };
    },
  };
};

contentSourceSuite("vsftpd", await subject("off"));
contentSourceSuite("vsftpd with TLS", await subject("explicit"));

test("vsftpd: a symbolic link is listed as what it leads to", { skip: noVsftpd }, async (t) => {
  const server = await startFtp(t);
  const at = (name: string) => join(server.root, name);
  writeFileSync(at("file"), "12345");
  mkdirSync(at("folder"));
  symlinkSync("file", at("to-file"));
  symlinkSync("folder", at("to-folder"));
  symlinkSync("nothing", at("to-nothing"));
  const login = {
    host: "127.0.0.1",
    port: server.port,
    user: "anonymous",
    password: ftpPassword,
    secure: "off",
  } as const;
  const source = await openSource({ kind: "ftp", path: "", ...login }, { log: quietLog });
  const entries = [];
  for await (const { path, kind, sizeBytes } of source.list("")) entries.push([path, kind, sizeBytes]);
  await source.close();
  assert.deepEqual(entries, [
    ["file", "file", 5],
    ["folder", "folder", null],
    ["to-file", "file", 5],
    ["to-folder", "folder", null],
  ]);
});

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import test, { after } from "node:test";
import { makeCertificate, noOpenssl } from "../../test/support/certificate.ts";
import { nginxPassword, noNginx, startNginx } from "../../test/support/servers-nginx.ts";
import { tcpGate } from "../../test/support/tcp-gate.ts";
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles, type Subject } from "./suite-place.ts";
import { tempDir } from "./suite-stage.ts";

const nginx = noNginx ? { port: 0, root: "" } : await startNginx({ after });

/** `location` of the server's configuration. */
const subject = (location: string, user = ""): Subject => ({
  capabilities: { ranges: true, list: false, strongVersion: false },
  skip: noNginx,
  place: async (t) => {
    const { port, root } = nginx;
    const gate = await tcpGate(port);
    t.after(() => gate.close());
    const folder = randomBytes(6).toString("hex");
    mkdirSync(join(root, folder));
    const url = (who: string) => `http://${who}127.0.0.1:${gate.port}/${location}/${folder}`;
    return {
      settings: { kind: "http", url: url(user) },
      wrong: { kind: "http", url: `http://viewer:wrong-s3cret@127.0.0.1:${gate.port}/auth/${folder}` },
      gate,
      ...folderFiles(join(root, folder)),
    };
  },
});

contentSourceSuite("nginx", subject("auth", `viewer:${nginxPassword}@`));
contentSourceSuite("nginx without entity tags", subject("untagged"));
contentSourceSuite("nginx behind a redirect", subject("moved"));

test("over TLS a server of the operator's own authority is read, and one of an unknown authority is not", {
  skip: noOpenssl,
}, async (t) => {
  const { keyFile, certificateFile } = makeCertificate(await tempDir(t));
  const pem = { key: readFileSync(keyFile), cert: readFileSync(certificateFile) };
  const server = createServer(pem, (_, response) => void response.end("hello")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const settings = { kind: "http", url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/` } as const;
  const trusting = await openSource({ ...settings, caFile: certificateFile }, { log: quietLog });
  const plain = await openSource(settings, { log: quietLog });
  t.after(() => Promise.all([trusting.close(), plain.close(), server.close()]));
  assert.equal((await trusting.open("a")).stat.sizeBytes, 5);
  await assert.rejects(plain.open("a"), { code: "SOURCE_FAILED" });
});

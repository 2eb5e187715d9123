import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { nginxPassword, noNginx, startNginx } from "../../test/support/servers-nginx.ts";
import { tcpGate } from "../../test/support/tcp-gate.ts";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles, type Subject } from "./suite-place.ts";

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

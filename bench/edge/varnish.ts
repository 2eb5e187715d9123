/** Debian's Varnish with its memory storage, and hitch in front of it for TLS. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "../../lib/http/listening.ts";
import { findProgram, serverDir, startServer } from "../../test/support/server-process.ts";
import { onServerCore } from "../http-load.fixture.ts";
import type { Cleanup } from "../live.fixture.ts";
import type { CacheServer, Place } from "./server.ts";

const vclOf = (originPort: number): string => `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${originPort}"; }
sub vcl_recv { unset req.http.Cookie; }
sub vcl_hash { hash_data(req.url); return (lookup); }
sub vcl_backend_response {
  if (beresp.status >= 500 && bereq.is_bgfetch) { return (abandon); }
  set beresp.do_stream = true;
  set beresp.grace = 1h;
}
`;

/** TLS in a process of its own that hands plain bytes on. */
export const startHitch = async (cleanup: Cleanup, place: Place, varnish: CacheServer): Promise<CacheServer> => {
  const file = path.join(serverDir(cleanup, "bench-hitch"), "hitch.conf");
  const { port, process } = await startServer(cleanup, (on) => {
    const lines = [
      `frontend = "[127.0.0.1]:${on}"`,
      `backend = "[127.0.0.1]:${varnish.port}"`,
      `pem-file = "${place.certificate.bothFile}"`,
      // It refuses to work as root.
      'user = "nobody"',
      'group = "nogroup"',
      "workers = 1",
      "tls-protos = TLSv1.3",
      "quiet = on",
      "",
    ];
    writeFileSync(file, lines.join("\n"));
    return onServerCore("hitch", ["--config", file]);
  });
  return { name: "hitch", port, tlsPort: port, pid: process.pid ?? 0 };
};

export const startVarnish = async (cleanup: Cleanup, place: Place): Promise<CacheServer> => {
  if (findProgram("cc") === undefined) throw new Error("Varnish compiles its configuration: needs cc");
  const dir = serverDir(cleanup, "bench-varnish");
  const file = path.join(dir, "edge.vcl");
  writeFileSync(file, vclOf(place.originPort));
  const admin = await freePort("127.0.0.1");
  const { port, process } = await startServer(cleanup, (on) => {
    const listens = ["-a", `127.0.0.1:${on}`, "-T", `127.0.0.1:${admin}`];
    const storage = ["-s", `malloc,${place.memoryBytes}`];
    const waits = ["-p", "timeout_idle=600", "-p", "listen_depth=8192"];
    const where = ["-F", "-j", "none", "-n", path.join(dir, "run")];
    return onServerCore("varnishd", [...where, "-f", file, ...listens, ...storage, ...waits]);
  });
  return { name: "Varnish", port, pid: process.pid ?? 0 };
};

/** Debian's Apache Traffic Server: one thread, readers beside the writer, objects in its RAM cache. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "../../lib/http/listening.ts";
import { serverDir, startServer } from "../../test/support/server-process.ts";
import { onServerCore } from "../http-load.fixture.ts";
import type { Cleanup } from "../live.fixture.ts";
import type { CacheServer, Place } from "./server.ts";

const INSTALLED = "/etc/trafficserver";
const RAM_OBJECT_BYTES_MAX = 16 * 1024 * 1024;

interface Written extends Place {
  readonly dir: string;
  readonly port: number;
  readonly tlsPort: number;
}

const recordsOf = ({ dir, port, tlsPort, memoryBytes, certificate }: Written): string =>
  [
    "admin.user_id STRING #-1",
    "local_state_dir STRING run",
    `http.server_ports STRING ${port}:ip-in=127.0.0.1 ${tlsPort}:ip-in=127.0.0.1:ssl`,
    "exec_thread.autoconfig INT 0",
    "exec_thread.limit INT 1",
    "exec_thread.affinity INT 0",
    "task_threads INT 1",
    "accept_threads INT 0",
    "net.listen_backlog INT 8192",
    `cache.ram_cache.size INT ${memoryBytes}`,
    `cache.ram_cache_cutoff INT ${RAM_OBJECT_BYTES_MAX}`,
    "cache.enable_read_while_writer INT 1",
    "cache.read_while_writer.max_delay INT 100",
    "http.cache.max_open_read_retries INT -1",
    "http.cache.open_write_fail_action INT 4",
    "http.background_fill_active_timeout INT 0",
    "http.background_fill_completed_threshold FLOAT 0.0",
    "http.negative_revalidating_enabled INT 1",
    "http.cache.required_headers INT 0",
    "http.keep_alive_no_activity_timeout_in INT 600",
    "http.transaction_active_timeout_in INT 0",
    "log.logging_enabled INT 0",
    `log.logfile_dir STRING ${dir}/log`,
    `body_factory.template_sets_dir STRING ${dir}/etc/body_factory`,
    `ssl.server.cert.path STRING ${path.dirname(certificate.certFile)}`,
    `ssl.server.private_key.path STRING ${path.dirname(certificate.keyFile)}`,
    "url_remap.remap_required INT 1",
    "reverse_proxy.enabled INT 1",
  ]
    .map((line) => `CONFIG proxy.config.${line}\n`)
    .join("");

/** The layout of folders that it asks for, all under one. */
const runrootOf = (dir: string): string =>
  [
    `prefix: ${dir}`,
    "exec_prefix: /usr",
    "bindir: /usr/bin",
    "sbindir: /usr/bin",
    `sysconfdir: ${dir}/etc`,
    `datadir: ${dir}/cache`,
    "includedir: /usr/include",
    "libdir: /usr/lib",
    "libexecdir: /usr/lib/trafficserver/modules",
    `localstatedir: ${dir}`,
    `runtimedir: ${dir}/run`,
    `logdir: ${dir}/log`,
    `cachedir: ${dir}/cache`,
    "",
  ].join("\n");

const writeConfig = (written: Written): void => {
  const { dir, originPort, certificate, diskBytes } = written;
  const write = (name: string, text: string): void => writeFileSync(path.join(dir, "etc", name), text);
  write("records.config", recordsOf(written));
  write("remap.config", `map / http://127.0.0.1:${originPort}/\n`);
  write("storage.config", `${dir}/cache ${Math.round(diskBytes / 2 ** 20)}M\n`);
  const names = [path.basename(certificate.certFile), path.basename(certificate.keyFile)];
  write("ssl_multicert.config", `dest_ip=* ssl_cert_name=${names[0]} ssl_key_name=${names[1]}\n`);
  writeFileSync(path.join(dir, "runroot.yaml"), runrootOf(dir));
};

export const startTrafficServer = async (cleanup: Cleanup, place: Place): Promise<CacheServer> => {
  const dir = serverDir(cleanup, "bench-traffic-server");
  for (const name of ["log", "run", "cache"]) mkdirSync(path.join(dir, name));
  cpSync(INSTALLED, path.join(dir, "etc"), { recursive: true, dereference: true });
  const tlsPort = await freePort("127.0.0.1");
  const { port, process } = await startServer(cleanup, (on) => {
    writeConfig({ ...place, dir, port: on, tlsPort });
    return onServerCore("traffic_server", [`--run-root=${path.join(dir, "runroot.yaml")}`]);
  });
  return { name: "ATS", port, tlsPort, pid: process.pid ?? 0 };
};

/**
 * The raw listener against what is there besides: node:http answering "ok" for small answers, node:http and nginx's
 * static files for large ones. Needs wrk; nginx's row is "not shown" without it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findProgram, serverDir, startServer } from "../test/support/server-process.ts";
import {
  compare,
  congestionControl,
  foreignLoad,
  onServerCore,
  type Pinned,
  ratio,
  shown,
  startModule,
} from "./http-load.fixture.ts";
import { LARGE_BYTES } from "./http-servers.fixture.ts";
import { Cleanup } from "./live.fixture.ts";
import { type Row, report } from "./report.ts";

const ROUNDS = 5;
const SECONDS = 2;
const SERVERS = path.join(import.meta.dirname, "http-servers.fixture.ts");

/** nginx with one file of the same size, told to do nothing else. */
const startNginx = async (cleanup: Cleanup): Promise<Pinned> => {
  const dir = serverDir(cleanup, "bench-nginx");
  const root = path.join(dir, "root");
  mkdirSync(root);
  writeFileSync(path.join(root, "large"), Buffer.alloc(LARGE_BYTES, "b"));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  );
  const { port, process } = await startServer(cleanup, (on) => {
    const lines = [
      `daemon off; master_process off; pid ${dir}/pid; error_log stderr; events { worker_connections 4096; }`,
      `http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100;`,
      `${temporary.join(" ")} server { listen 127.0.0.1:${on}; root ${root}; } }`,
    ];
    writeFileSync(path.join(dir, "nginx.conf"), lines.join("\n"));
    return onServerCore("nginx", ["-p", dir, "-c", path.join(dir, "nginx.conf"), "-e", "stderr"]);
  });
  return { port, pid: process.pid ?? 0 };
};

interface Peers {
  readonly raw: Pinned;
  readonly logging: Pinned;
  readonly node: Pinned;
}

const smallRows = async ({ raw, logging, node }: Peers, connections: number): Promise<Row[]> => {
  const targets = {
    raw: { server: raw, path: "/" },
    logging: { server: logging, path: "/" },
    node: { server: node, path: "/" },
  };
  const samples = await compare(targets, { connections, rounds: ROUNDS, seconds: SECONDS });
  const against = (ours: "raw" | "logging"): string => {
    const [rate, cpu] = [ratio(samples[ours], samples.node, "perSecond"), ratio(samples[ours], samples.node, "cpuUs")];
    return `node:http "ok" ${shown(samples.node)}: ${rate.toFixed(2)}× requests/s, ${cpu.toFixed(2)}× CPU`;
  };
  const what = `prepared answer of 1.5 KB, ${connections} connections, ${foreignLoad(samples.raw)}`;
  return [
    { what, value: shown(samples.raw), against: against("raw"), goal: "≥ 50,000/s and ≥ 1.0× requests/s" },
    { what: `${what}, with an access log`, value: shown(samples.logging), against: against("logging"), goal: "≥ 1.0×" },
  ];
};

const largeRows = async (cleanup: Cleanup, { raw, node }: Peers): Promise<Row[]> => {
  const hasNginx = findProgram("nginx") !== undefined;
  const nginx = hasNginx ? await startNginx(cleanup) : node;
  const at = (server: Pinned) => ({ server, path: "/large" });
  const targets = { raw: at(raw), node: at(node), nginx: at(nginx) };
  const samples = await compare(targets, { connections: 8, rounds: ROUNDS, seconds: SECONDS });
  const row = (peer: "node" | "nginx", name: string): Row => {
    const [rate, cpu] = [ratio(samples.raw, samples[peer], "perSecond"), ratio(samples.raw, samples[peer], "cpuUs")];
    return {
      what: `whole body of 4 MiB, 8 connections, ${foreignLoad(samples.raw)}`,
      value: shown(samples.raw),
      against: `${name} ${shown(samples[peer])}: ${rate.toFixed(2)}× requests/s, ${cpu.toFixed(2)}× CPU`,
      goal: "≥ 1.0× requests/s",
    };
  };
  const shownNginx = hasNginx
    ? row("nginx", "nginx static")
    : { what: "against nginx static", value: "not shown: no nginx" };
  return [row("node", "node:http"), shownNginx];
};

const main = async (cleanup: Cleanup): Promise<void> => {
  if (findProgram("wrk") === undefined) throw new Error("needs wrk");
  const peers: Peers = {
    raw: await startModule(cleanup, SERVERS, ["raw"]),
    logging: await startModule(cleanup, SERVERS, ["raw", path.join(serverDir(cleanup, "bench-log"), "access.log")]),
    node: await startModule(cleanup, SERVERS, ["node"]),
  };
  const rows = [...(await smallRows(peers, 8)), ...(await smallRows(peers, 32)), ...(await largeRows(cleanup, peers))];
  report(`HTTP listener (one core, ${congestionControl()})`, rows);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());

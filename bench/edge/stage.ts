/** What all figures of edge.ts share: an origin, the caches in front of it, viewers. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findProgram, serverDir } from "../../test/support/server-process.ts";
import type { Cleanup } from "../live.fixture.ts";
import type { Row } from "../report.ts";
import { MiB } from "./bodies.ts";
import { startCastellan } from "./castellan.ts";
import { type Client, openClient } from "./client.ts";
import { OURS } from "./measure.ts";
import { startNginx } from "./nginx.ts";
import { type Origin, startOrigin } from "./origin-process.ts";
import type { CacheServer, Certificate, Place } from "./server.ts";
import { startTrafficServer } from "./traffic-server.ts";
import { startHitch, startVarnish } from "./varnish.ts";

export interface Stage {
  readonly cleanup: Cleanup;
  readonly origin: Origin;
  readonly place: Place;
  readonly client: Client;
  /** Those that started, ours first where it did. */
  readonly servers: readonly CacheServer[];
  /** TLS in front of Varnish; its CPU is not in Varnish's. */
  readonly hitch?: CacheServer;
}

/** A figure: its name for BENCH_ONLY, the heading it stands under, and how it is found. */
export interface Figure {
  readonly name: string;
  readonly group: string;
  readonly rows: (stage: Stage) => Promise<Row[]>;
}

const MEMORY_BYTES = 2_048 * MiB;
const DISK_BYTES = 4_096 * MiB;

const makeCertificate = (cleanup: Cleanup): Certificate => {
  const dir = serverDir(cleanup, "bench-certificate");
  const [certFile, keyFile] = [path.join(dir, "cert.pem"), path.join(dir, "key.pem")];
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const key = ["-newkey", "rsa:2048", "-nodes", "-keyout", keyFile];
  execFileSync("openssl", ["req", "-x509", "-days", "2", ...key, "-out", certFile, ...name], { stdio: "ignore" });
  const bothFile = path.join(dir, "both.pem");
  writeFileSync(bothFile, readFileSync(keyFile, "utf8") + readFileSync(certFile, "utf8"));
  return { certFile, keyFile, bothFile };
};

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** undefined, and said, when it does not start. */
export const tried = async (name: string, start: () => Promise<CacheServer>): Promise<CacheServer | undefined> => {
  try {
    return await start();
  } catch (error) {
    if (name === OURS) process.exitCode = 1;
    say(`${name}: not shown, it did not start: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
};

/** BENCH_PEERS leaves the others out; hitch comes with Varnish. */
const isWanted = (name: string): boolean =>
  name === OURS || (process.env.BENCH_PEERS?.split(",").includes(name) ?? true);

/** Throws without openssl, cc or an origin. A cache that does not start is absent. */
export const openStage = async (cleanup: Cleanup): Promise<Stage> => {
  if (findProgram("openssl") === undefined) throw new Error("needs openssl");
  const client = openClient(cleanup);
  const origin = await startOrigin(cleanup);
  const certificate = makeCertificate(cleanup);
  const place = { originPort: origin.port, certificate, memoryBytes: MEMORY_BYTES, diskBytes: DISK_BYTES };
  const start = (name: string, how: typeof startNginx): Promise<CacheServer | undefined> =>
    isWanted(name) ? tried(name, () => how(cleanup, place)) : Promise.resolve(undefined);
  const started = [
    await start(OURS, startCastellan),
    await start("nginx", startNginx),
    await start("Varnish", startVarnish),
    await start("ATS", startTrafficServer),
  ];
  const servers = started.filter((one) => one !== undefined);
  const varnish = servers.find(({ name }) => name === "Varnish");
  const hitch = varnish && (await tried("hitch", () => startHitch(cleanup, place, varnish)));
  return { cleanup, origin, place, client, servers, ...(hitch ? { hitch } : {}) };
};

/** Only those, in their order. */
export const among = (servers: readonly CacheServer[], ...names: readonly string[]): CacheServer[] =>
  servers.filter(({ name }) => names.includes(name));

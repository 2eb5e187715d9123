/**
 * tus through the gateway against `curl -T` into a bare node:http server that writes and fsyncs, both over loopback to
 * the same disk: `node bench/upload.ts [MiB]`. The gateway and the upload actor are one process, as in `npm start`.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { ensureDefaultTenant } from "../actors/tenant/bootstrap.ts";
import { openDatabase } from "../lib/db/database.ts";
import { migrate } from "../lib/db/migrate.ts";
import { quietLog } from "../lib/log/log.ts";
import { startEmbeddedPostgres } from "../lib/postgres/embedded.ts";
import { median, report } from "./report.ts";

const run = promisify(execFile);
const MiB = 1024 * 1024;
const CHUNK_BYTES = 4 * MiB;
const ROUNDS = 3;
const SAMPLE_MS = 100;
const GOAL = 0.5;
const NODE = path.join(import.meta.dirname, "../test/upload/upload-process.fixture.ts");

/** What is compared with: no checks, no offsets, one write per chunk, one fsync at the end. */
const BARE = `
import { open } from "node:fs/promises";
import { createServer } from "node:http";
const server = createServer(async (request, response) => {
  const file = await open(process.argv[1] + "/bare", "w");
  for await (const chunk of request) await file.write(chunk);
  await file.sync();
  await file.close();
  response.end();
});
server.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + server.address().port));
`;

const started = async (args: readonly string[]): Promise<{ child: ChildProcess; url: string }> => {
  const child = spawn(process.execPath, [...args], { stdio: ["ignore", "pipe", "inherit"] });
  const line = once(createInterface(child.stdout), "line") as Promise<[string]>;
  const ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`it ended with ${code}`)));
  const [url] = await Promise.race([line, ended]);
  ended.catch(() => {}); // from now on that is how it is meant to end
  return { child, url };
};

const makeFile = async (file: string, sizeBytes: number): Promise<void> => {
  const out = createWriteStream(file, { flush: true }); // what is left to write would count as the first round's
  const chunk = Buffer.alloc(CHUNK_BYTES, 0xa5);
  for (let at = 0; at < sizeBytes; at += chunk.length) {
    chunk.writeUInt32BE(at / chunk.length, 0);
    if (!out.write(chunk)) await once(out, "drain");
  }
  out.end();
  await once(out, "close");
};

const residentMiB = async ({ pid }: ChildProcess): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
};

interface Measured<T> {
  readonly seconds: number;
  /** The most memory that the process had meanwhile. */
  readonly mib: number;
  readonly result: T;
}

const measured = async <T>(child: ChildProcess, work: () => Promise<T>): Promise<Measured<T>> => {
  let mib = await residentMiB(child);
  const sampler = setInterval(async () => {
    mib = Math.max(mib, await residentMiB(child));
  }, SAMPLE_MS);
  const began = performance.now();
  const result = await work();
  const seconds = (performance.now() - began) / 1e3;
  clearInterval(sampler);
  return { seconds, mib, result };
};

const key = "Authorization: Bearer key:default";
const tusHeader = "Tus-Resumable: 1.0.0";

const curl = async (...args: string[]): Promise<string> =>
  (await run("curl", ["-sS", "--fail-with-body", "-H", "Expect:", ...args])).stdout;

/** One creation and one PATCH, as a client without chunks does it. */
const byTus = async (url: string, file: string, sizeBytes: number): Promise<string> => {
  const create = ["-X", "POST", "-H", key, "-H", tusHeader, "-H", `Upload-Length: ${sizeBytes}`];
  const head = await curl("-i", ...create, `${url}/api/v1/uploads`);
  const address = url + (/^location: (\S+)/im.exec(head)?.[1] ?? "");
  const type = "Content-Type: application/offset+octet-stream";
  await curl("-X", "PATCH", "-H", key, "-H", tusHeader, "-H", "Upload-Offset: 0", "-H", type, "-T", file, address);
  return address;
};

/** What is made of it comes after the upload, and before the next round. */
const settled = async (address: string): Promise<void> => {
  while (/"state":"(?:receiving|checking)"/.test(await curl("-H", key, address))) await pause(SAMPLE_MS);
};

const serve = async (dir: string) => {
  const postgres = await startEmbeddedPostgres({ dataDir: dir, log: quietLog });
  await migrate({ url: postgres.url });
  const db = openDatabase({ url: postgres.url, applicationName: "bench" });
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: null });
  await db.close();
  const tenant = { tenantId, tenant: "default" };
  const settings = { url: postgres.url, dataDir: dir, nodeId: "bench", tenants: [tenant] };
  return { postgres, node: await started([NODE, JSON.stringify(settings)]) };
};

const main = async (sizeMiB: number): Promise<void> => {
  const dir = await mkdtemp(path.join(tmpdir(), "castellan-bench-upload-"));
  const { postgres, node } = await serve(dir);
  const bare = await started(["--input-type=module", "-e", BARE, dir]);
  try {
    const file = path.join(dir, "film.mp4");
    await makeFile(file, sizeMiB * MiB);
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const plain = await measured(bare.child, () => curl("-T", file, `${bare.url}/film`));
      const tus = await measured(node.child, () => byTus(node.url, file, sizeMiB * MiB));
      await settled(tus.result);
      ratios.push(plain.seconds / tus.seconds);
      const rate = ({ seconds, mib }: Measured<unknown>) =>
        `${(sizeMiB / seconds).toFixed(0)} MiB/s, ${mib.toFixed(0)} MiB RSS`;
      process.stdout.write(`${sizeMiB} MiB: bare ${rate(plain)}; tus ${rate(tus)}; ${ratios.at(-1)?.toFixed(2)}×\n`);
    }
    report("Uploads: tus through the gateway, against curl -T into a bare server that writes and fsyncs", [
      {
        what: `${sizeMiB} MiB, the median of ${ROUNDS} rounds`,
        value: `${median(ratios).toFixed(2)}× (${ratios.map((ratio) => ratio.toFixed(2)).join(", ")})`,
        against: "curl -T into node:http, one file, one fsync",
        goal: `≥ ${GOAL}×`,
      },
    ]);
  } finally {
    node.child.kill("SIGTERM");
    bare.child.kill("SIGTERM");
    await once(node.child, "exit");
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  }
};

await main(Number(process.argv[2] ?? 1024));

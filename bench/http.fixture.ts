/** Load over HTTP, and node:http alone to hold it against. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { type Cleanup, cpuSeconds } from "./live.fixture.ts";

const fetchOver = (agent: Agent, url: string): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        reject(new Error(`${url} answered ${response.statusCode}`));
        return;
      }
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks)));
    }).on("error", reject);
  });

export const bodyOf = (url: string): Promise<Buffer> => fetchOver(new Agent(), url);

export interface Load {
  /** Each has a connection and asks for one thing after the other. */
  readonly viewers: number;
  readonly forMs: number;
  readonly urlOf: (count: number) => string;
}

/** How many requests were answered. */
const run = async ({ viewers, forMs, urlOf }: Load): Promise<number> => {
  const agent = new Agent({ keepAlive: true, maxSockets: viewers });
  const startedAt = performance.now();
  let count = 0;
  const viewer = async () => {
    while (performance.now() < startedAt + forMs) {
      count += 1;
      await fetchOver(agent, urlOf(count));
    }
  };
  await Promise.all(Array.from({ length: viewers }, viewer));
  agent.destroy();
  return count;
};

export interface Cost {
  readonly perSecond: number;
  /** CPU of the server per request, in microseconds; of one that does nothing else. */
  readonly cpuUs: number;
}

export const costOf = async (pid: number, load: Load): Promise<Cost> => {
  const before = cpuSeconds(pid);
  const startedAt = performance.now();
  const requests = await run(load);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = cpuSeconds(pid) - before;
  return { perSecond: requests / seconds, cpuUs: (cpu / requests) * 1e6 };
};

export interface BareServer {
  readonly url: string;
  readonly pid: number;
}

/** node:http in a process of its own that answers everything with the same bytes. */
export const bareServer = async (cleanup: Cleanup, body: Buffer): Promise<BareServer> => {
  const child = spawn(process.execPath, [import.meta.filename], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  cleanup.after(async () => void child.kill());
  child.send(body.toString("base64"));
  const [port] = await once(child, "message");
  return { url: `http://127.0.0.1:${port}/`, pid: child.pid ?? 0 };
};

const serve = async (): Promise<void> => {
  const [encoded] = await once(process, "message");
  const body = Buffer.from(encoded, "base64");
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-length": body.length });
    response.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  process.send?.((server.address() as AddressInfo).port); // it listens on TCP
};

if (process.argv[1] === import.meta.filename) await serve();

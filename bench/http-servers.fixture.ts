/** The servers of http-listener.ts, each in a process of its own: prints its port. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openAccessLog } from "../lib/http/access-log.ts";
import { openRawListener } from "../lib/http/raw-listener.ts";
import { prepare } from "../lib/http/raw-prepared.ts";
import { quietLog } from "../lib/log/log.ts";

const SMALL_BYTES = 1_500;
export const LARGE_BYTES = 4 * 1024 * 1024;

const serveRaw = async (logPath: string | undefined): Promise<number> => {
  const large = Buffer.alloc(LARGE_BYTES, "b");
  const lines = 'Content-Type: application/vnd.apple.mpegurl\r\nCache-Control: max-age=60\r\nETag: "a"\r\n';
  const small = prepare(200, lines, Buffer.alloc(SMALL_BYTES, "a"));
  const { port } = await openRawListener({
    name: "bench",
    host: "127.0.0.1",
    port: 0,
    portVariable: "PORT",
    log: quietLog,
    ready: () => ({ ready: true, checks: {} }),
    handle: (request) => {
      if (request.path === "/large") request.send(200, "Content-Type: video/mp2t\r\n", large);
      else request.sendPrepared(small);
    },
    ...(logPath ? { accessLog: await openAccessLog({ path: logPath, format: "combined", log: quietLog }) } : {}),
  });
  return port;
};

const serveNode = async (): Promise<number> => {
  const large = Buffer.alloc(LARGE_BYTES, "b");
  const server = createServer((request, response) => response.end(request.url === "/large" ? large : "ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port; // it listens on TCP
};

if (process.argv[1] === import.meta.filename) {
  const [, , kind, logPath] = process.argv;
  process.stdout.write(`${kind === "node" ? await serveNode() : await serveRaw(logPath)}\n`);
}

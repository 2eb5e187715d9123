/**
 * The origin behind edge.ts's caches, a process of its own. Prints `{"port":…,"controlPort":…}`.
 *
 *   /o/{bytes}/{n}                 at once, may be kept for a day
 *   /slow/{n}                      4 MiB at 4 MB/s in steps of 10 ms, the first byte after 50 ms; honours Range
 *   /ttl1/{n}                      2 KB, max-age=1; its bytes and ETag change with the version
 *   /cut/{tag}-{framing}/{at}/{end}/{n}   1 MiB; the first answer ends after `at` bytes, by `fin` or `rst`
 *
 * Control, JSON over HTTP: POST / with {mode, version}; GET /counts?path= gives {requests, bytes}, of all without path.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { bodyOf, CUT_BYTES, SHORT_LIVED_BYTES, SLOW_BYTES, tagOf } from "./bodies.ts";

const SLOW_FIRST_BYTE_MS = 50;
const SLOW_STEP_MS = 10;
const SLOW_STEP_BYTES = 40_000; // 4 MB/s
const CUT_STEP_MS = 2;
const CUT_STEP_BYTES = 64 * 1024;

/** What the origin does with all requests: answers, says 503, never answers, or does not listen. */
export type Mode = "ok" | "error" | "hang" | "refused";
export interface Counts {
  readonly requests: number;
  readonly bytes: number;
}

let mode: Mode = "ok";
let version = 0;
const counts = new Map<string, { requests: number; bytes: number }>();

const countsOf = (path: string): { requests: number; bytes: number } => {
  const known = counts.get(path) ?? { requests: 0, bytes: 0 };
  counts.set(path, known);
  return known;
};

/** The part that `Range: bytes=…` asks for, RFC 9110 §14.1.2; undefined is the whole, null is not there. */
const rangeOf = (header: string | undefined, size: number): { start: number; end: number } | null | undefined => {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return start < end ? { start, end } : null;
};

interface Pace {
  readonly firstByteMs: number;
  readonly stepMs: number;
  readonly stepBytes: number;
}
const AT_ONCE: Pace = { firstByteMs: 0, stepMs: 0, stepBytes: Number.POSITIVE_INFINITY };

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
}
interface Sent {
  readonly etag: string;
  readonly cacheControl: string;
  readonly body: Buffer;
  readonly pace: Pace;
  readonly isChunked?: boolean;
  readonly cut?: { readonly at: number; readonly end: string };
}

const write = (response: ServerResponse, bytes: Buffer): Promise<void> =>
  new Promise((resolve) => response.write(bytes, () => resolve()));

/** Sends by the clock, not by the step, so that a late timer costs nothing. */
const pour = async ({ response, path }: Exchange, body: Buffer, pace: Pace): Promise<void> => {
  const startedAt = performance.now();
  for (let sent = 0; sent < body.length && !response.destroyed; ) {
    const steps = pace.stepMs === 0 ? 1 : Math.floor((performance.now() - startedAt) / pace.stepMs) + 1;
    const until = Math.min(body.length, steps * pace.stepBytes);
    if (until > sent) {
      countsOf(path).bytes += until - sent;
      await write(response, body.subarray(sent, until));
      sent = until;
    }
    if (sent < body.length) await pause(pace.stepMs);
  }
};

const answer = async (exchange: Exchange, { etag, cacheControl, body, pace, isChunked, cut }: Sent): Promise<void> => {
  const { request, response } = exchange;
  const { headers } = request;
  response.setHeader("ETag", etag);
  response.setHeader("Cache-Control", cacheControl);
  response.setHeader("Content-Type", "video/mp4");
  response.setHeader("Accept-Ranges", "bytes");
  if (headers["if-none-match"] === etag) return void response.writeHead(304).end();
  const mayRange = headers["if-range"] === undefined || (headers["if-range"] === etag && !etag.startsWith("W/"));
  const range = mayRange ? rangeOf(headers.range, body.length) : undefined;
  if (range === null) return void response.writeHead(416, { "Content-Range": `bytes */${body.length}` }).end();
  const { start, end } = range ?? { start: 0, end: body.length };
  const stop = cut && !range ? Math.min(cut.at, body.length) : end;
  if (pace.firstByteMs > 0) await pause(pace.firstByteMs);
  if (!isChunked || range) response.setHeader("Content-Length", end - start);
  if (range) response.setHeader("Content-Range", `bytes ${start}-${end - 1}/${body.length}`);
  response.writeHead(range ? 206 : 200);
  await pour(exchange, body.subarray(start, stop), pace);
  if (!cut || range) return void response.end();
  if (cut.end === "rst") response.socket?.resetAndDestroy();
  else response.socket?.destroy();
};

const DAY = "max-age=86400";
const SLOW: Pace = { firstByteMs: SLOW_FIRST_BYTE_MS, stepMs: SLOW_STEP_MS, stepBytes: SLOW_STEP_BYTES };
const CUT: Pace = { firstByteMs: 0, stepMs: CUT_STEP_MS, stepBytes: CUT_STEP_BYTES };

const sentFor = (path: string): Sent | undefined => {
  const [, kind = "", first = "", second = "", third = ""] = path.split("/");
  const strong = `"${tagOf(path)}"`;
  switch (kind) {
    case "o":
      return { etag: strong, cacheControl: DAY, body: bodyOf(path, Number(first)), pace: AT_ONCE };
    case "slow":
      return { etag: strong, cacheControl: DAY, body: bodyOf(path, SLOW_BYTES), pace: SLOW };
    case "ttl1": {
      const body = bodyOf(path, SHORT_LIVED_BYTES, version);
      return { etag: `"${tagOf(path, version)}"`, cacheControl: "max-age=1", body, pace: AT_ONCE };
    }
    case "cut": {
      const whole = {
        etag: first.startsWith("weak") ? `W/${strong}` : strong,
        cacheControl: DAY,
        body: bodyOf(path, CUT_BYTES),
        pace: CUT,
        isChunked: first.endsWith("chunked"),
      };
      return countsOf(path).requests > 1 ? whole : { ...whole, cut: { at: Number(second), end: third } };
    }
    default:
      return undefined;
  }
};

const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const path = request.url ?? "/";
  countsOf(path).requests += 1;
  if (mode === "hang") return;
  if (mode === "error") return void response.writeHead(503, { "Content-Length": 0 }).end();
  const sent = sentFor(path);
  if (sent) return answer({ request, response, path }, sent);
  response.writeHead(404, { "Content-Length": 0 }).end();
};

const listen = (server: ReturnType<typeof createServer>, port: number): Promise<number> =>
  new Promise((resolve) => {
    // It listens on TCP.
    server.listen(port, "127.0.0.1", 4096, () => resolve((server.address() as AddressInfo).port));
  });

/** Modes begin with new connections: a cache that kept one notices as with a real outage. */
const enter = async (data: ReturnType<typeof createServer>, next: Mode, port: number): Promise<void> => {
  const was = mode;
  mode = next;
  if (next === "refused" && was !== "refused") {
    const closed = new Promise((resolve) => data.close(resolve));
    data.closeAllConnections();
    await closed;
  }
  if (next !== "refused" && was === "refused") await listen(data, port);
};

const control = async (data: ReturnType<typeof createServer>, port: number): Promise<number> => {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://control");
    if (request.method === "POST") {
      const told = JSON.parse(Buffer.concat(await request.toArray()).toString());
      version = told.version ?? version;
      await enter(data, told.mode ?? mode, port);
    }
    const path = url.searchParams.get("path");
    const chosen = path === null ? [...counts.values()] : [countsOf(path)];
    const sum = (key: keyof Counts): number => chosen.reduce((total, one) => total + one[key], 0);
    response.end(JSON.stringify({ requests: sum("requests"), bytes: sum("bytes") }));
  });
  return listen(server, 0);
};

if (process.argv[1] === import.meta.filename) {
  // Timeouts of the origin must not end what a cache keeps alive.
  const data = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0, noDelay: true }, (request, response) => {
    serve(request, response).catch(() => response.destroy()); // the cache has gone
  });
  const port = await listen(data, 0);
  process.stdout.write(`${JSON.stringify({ port, controlPort: await control(data, port) })}\n`);
}

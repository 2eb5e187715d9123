/** Origins that can be told to misbehave, byte for byte, and sets that ask them. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { quietLog } from "../../../lib/log/log.ts";
import { UpstreamError, type UpstreamReason } from "../upstream.ts";
import type { OriginAnswer, OriginRequest } from "./contract.ts";
import { OriginSet } from "./origin-set.ts";
import type { AskOptions, OriginSetOptions } from "./set-options.ts";

export interface Asked {
  readonly method: string;
  readonly target: string;
  /** Lower-case names. */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  readonly socket: Socket;
}
/** What is written; nothing when the handler does that by itself. */
export type Handler = (asked: Asked) => string | Buffer | undefined | Promise<string | Buffer | undefined>;

export interface StandIn {
  readonly url: string;
  readonly port: number;
  readonly asked: Asked[];
  /** Connections so far. */
  connectionCount: number;
  /** Those that are open. */
  readonly sockets: Set<Socket>;
  handle: Handler;
  /** Nobody listens any more, and every connection is reset. */
  stop(): Promise<void>;
  /** Again at the same port. */
  start(): Promise<void>;
}

const parsed = (head: string, body: string, socket: Socket): Asked => {
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { method, target, fields: new Map(fields), body, socket };
};

export const standIn = async (t: TestContext, handle: Handler): Promise<StandIn> => {
  const serve = (socket: Socket): void => {
    let bytes = "";
    standing.connectionCount += 1;
    standing.sockets.add(socket);
    socket.on("close", () => standing.sockets.delete(socket));
    socket.on("error", () => {});
    socket.on("data", async (chunk: Buffer) => {
      bytes += chunk.toString("latin1");
      const end = bytes.indexOf("\r\n\r\n");
      if (end === -1) return;
      const asked = parsed(bytes.slice(0, end), "", socket);
      const length = Number(asked.fields.get("content-length") ?? 0);
      if (bytes.length < end + 4 + length) return;
      const body = bytes.slice(end + 4, end + 4 + length);
      bytes = bytes.slice(end + 4 + length);
      standing.asked.push({ ...asked, body });
      const answer = await standing.handle({ ...asked, body });
      if (answer !== undefined && !socket.destroyed) socket.write(answer, "latin1");
    });
  };
  const server = createServer({ noDelay: true }, serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a TCP listener has one
  const standing: StandIn = {
    url: `http://127.0.0.1:${port}`,
    port,
    asked: [],
    connectionCount: 0,
    sockets: new Set(),
    handle,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of standing.sockets) {
        // Node can't reset a socket whose end is on its way: its handle would stay for ever (EINVAL).
        if (socket.writableEnded) socket.destroy();
        else socket.resetAndDestroy();
      }
      await closed;
    },
    async start() {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
  t.after(async () => {
    if (server.listening) await standing.stop();
  });
  return standing;
};

/** An answer with a length. */
export const answered = (body: string, { status = "200 OK", fields = "" } = {}): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;

/** Every request is answered with this. */
export const always =
  (body: string, options: Parameters<typeof answered>[1] = {}): Handler =>
  () =>
    answered(body, options);

/** Takes requests and never answers. */
export const hangs: Handler = () => undefined;

export const requestOf = (target: string, more: Partial<OriginRequest> = {}): OriginRequest => ({
  method: "GET",
  target,
  fields: ["Accept-Encoding", "identity"],
  key: target,
  ...more,
});

/** Numbers below 1 that are the same in every run (mulberry32). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** A set that trusts its origins; closed when the test ends. */
export const setOf = (t: TestContext, options: Partial<OriginSetOptions>): OriginSet => {
  const set = new OriginSet({
    origins: [],
    site: "cdn.example",
    trusted: true,
    nowMs: () => performance.now(),
    log: quietLog,
    random: seededRandom(1),
    ...options,
  });
  t.after(() => set.close());
  return set;
};

/** The whole body as text; rejects as `read` does. */
export const textOf = async (answer: OriginAnswer): Promise<string> => {
  const chunks: Buffer[] = [];
  await answer.read((chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks).toString("latin1");
};

/** Waits for a condition, with a deadline. */
export const until = async (holds: () => boolean, what: string): Promise<void> => {
  const endsAt = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > endsAt) throw new Error(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** One origin `a` with a base, and a set that asks it. */
export const oneOrigin = async (t: TestContext, handle: Handler, options: Partial<OriginSetOptions> = {}) => {
  const origin = await standIn(t, handle);
  const set = setOf(t, { origins: [{ id: "a", url: `${origin.url}/base/` }], ...options });
  return { origin, set, get: (target: string) => set.ask(requestOf(target)) };
};

/** The work ends with an UpstreamError of this reason. */
export const failsWith = async (work: Promise<unknown>, reason: UpstreamReason): Promise<void> => {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof UpstreamError, String(error));
    assert.equal(error.reason, reason);
    return true;
  });
};

export const refused = (status: string): Handler => always("sorry", { status });
export const BAD_GATEWAY = "502 Bad Gateway";
export const SERVICE_UNAVAILABLE = "503 Service Unavailable";
export const SERVER_ERROR = "500 Internal Server Error";

/** Origins `a`, `b` … in this order, and a clock that the test moves. */
export const severalOrigins = async (
  t: TestContext,
  handlers: readonly Handler[],
  options: Partial<OriginSetOptions> = {},
) => {
  const origins = await Promise.all(handlers.map((handle) => standIn(t, handle)));
  const clock = { ms: 0 };
  const set = setOf(t, {
    origins: origins.map(({ url }, order) => ({ id: "abcdef"[order]!, url, order })),
    nowMs: () => clock.ms,
    ...options,
  });
  const get = async (target = "/x", how: AskOptions = {}): Promise<string> => {
    const answer = await set.ask(requestOf(target), how);
    return `${answer.originId} ${answer.status} ${await textOf(answer)}`;
  };
  const upOf = () => Object.fromEntries(set.health().map(({ id, isUp }) => [id, isUp]));
  return { origins, a: origins[0]!, b: origins[1] ?? origins[0]!, set, clock, get, upOf };
};

export const countOf = ({ asked }: StandIn, method = "GET"): number =>
  asked.filter((one) => one.method === method).length;

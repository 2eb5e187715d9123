/** An HTTP origin of media that misbehaves on demand: per path, or as a whole. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export type Behaviour =
  | { readonly status: number; readonly headers?: Record<string, string> }
  /** Takes the request and never answers. */
  | "hang"
  /** Sends the head and `bytes` of the body, then nothing more; or then resets; or ends cleanly, too short. */
  | { readonly after: number; readonly next: "hang" | "reset" | "end" }
  /** Sends more than it has announced. */
  | { readonly extra: number }
  /** Sends the body in pieces, one per `step()`; the first with the head. */
  | { readonly piece: number; readonly step: () => Promise<void> }
  /** Waits before it answers. */
  | { readonly wait: Promise<void> };

export interface Item {
  readonly body: Buffer | string;
  readonly headers?: Record<string, string>;
  /** No Content-Length. */
  readonly chunked?: boolean;
}

export interface StandIn {
  readonly url: string;
  /** By path below the root, such as `/live/t/a.stream/master.m3u8`. */
  readonly items: Map<string, Item>;
  /** How paths that contain the text behave; the first that fits. */
  readonly rules: { readonly path: string; readonly how: Behaviour }[];
  /** Paths in the order in which they were asked for. */
  readonly seen: { path: string; headers: IncomingMessage["headers"] }[];
  countOf(path: string): number;
  /** Cuts all connections and closes the port, as a killed process does. */
  kill(): Promise<void>;
  /** Opens the same port again. */
  revive(): Promise<void>;
}

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const typeOf = (path: string): string => {
  if (path.endsWith(".m3u8")) return "application/vnd.apple.mpegurl";
  return path.endsWith(".mpd") ? "application/dash+xml" : "video/mp4";
};

const sendRest = async (
  response: ServerResponse,
  body: Buffer,
  how: Exclude<Behaviour, string | { status: number } | { wait: Promise<void> }>,
): Promise<void> => {
  if ("after" in how) {
    response.write(body.subarray(0, how.after), () => {
      if (how.next === "reset") response.socket?.resetAndDestroy();
      if (how.next === "end") response.socket?.end();
    });
    return;
  }
  if ("extra" in how) {
    response.socket?.write(Buffer.concat([body, Buffer.alloc(how.extra, "x")]));
    return;
  }
  for (let at = 0; at < body.length; at += how.piece) {
    response.write(body.subarray(at, at + how.piece));
    await how.step();
  }
  response.end();
};

export const mediaStandIn = async (t: Cleaner): Promise<StandIn> => {
  const items: StandIn["items"] = new Map();
  const rules: StandIn["rules"] = [];
  const seen: StandIn["seen"] = [];
  const sockets = new Set<Socket>();

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? "";
    seen.push({ path, headers: request.headers });
    const how = rules.find((rule) => path.includes(rule.path))?.how;
    if (how === "hang") return;
    if (how && "wait" in how) await how.wait;
    if (how && "status" in how) {
      response.writeHead(how.status, { "content-length": 0, ...how.headers });
      response.end();
      return;
    }
    const item = items.get(path.split("?", 1)[0] ?? "");
    if (!item) {
      response.writeHead(404, { "content-length": 0 });
      response.end();
      return;
    }
    const body = Buffer.from(item.body);
    const etag = item.headers?.etag;
    if (etag !== undefined && request.headers["if-none-match"] === etag) {
      response.writeHead(304, { etag, ...item.headers });
      response.end();
      return;
    }
    const length = item.chunked ? {} : { "content-length": body.length };
    response.writeHead(200, { "content-type": typeOf(path), ...length, ...item.headers });
    if (how && !("wait" in how)) {
      response.flushHeaders();
      await sendRest(response, body, how);
    } else response.end(body);
  };

  const open = async (port: number): Promise<Server> => {
    const server = createServer((request, response) => void answer(request, response));
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    return server;
  };
  let server = await open(0);
  const { port } = server.address() as AddressInfo;
  const kill = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  t.after(async () => {
    if (server.listening) await kill();
  });
  return {
    url: `http://127.0.0.1:${port}`,
    ...{ items, rules, seen, kill },
    countOf: (path) => seen.filter((one) => one.path === path).length,
    revive: async () => {
      server = await open(port);
    },
  };
};

/**
 * An origin of stored files that can be told to misbehave: HTTP with ranges and strong entity tags (RFC 9110 §14), and
 * what path-style GET and HEAD of S3 look like.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

/** What is done to one answer. */
export type Behaviour =
  /** As it should be. */
  | "well"
  /** The whole file in answer to a range. */
  | "whole"
  /** The beginning of a range alone. */
  | "short"
  /** A head, half of the body, then nothing, until the client leaves. */
  | "stalls"
  /** Nothing at all, until the client leaves. */
  | "silent"
  /** A head, half of the body, then a reset. */
  | "cut"
  /** The connection is reset before an answer. */
  | "reset"
  | "unavailable"
  | "broken";

export interface Content {
  readonly bytes: Buffer;
  readonly etag: string;
}

export const contentOf = (bytes: Buffer): Content => ({
  bytes,
  etag: `"${createHash("sha256").update(bytes).digest("hex").slice(0, 24)}"`,
});

export interface Origin {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** By path, without a leading slash. A request has the content of the moment in which it came. */
  readonly files: Map<string, Content>;
  /** Of each request; all are answered well without. */
  behave: (request: IncomingMessage, path: string) => Behaviour;
  /** `GET a.mp4 bytes=0-65535`, in order. */
  readonly asked: string[];
}

const REFUSALS: Readonly<Partial<Record<Behaviour, number>>> = { unavailable: 503, broken: 500 };
const LAST_MODIFIED = "Wed, 01 Jan 2025 00:00:00 GMT";

interface Part {
  readonly status: number;
  readonly start: number;
  readonly end: number;
}

/** One range, or all of it. */
const partOf = (request: IncomingMessage, size: number, behaviour: Behaviour): Part => {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (!range || behaviour === "whole") return { status: 200, start: 0, end: size };
  const start = Number(range[1]);
  if (start >= size) return { status: 416, start: 0, end: 0 };
  const end = Math.min(size, range[2] === "" ? size : Number(range[2]) + 1);
  return { status: 206, start, end: behaviour === "short" ? start + Math.ceil((end - start) / 2) : end };
};

const refuse = (response: ServerResponse, status: number): void =>
  void response.writeHead(status, { "content-length": 0 }).end();

const answer = (
  { bytes, etag }: Content,
  { request, response, behaviour }: { request: IncomingMessage; response: ServerResponse; behaviour: Behaviour },
): void => {
  const wanted = request.headers["if-match"];
  if (wanted !== undefined && wanted !== etag) {
    refuse(response, 412);
    return;
  }
  const { status, start, end } = partOf(request, bytes.length, behaviour);
  const range = status === 416 ? `bytes */${bytes.length}` : `bytes ${start}-${end - 1}/${bytes.length}`;
  response.writeHead(status, {
    etag,
    "last-modified": LAST_MODIFIED,
    "accept-ranges": "bytes",
    "content-length": end - start,
    ...(status === 200 ? {} : { "content-range": range }),
  });
  const body = bytes.subarray(start, end);
  if (request.method === "HEAD") response.end();
  else if (behaviour !== "stalls" && behaviour !== "cut") response.end(body);
  else {
    response.write(body.subarray(0, body.length >>> 1), () => {
      if (behaviour === "cut") response.socket?.resetAndDestroy();
    });
  }
};

/** It ends with the test. */
export const startOrigin = async (t: Cleaner, files: Origin["files"]): Promise<Origin> => {
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? "/").slice(1).replace(/\?.*/, ""));
    origin.asked.push(`${request.method} ${path} ${request.headers.range ?? ""}`.trim());
    const behaviour = origin.behave(request, path);
    const content = files.get(path);
    const refusal = content ? REFUSALS[behaviour] : 404;
    if (behaviour === "reset") request.socket.resetAndDestroy();
    else if (refusal !== undefined) refuse(response, refusal);
    else if (content && behaviour !== "silent") answer(content, { request, response, behaviour });
  });
  server.on("clientError", (_, socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const origin: Origin = { url: `http://127.0.0.1:${port}`, files, behave: () => "well", asked: [] };
  return origin;
};

/**
 * A castis node as the playback document describes it, and nothing more: POST, GET and DELETE on
 * `/api/streams/:streamId`; 201 for a new stream, 500 for one that exists. It fails on demand.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Failing =
  | { readonly status: number; readonly body?: string }
  /** Never answers. */
  | "hang"
  /** Closes the connection with a TCP reset. */
  | "reset"
  /** Sends the head and half of the body, then breaks off. */
  | "dropBody"
  /** Answers as it should, but only after so long. */
  | { readonly slowMs: number };

export interface Rule {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly streamId?: string;
  readonly how: Failing;
  /** How many requests it applies to; for ever unless told. */
  readonly times?: number;
  /** The node does what it was asked before it fails: what a lost answer looks like. */
  readonly afterDoing?: boolean;
}

export interface Seen {
  readonly method: string;
  readonly streamId: string;
  readonly body: unknown;
  readonly authorization: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const BODY_BYTES_MAX = 64 * 1024;
const PATH = /^\/api\/streams\/([^/?]+)$/;

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > BODY_BYTES_MAX) throw new Error("body too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
};

const parseObject = (text: string): Record<string, unknown> | null => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
};

export class CastisStandIn {
  /** What it runs: stream id → the body of its POST. Tests may put streams there that "somebody else" made. */
  readonly streams = new Map<string, unknown>();
  /** Every request, in order of arrival. */
  readonly seen: Seen[] = [];
  readonly #credential: string | undefined;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #watchers = new Set<() => void>();
  #rules: { rule: Rule; left: number }[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor(options: { readonly credential?: string } = {}) {
    this.#credential = options.credential;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens on a free port; after `stop()`, on the same one again. */
  async start(): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    server.keepAliveTimeout = 500;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  fail(rule: Rule): void {
    this.#rules.push({ rule, left: rule.times ?? Number.POSITIVE_INFINITY });
  }

  behave(): void {
    this.#rules = [];
  }

  count(method: string, streamId?: string): number {
    return this.seen.filter((r) => r.method === method && (streamId === undefined || r.streamId === streamId)).length;
  }

  /** Resolves as soon as `holds` is true; looked at after every request. */
  async until(holds: () => boolean, deadlineMs = 60_000): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (error?: Error) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = () => {
        if (holds()) finish();
      };
      const timer = setTimeout(() => finish(new Error(`castis stand-in: nothing within ${deadlineMs} ms`)), deadlineMs);
      this.#watchers.add(look);
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    try {
      const method = request.method ?? "";
      const streamId = decodeURIComponent(PATH.exec(request.url ?? "")?.[1] ?? "");
      const text = await readBody(request);
      const { authorization } = request.headers;
      this.seen.push({ method, streamId, body: text === "" ? undefined : parseObject(text), authorization });
      const failing = this.#ruleFor(method, streamId);
      const answer =
        failing === undefined || failing.afterDoing || typeof failing.how === "object"
          ? this.#answerTo({ method, streamId, text, authorization, does: failing === undefined || does(failing) })
          : { status: 200, body: {} };
      this.#send(response, answer, failing?.how);
    } catch {
      response.destroy();
    } finally {
      for (const look of [...this.#watchers]) look();
    }
  }

  #ruleFor(method: string, streamId: string): Rule | undefined {
    const found = this.#rules.find(
      ({ rule, left }) => left > 0 && (rule.method ?? method) === method && (rule.streamId ?? streamId) === streamId,
    );
    if (found === undefined) return undefined;
    found.left--;
    return found.rule;
  }

  #answerTo(request: {
    method: string;
    streamId: string;
    text: string;
    authorization: string | undefined;
    does: boolean;
  }): Answer {
    const { method, streamId, text, does } = request;
    if (streamId === "") return { status: 404, body: { error: "not found" } };
    if (this.#credential !== undefined && request.authorization !== `Bearer ${this.#credential}`)
      return { status: 401, body: { error: "unauthorized" } };
    const running = this.streams.has(streamId);
    if (method === "GET")
      return running
        ? { status: 200, body: this.streams.get(streamId) }
        : { status: 404, body: { error: "stream not found" } };
    if (method === "DELETE") {
      if (does) this.streams.delete(streamId);
      return running ? { status: 200, body: {} } : { status: 404, body: { error: "stream not found" } };
    }
    if (method !== "POST") return { status: 405, body: { error: "method not allowed" } };
    if (running) return { status: 500, body: { error: "stream already exists" } };
    const config = parseObject(text);
    if (config === null || typeof config.url !== "string") return { status: 400, body: { error: "url is missing" } };
    if (does) this.streams.set(streamId, config);
    return { status: 201, body: { streamId } };
  }

  #send(response: ServerResponse, answer: Answer, how: Failing | undefined): void {
    const body = JSON.stringify(answer.body);
    const head = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    if (how === "hang") return;
    if (how === "reset") {
      response.socket?.resetAndDestroy();
      return;
    }
    if (how === "dropBody") {
      response.writeHead(answer.status, { ...head, "content-length": Buffer.byteLength(body) + 100 });
      response.write(body.slice(0, Math.ceil(body.length / 2)), () => response.socket?.destroy());
      return;
    }
    if (how !== undefined && "status" in how) {
      response.writeHead(how.status, { "content-type": "text/plain" }).end(how.body ?? "failing on demand");
      return;
    }
    const finish = () => response.writeHead(answer.status, head).end(body);
    if (how === undefined) {
      finish();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      finish();
    }, how.slowMs);
    this.#timers.add(timer);
  }
}

/** A slow node does its work; one that fails does only when told so. */
const does = (rule: Rule): boolean =>
  rule.afterDoing === true || (typeof rule.how === "object" && "slowMs" in rule.how);

/** A running stand-in that is stopped when the test ends. */
export const castisStandIn = async (
  t: { after(run: () => Promise<void>): void },
  options: { readonly credential?: string } = {},
): Promise<CastisStandIn> => {
  const node = await new CastisStandIn(options).start();
  t.after(() => node.stop());
  return node;
};

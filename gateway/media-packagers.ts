/** Passes requests for stored media on to a packager, and its answer back as it comes. */
import {
  Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestOf,
  type ServerResponse,
} from "node:http";
import { Agent as TlsAgent, request as tlsRequestOf } from "node:https";
import { pipeline } from "node:stream/promises";
import { OPEN_TO_ALL, optionsLines } from "../lib/http/cors.ts";
import type { HeaderLines } from "../lib/http/exchange.ts";
import type { Refusal } from "../lib/http/problem.ts";

const HEAD_MS = 15_000;
const IDLE_MS = 30_000;
const SOCKETS_MAX = 128;
/** All that chooses an answer; credentials are not among it. */
const SENT = ["range", "if-range", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since"] as const;
const GIVEN = [
  ...(["content-type", "content-length", "content-range", "content-encoding", "accept-ranges"] as const),
  ...(["etag", "last-modified", "cache-control", "retry-after", "date"] as const),
];

const fieldsOf = (lines: HeaderLines): Readonly<Record<string, string>> =>
  Object.fromEntries(
    lines.split("\r\n").flatMap((line) => {
      const [name = "", value] = line.split(": ");
      return value === undefined ? [] : [[name, value]];
    }),
  );

/** Header fields of media for players on any host. */
export const MEDIA_HEADERS = fieldsOf(OPEN_TO_ALL);

/** Those of the answer to OPTIONS, as edges give it: players send more than callers of the API do. */
export const mediaOptions = (methods: readonly string[]): Readonly<Record<string, string>> =>
  fieldsOf(optionsLines(methods.join(", ")));

const picked = (headers: IncomingHttpHeaders, names: readonly string[]): Record<string, string | string[]> => {
  const found: Record<string, string | string[]> = {};
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
};

export interface Wanted {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query as a packager gets them. */
  readonly target: string;
  /** Requests with an equal one go to the same packager. */
  readonly key: string;
}

const hashOf = (text: string): number => {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1) hash = (hash * 31 + text.charCodeAt(at)) >>> 0;
  return hash;
};

export class Packagers {
  readonly #urls: readonly URL[];
  readonly #plain = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  readonly #tls = new TlsAgent({ keepAlive: true, maxSockets: SOCKETS_MAX });

  constructor(urls: readonly string[]) {
    this.#urls = urls.map((url) => new URL(url));
  }

  /** Answers; gives the refusal that is still to be said where no packager answers. */
  async pass(wanted: Wanted): Promise<Refusal | undefined> {
    const first = hashOf(wanted.key);
    for (let tries = 0; tries < this.#urls.length; tries += 1) {
      const base = this.#urls[(first + tries) % this.#urls.length]!; // within the list
      const answer = await this.#ask(base, wanted).catch(() => undefined);
      if (answer) {
        await give(answer, wanted.response);
        return undefined;
      }
      if (wanted.response.destroyed) return undefined;
    }
    return { code: "UPSTREAM_FAILED", data: { path: wanted.target } };
  }

  close(): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }

  #ask(base: URL, { request, response, target }: Wanted): Promise<IncomingMessage> {
    const isTls = base.protocol === "https:";
    const url = new URL(base.pathname.replace(/\/+$/, "") + target, base);
    const headers = { ...picked(request.headers, SENT), "x-request-id": String(request.headers["x-request-id"] ?? "") };
    return new Promise((resolve, reject) => {
      const options = { method: request.method ?? "GET", headers, agent: isTls ? this.#tls : this.#plain };
      const asking = (isTls ? tlsRequestOf : requestOf)(url, options, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      const timer = setTimeout(() => asking.destroy(new Error("no head in time")), HEAD_MS);
      const left = (): void => void asking.destroy();
      response.once("close", left);
      asking.on("error", (error) => {
        clearTimeout(timer);
        response.off("close", left);
        reject(error);
      });
      asking.setTimeout(IDLE_MS, () => asking.destroy(new Error("it fell silent")));
      asking.end();
    });
  }
}

/** A body that breaks off ends the connection: a short answer must never look like a whole one. */
const give = async (answer: IncomingMessage, response: ServerResponse): Promise<void> => {
  response.writeHead(answer.statusCode ?? 502, { ...picked(answer.headers, GIVEN), ...MEDIA_HEADERS });
  await pipeline(answer, response).catch(() => response.destroy());
};

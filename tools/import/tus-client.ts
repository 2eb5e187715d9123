/** A small tus 1.0 client: one file, its bytes from where the server says, again and again until they are there. */
import { createReadStream } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { setTimeout as pause } from "node:timers/promises";

const IDLE_MS = 60_000;
const ATTEMPTS_MAX = 10; // in a row, without a byte between them
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 15_000;
const TEXT_MAX = 64 * 1024;
const READ_BYTES = 1024 * 1024;

export interface Server {
  /** Base URL of a gateway. */
  readonly gateway: string;
  readonly key: string;
  readonly signal: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

/** What trying again does not change. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    const { detail } = jsonIn(text) as { detail?: unknown };
    super(typeof detail === "string" ? detail : `the server answers with ${status}`);
    this.status = status;
  }
}

const jsonIn = (text: string): object => {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
};

interface Asked {
  readonly url: URL;
  readonly method: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly file?: { readonly path: string; readonly offset: number; readonly sent: (bytes: number) => void };
}

const ask = ({ key, signal }: Server, { url, method, headers = {}, file }: Asked): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { request } = url.protocol === "https:" ? https : http;
    const all = { authorization: `Bearer ${key}`, "tus-resumable": "1.0.0", ...headers };
    const asked = request(url, { method, headers: all, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (text.length < TEXT_MAX) text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on("error", reject);
    });
    asked.setTimeout(IDLE_MS, () => asked.destroy(new Error("the server is silent")));
    asked.on("error", reject);
    if (!file) return void asked.end();
    const bytes = createReadStream(file.path, { start: file.offset, highWaterMark: READ_BYTES });
    bytes.on("data", (chunk) => file.sent(chunk.length));
    bytes.on("error", (error) => asked.destroy(error));
    asked.on("close", () => bytes.destroy());
    bytes.pipe(asked);
  });

const isFine = (status: number): boolean => status >= 200 && status < 300;
const mayPass = (status: number): boolean => status >= 500 || [408, 409, 423, 425, 429].includes(status);

const must = (answer: Answer): Answer => {
  if (isFine(answer.status)) return answer;
  if (mayPass(answer.status)) throw new Error(`the server answers with ${answer.status}`);
  throw new Refused(answer.status, answer.text);
};

/** Of a file: a stream that gives fewer bytes than it had when the import began would wait forever. */
export interface Sending {
  readonly file: string;
  readonly sizeBytes: number;
  /** `Upload-Metadata`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Of an earlier try. */
  readonly uploadUrl: string | null;
  /** Told once, before the first byte. */
  readonly began: (uploadUrl: string) => Promise<void>;
  /** How many bytes are on the server, or on their way to it. */
  readonly progress: (offset: number) => void;
}

const create = async (server: Server, { sizeBytes, metadata }: Sending): Promise<string> => {
  const pairs = Object.entries(metadata).map(([name, value]) => `${name} ${Buffer.from(value).toString("base64")}`);
  const url = new URL("/api/v1/uploads", server.gateway);
  const headers = { "upload-length": sizeBytes, "upload-metadata": pairs.join(","), "content-length": 0 };
  const { headers: told } = must(await ask(server, { url, method: "POST", headers }));
  return new URL(String(told.location), url).href;
};

/** Null: it is no longer there. */
const offsetOf = async (server: Server, url: string): Promise<number | null> => {
  const answer = await ask(server, { url: new URL(url), method: "HEAD" });
  if (answer.status === 404 || answer.status === 410) return null;
  return Number(must(answer).headers["upload-offset"]);
};

const sendRest = async (server: Server, url: string, offset: number, sending: Sending): Promise<void> => {
  let at = offset;
  const sent = (bytes: number): void => {
    at += bytes;
    sending.progress(at);
  };
  const type = { "content-type": "application/offset+octet-stream" };
  const headers = { ...type, "upload-offset": offset, "content-length": sending.sizeBytes - offset };
  must(await ask(server, { url: new URL(url), method: "PATCH", headers, file: { path: sending.file, offset, sent } }));
};

/** The URL once all bytes are there. Rejects with Refused, or with what was wrong at the last of many tries. */
export const sendFile = async (server: Server, sending: Sending): Promise<string> => {
  let url = sending.uploadUrl;
  for (let failures = 0, last = 0; ; ) {
    try {
      const offset = url === null ? null : await offsetOf(server, url);
      if (url === null || offset === null) {
        url = await create(server, sending);
        await sending.began(url);
      }
      const from = offset ?? 0;
      if (from > last) failures = 0;
      last = from;
      sending.progress(from);
      if (from < sending.sizeBytes) await sendRest(server, url, from, sending);
      return url;
    } catch (error) {
      server.signal.throwIfAborted();
      failures += 1;
      if (error instanceof Refused || failures >= ATTEMPTS_MAX) throw error;
      await pause(Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** failures), undefined, { signal: server.signal });
    }
  }
};

export interface Outcome {
  readonly state: string;
  readonly titleId: string | null;
  readonly error: string | null;
}

const CHECK_MS = 500;

/** What became of an upload; null when that is not known by `deadlineMs`. */
export const outcomeOf = async (server: Server, url: string, deadlineMs: number): Promise<Outcome | null> => {
  const endsAt = performance.now() + deadlineMs;
  while (performance.now() < endsAt) {
    const answer = await ask(server, { url: new URL(url), method: "GET" }).catch(() => null);
    server.signal.throwIfAborted();
    const { data } = jsonIn(answer?.text ?? "") as { data?: Outcome };
    if (data && data.state !== "receiving" && data.state !== "checking") return data;
    await pause(CHECK_MS, undefined, { signal: server.signal });
  }
  return null;
};

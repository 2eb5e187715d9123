/** Phase "answer": a body, whole or still filling, to one viewer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FillingBody } from "../cache/body.ts";
import type { Head } from "../cache/stored.ts";
import { type Conditions, checkConditions, chooseRange } from "./conditions.ts";
import { addBodyHeaders, type CacheStatus, type Headers, headersOf, OPEN_TO_ALL } from "./headers.ts";

/** How much of a filling body is handed to a connection at once: what a slow one holds back is no more than this. */
const WRITE_BYTES_MAX = 256 * 1024;
/** A viewer who takes nothing for so long is cut off. */
const STALLED_MS_MAX = 30_000;

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly via: string;
}
export interface Content {
  readonly head: Head;
  readonly body: Buffer | FillingBody;
  readonly ageMs: number;
  readonly status: CacheStatus;
}

const conditionsOf = ({ headers }: IncomingMessage): Conditions => ({
  ifMatch: headers["if-match"],
  ifNoneMatch: headers["if-none-match"],
  ifModifiedSince: headers["if-modified-since"],
  ifUnmodifiedSince: headers["if-unmodified-since"],
  ifRange: one(headers["if-range"]),
  // RFC 9110 §14.2: a range counts on GET only.
  range: headers.range,
});
const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(", ") : value;

const end = ({ response }: Exchange, status: number, headers: Headers): number => {
  response.writeHead(status, headers);
  response.end();
  return 0;
};

/** Resolves with the bytes of body that went out, when the last has been handed over or the viewer has left. */
export const answerWith = (exchange: Exchange, content: Content): Promise<number> | number => {
  const { request, via } = exchange;
  const { head, body, ageMs, status } = content;
  const headers = headersOf({ head, ageMs, status, via });
  const conditions = conditionsOf(request);
  const verdict = checkConditions(conditions, head);
  if (verdict === "not-modified") return end(exchange, 304, headers);
  if (verdict === "failed") return end(exchange, 412, { ...headers, "content-length": 0 });
  const sizeBytes = sizeOf(body);
  const range = request.method === "GET" ? chooseRange(conditions, head, sizeBytes) : { kind: "ignore" as const };
  if (range.kind === "unsatisfiable") {
    return end(exchange, 416, { ...OPEN_TO_ALL, "content-range": `bytes */${sizeBytes}`, "content-length": 0, via });
  }
  addBodyHeaders(headers, head);
  if (range.kind === "ignore") {
    if (sizeBytes !== undefined) headers["content-length"] = sizeBytes;
    return send(exchange, { code: 200, headers, body, start: 0, end: sizeBytes });
  }
  const { start } = range;
  headers["content-range"] = `bytes ${start}-${range.end}/${sizeBytes}`;
  headers["content-length"] = range.end - start + 1;
  return send(exchange, { code: 206, headers, body, start, end: range.end + 1 });
};

const sizeOf = (body: Buffer | FillingBody): number | undefined => {
  if (Buffer.isBuffer(body)) return body.length;
  return body.state === "whole" ? body.filledBytes : body.sizeBytes;
};

interface Sending {
  readonly code: 200 | 206;
  readonly headers: Headers;
  readonly body: Buffer | FillingBody;
  readonly start: number;
  /** Exclusive; undefined: to the end, wherever that will be. */
  readonly end: number | undefined;
}

const send = ({ request, response }: Exchange, sending: Sending): Promise<number> | number => {
  const { code, headers, body, start, end: last } = sending;
  response.setTimeout(STALLED_MS_MAX, () => response.destroy());
  response.writeHead(code, headers);
  if (request.method === "HEAD") {
    response.end();
    return 0;
  }
  if (Buffer.isBuffer(body) || body.state === "whole") {
    const part = Buffer.isBuffer(body) ? body.subarray(start, last) : body.view(start, last);
    // The whole rest in one write: the kernel takes what it can, the cached bytes are only referred to.
    response.end(part);
    return part.length;
  }
  // Heads go out before the first body byte is there: the viewer's clock for the first byte stops here.
  response.flushHeaders();
  return new Reading(response, body, start, last).run();
};

/** One viewer's way through a filling body. */
class Reading {
  readonly #response: ServerResponse;
  readonly #body: FillingBody;
  readonly #start: number;
  readonly #end: number;
  #offset: number;
  #blocked = false;
  #over = false;
  #finish: () => void = () => {};

  constructor(response: ServerResponse, body: FillingBody, start: number, end = Number.POSITIVE_INFINITY) {
    this.#response = response;
    this.#body = body;
    this.#start = start;
    this.#offset = start;
    this.#end = end;
  }

  run(): Promise<number> {
    return new Promise((resolve) => {
      const stop = this.#body.onMore(() => this.#pump());
      this.#finish = () => {
        this.#over = true;
        stop();
        resolve(this.#offset - this.#start);
      };
      this.#response.once("close", this.#finish);
      this.#response.on("drain", () => {
        this.#blocked = false;
        this.#pump();
      });
      this.#pump();
    });
  }

  #pump(): void {
    const body = this.#body;
    while (!this.#over && !this.#blocked && this.#offset < Math.min(body.filledBytes, this.#end)) {
      const piece = body.view(this.#offset, Math.min(this.#offset + WRITE_BYTES_MAX, this.#end));
      this.#offset += piece.length;
      this.#blocked = !this.#response.write(piece);
    }
    if (this.#over || this.#blocked) return;
    if (this.#offset >= this.#end || (body.state === "whole" && this.#offset >= body.filledBytes)) {
      this.#response.end();
      this.#finish();
    } else if (body.state === "broken") {
      // Not a clean end: a short answer must never look like a whole one.
      this.#response.socket?.resetAndDestroy();
      this.#finish();
    }
  }
}

/**
 * The head of an origin's answer (RFC 9112 §4, §5, §6.3), read strictly: what two readers could understand differently
 * ends the connection, because the rest of it could be anything.
 */
import { UpstreamError } from "../upstream.ts";

export interface AnswerHead {
  readonly status: number;
  /** Name, value, name, value … as they came. */
  readonly fields: readonly string[];
  /** `close`: the body ends with the connection. */
  readonly framing: "none" | "length" | "chunked" | "close";
  /** Of a body that has a length. */
  readonly sizeBytes: number;
  readonly keepAlive: boolean;
  /** What the server says of how long it keeps the connection (RFC 2068 §19.7.1.1); undefined when nothing. */
  readonly keepAliveMs: number | undefined;
}

export const HEAD_BYTES_MAX = 64 * 1024;
const FIELDS_MAX = 200;

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const LENGTH = /^\d{1,15}$/; // below 2^53

const malformed = (what: string): never => {
  throw new UpstreamError("protocol", new Error(`the answer's head is malformed: ${what}`));
};

/** What of the fields the connection goes by. */
class Framing {
  length: number | undefined;
  isChunked = false;
  hasClose = false;
  hasKeepAlive = false;
  keepAliveMs: number | undefined;

  take(name: string, value: string): void {
    switch (name.length) {
      case 10:
        if (name.toLowerCase() === "connection") this.#connection(value);
        else if (name.toLowerCase() === "keep-alive") this.#keepAlive(value);
        break;
      case 14:
        if (name.toLowerCase() === "content-length") this.#length(value);
        break;
      case 17:
        if (name.toLowerCase() === "transfer-encoding") this.#coding(value);
        break;
    }
  }

  /** RFC 9112 §6.3: several lengths that agree count as one. */
  #length(value: string): void {
    for (const part of value.split(",")) {
      const text = part.trim();
      if (!LENGTH.test(text)) malformed("its Content-Length is no length");
      if (this.length !== undefined && this.length !== Number(text)) malformed("it has two lengths");
      this.length = Number(text);
    }
  }
  #coding(value: string): void {
    if (this.isChunked || value.toLowerCase() !== "chunked") malformed("its Transfer-Encoding is not just chunked");
    this.isChunked = true;
  }
  #connection(value: string): void {
    for (const option of value.toLowerCase().split(",")) {
      const word = option.trim();
      if (word === "close") this.hasClose = true;
      else if (word === "keep-alive") this.hasKeepAlive = true;
    }
  }
  #keepAlive(value: string): void {
    const seconds = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(value)?.[1];
    if (seconds !== undefined) this.keepAliveMs = Number(seconds) * 1_000;
  }
}

const fieldsOf = (text: string, from: number, framing: Framing): string[] => {
  const fields: string[] = [];
  for (let at = from; at < text.length; ) {
    const next = text.indexOf("\r\n", at);
    const end = next === -1 ? text.length : next;
    const colon = text.indexOf(":", at);
    if (colon === -1 || colon > end) malformed("a field has no colon");
    const name = text.slice(at, colon);
    if (!NAME.test(name)) malformed("a field has no name that names can be");
    const value = text.slice(colon + 1, end).replace(/^[ \t]+|[ \t]+$/g, "");
    if (CONTROL.test(value)) malformed("a field has a control character");
    framing.take(name, value);
    fields.push(name, value);
    if (fields.length > 2 * FIELDS_MAX) malformed(`it has more than ${FIELDS_MAX} fields`);
    at = end + 2;
  }
  return fields;
};

const hasNoBody = (method: string, status: number): boolean =>
  method === "HEAD" || status < 200 || status === 204 || status === 304;

/** The head in `text`, which ends before its empty line; UpstreamError (`protocol`) for anything malformed. */
export const parseAnswerHead = (text: string, method: string): AnswerHead => {
  const line = text.indexOf("\r\n");
  const lineEnd = line === -1 ? text.length : line;
  const match = STATUS_LINE.exec(text.slice(0, lineEnd));
  if (!match) return malformed("it does not begin with a status line of HTTP/1.1");
  const [isMinor1, status] = [match[1] === "1", Number(match[2])];
  const framing = new Framing();
  const fields = fieldsOf(text, lineEnd + 2, framing);
  if (framing.isChunked && (framing.length !== undefined || !isMinor1)) {
    malformed("a Transfer-Encoding beside a Content-Length, or on HTTP/1.0");
  }
  const head = {
    status,
    fields,
    keepAlive: !framing.hasClose && (isMinor1 || framing.hasKeepAlive),
    keepAliveMs: framing.keepAliveMs,
  };
  if (hasNoBody(method, status)) return { ...head, framing: "none", sizeBytes: 0 };
  if (framing.isChunked) return { ...head, framing: "chunked", sizeBytes: 0 };
  if (framing.length !== undefined) return { ...head, framing: "length", sizeBytes: framing.length };
  return { ...head, framing: "close", sizeBytes: 0, keepAlive: false };
};

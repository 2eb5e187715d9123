/**
 * The head of a request (RFC 9112 §3, §5), read from the bytes as they are: one pass, no header object, nothing made
 * but the target's text. What two servers could understand differently is refused, not mended: that is how requests are
 * smuggled past one of them.
 */
import type { ErrorCode, FaultData } from "../../contracts/errors.ts";
import type { Refusal } from "./problem.ts";
import { COLON, CR, IS_TARGET, IS_TOKEN, IS_VALUE, isHost, LF, SP, standsAt, TAB } from "./raw-bytes.ts";
import type { RawLimits } from "./raw-limits.ts";

/** The head is not whole yet. */
export const MORE = -1;
/** It is refused: `refusal` says why, and the connection can't go on. */
export const REFUSED = -2;
/** `bodyBytes` of a body that comes in chunks. */
export const CHUNKED = -1;

const FINE = 0;
const LENGTH_DIGITS_MAX = 15; // below 2^53
const VERSION = Buffer.from("HTTP/1."); // case-sensitive (RFC 9112 §2.3)
const MAJOR_AT = 5;
const EMPTY = Buffer.alloc(0);

type HeadLimits = Pick<RawLimits, "requestLineBytes" | "headBytes" | "fieldCount">;

/** Common methods without making a text of them. */
const methodAt = (bytes: Buffer, from: number, to: number): string => {
  if (to - from === 3 && bytes[from] === 0x47 && bytes[from + 1] === 0x45 && bytes[from + 2] === 0x54) return "GET";
  return bytes.toString("latin1", from, to);
};

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

export class RawHead {
  method = "";
  /** Origin form, or `*` of OPTIONS. A text of its own: who keeps it keeps nothing else. */
  target = "";
  /** The authority that the request is for: that of an absolute form, else the Host field; empty on 1.0 without one. */
  host = "";
  /** 1, or 0 for HTTP/1.0. */
  minor = 1;
  /** Bytes of the body, or CHUNKED. */
  bodyBytes = 0;
  keepAlive = true;
  expectsContinue = false;
  /** Range or one of the fields of RFC 9110 §13.1 is there. */
  isConditional = false;
  hasRequestId = false;
  refusal: Refusal | undefined;
  /** Once the head is whole: the fields are from `fieldsFrom` to behind the last one's line end. */
  bytes: Buffer = EMPTY;
  fieldsFrom = 0;
  fieldsTo = 0;

  readonly #limits: HeadLimits;
  /** Bytes from the head's start to the line that comes next. */
  #done = 0;
  /** Bytes from the head's start to the first field. */
  #fieldsAfter = 0;
  #fieldCount = 0;
  #hasHost = false;
  #isAbsolute = false;
  #hasLength = false;
  #closes = false;
  // The value of the field that is looked at, without the space around it.
  #valueFrom = 0;
  #valueTo = 0;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  /**
   * Reads on; `start` is where the head begins in `bytes` (other bytes at each call, if the head's read part is the
   * same). Gives where the body begins, MORE or REFUSED.
   */
  read(bytes: Buffer, start: number): number {
    let at = start + this.#done;
    if (this.target === "") {
      at = this.#requestLine(bytes, start);
      if (at < 0) return at === MORE ? this.#more(bytes, start) : at;
      this.#done = at - start;
    }
    for (;;) {
      if (bytes[at] === CR) return this.#end(bytes, start, at);
      at = this.#field(bytes, at);
      if (at < 0) return at === MORE ? this.#more(bytes, start) : at;
      this.#done = at - start;
    }
  }

  /** What there is may be the beginning of a head as long as no limit is passed. */
  #more(bytes: Buffer, start: number): number {
    const sizeBytes = bytes.length - start;
    if (this.target === "" && sizeBytes > this.#limits.requestLineBytes) return this.#targetTooLong();
    return sizeBytes > this.#limits.headBytes ? this.#tooLarge() : MORE;
  }

  #requestLine(bytes: Buffer, start: number): number {
    let at = start;
    // RFC 9112 §2.2: an empty line before the request line is left out; one, for old clients that end a body with it.
    if (bytes[at] === CR) {
      if (at + 1 >= bytes.length) return MORE;
      if (bytes[at + 1] !== LF) return this.#malformed("a CR stands alone");
      at += 2;
    }
    const from = at;
    while (at < bytes.length && IS_TOKEN[bytes[at]!] === 1) at += 1;
    if (at >= bytes.length) return MORE;
    if (at === from || bytes[at] !== SP) return this.#malformed("its first line does not begin with a method");
    const methodTo = at;
    at += 1;
    const targetFrom = at;
    while (at < bytes.length && IS_TARGET[bytes[at]!] === 1) at += 1;
    if (at - start > this.#limits.requestLineBytes) return this.#targetTooLong();
    if (at >= bytes.length) return MORE;
    if (at === targetFrom || bytes[at] !== SP) return this.#malformed("its target has bytes that no target has");
    const end = this.#version(bytes, at + 1);
    if (end < 0) return end;
    this.method = methodAt(bytes, from, methodTo);
    this.#fieldsAfter = end - start;
    return this.#targetForm(bytes.toString("latin1", targetFrom, at)) === FINE ? end : REFUSED;
  }

  /** `HTTP/1.1` or `HTTP/1.0` and the line's end; gives where the fields begin. */
  #version(bytes: Buffer, from: number): number {
    const there = Math.min(VERSION.length, bytes.length - from);
    for (let i = 0; i < there; i += 1) {
      const byte = bytes[from + i]!;
      if (byte === VERSION[i]) continue;
      return i === MAJOR_AT && isDigit(byte) ? this.#refuse("HTTP_VERSION_UNSUPPORTED") : this.#badVersion();
    }
    const at = from + VERSION.length;
    if (at < bytes.length && !isDigit(bytes[at]!)) return this.#badVersion();
    if (at + 1 < bytes.length && bytes[at + 1] !== CR) return this.#badVersion();
    if (at + 2 >= bytes.length) return MORE;
    if (bytes[at + 2] !== LF) return this.#malformed("a CR stands alone");
    this.minor = bytes[at]! - 0x30;
    if (this.minor > 1) return this.#refuse("HTTP_VERSION_UNSUPPORTED");
    this.keepAlive = this.minor === 1;
    return at + 3;
  }

  /** RFC 9112 §3.2: the absolute form is brought to the origin form. CONNECT and TRACE are for others. */
  #targetForm(target: string): number {
    const { method } = this;
    if (method === "CONNECT" || method === "TRACE") return this.#refuse("METHOD_UNKNOWN", { method });
    if (target.charCodeAt(0) !== 0x2f && (target !== "*" || method !== "OPTIONS")) {
      const [, authority = "", rest = ""] = /^https?:\/\/([^/?]*)(.*)$/i.exec(target) ?? [];
      if (!isHost(authority)) return this.#malformed("its target is neither a path nor an http URL");
      this.host = authority;
      this.#isAbsolute = true;
      this.target = rest.startsWith("/") ? rest : `/${rest}`;
      return FINE;
    }
    this.target = target;
    return FINE;
  }

  /** One field line; gives where the next begins. */
  #field(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && IS_TOKEN[bytes[at]!] === 1) at += 1;
    if (at >= bytes.length) return MORE;
    const colon = at;
    if (bytes[colon] !== COLON || colon === from) return this.#badName(bytes[colon]!, colon === from);
    at += 1;
    while (at < bytes.length && (bytes[at] === SP || bytes[at] === TAB)) at += 1;
    this.#valueFrom = at;
    while (at < bytes.length && IS_VALUE[bytes[at]!] === 1) at += 1;
    if (at >= bytes.length) return MORE;
    if (bytes[at] !== CR) return this.#badValue();
    if (at + 1 >= bytes.length) return MORE;
    if (bytes[at + 1] !== LF) return this.#badValue();
    this.#fieldCount += 1;
    if (this.#fieldCount > this.#limits.fieldCount) return this.#tooLarge();
    let valueTo = at;
    while (valueTo > this.#valueFrom && (bytes[valueTo - 1] === SP || bytes[valueTo - 1] === TAB)) valueTo -= 1;
    this.#valueTo = valueTo;
    return this.#known(bytes, from, colon - from) === FINE ? at + 2 : REFUSED;
  }

  /** Fields that the listener itself goes by. */
  #known(bytes: Buffer, from: number, length: number): number {
    switch (length) {
      case 4:
        return standsAt(bytes, from, "host") ? this.#host(bytes) : FINE;
      case 5:
        if (standsAt(bytes, from, "range")) this.isConditional = true;
        return FINE;
      case 6:
        if (standsAt(bytes, from, "expect") && this.minor === 1) this.expectsContinue = this.#is(bytes, "100-continue");
        return FINE;
      case 8:
        if (standsAt(bytes, from, "if-match") || standsAt(bytes, from, "if-range")) this.isConditional = true;
        return FINE;
      case 10:
        if (standsAt(bytes, from, "connection")) this.#connection(bytes);
        return FINE;
      case 12:
        if (standsAt(bytes, from, "x-request-id")) this.hasRequestId = true;
        return FINE;
      case 13:
        if (standsAt(bytes, from, "if-none-match")) this.isConditional = true;
        return FINE;
      case 14:
        return standsAt(bytes, from, "content-length") ? this.#length(bytes) : FINE;
      case 17:
        if (standsAt(bytes, from, "transfer-encoding")) return this.#coding(bytes);
        if (standsAt(bytes, from, "if-modified-since")) this.isConditional = true;
        return FINE;
      case 19:
        if (standsAt(bytes, from, "if-unmodified-since")) this.isConditional = true;
        return FINE;
      default:
        return FINE;
    }
  }

  /** RFC 9112 §3.2.2: that of an absolute form wins. */
  #host(bytes: Buffer): number {
    if (this.#hasHost) return this.#malformed("it has more than one Host");
    this.#hasHost = true;
    const host = bytes.toString("latin1", this.#valueFrom, this.#valueTo);
    if (!isHost(host)) return this.#malformed("its Host is none");
    if (!this.#isAbsolute) this.host = host;
    return FINE;
  }

  #length(bytes: Buffer): number {
    const digits = this.#valueTo - this.#valueFrom;
    if (this.#hasLength) return this.#malformed("it has more than one Content-Length");
    if (digits === 0 || digits > LENGTH_DIGITS_MAX) return this.#malformed("its Content-Length is no length");
    this.#hasLength = true;
    let length = 0;
    for (let at = this.#valueFrom; at < this.#valueTo; at += 1) {
      if (!isDigit(bytes[at]!)) return this.#malformed("its Content-Length is no length");
      length = length * 10 + bytes[at]! - 0x30;
    }
    if (this.bodyBytes !== CHUNKED) this.bodyBytes = length;
    return FINE;
  }

  #coding(bytes: Buffer): number {
    if (this.bodyBytes === CHUNKED || !this.#is(bytes, "chunked")) {
      return this.#malformed("its Transfer-Encoding is not just chunked");
    }
    this.bodyBytes = CHUNKED;
    return FINE;
  }

  /** RFC 9112 §9.3: close wins; HTTP/1.0 has to ask for keep-alive. */
  #connection(bytes: Buffer): void {
    const options = bytes.toString("latin1", this.#valueFrom, this.#valueTo).toLowerCase().split(",");
    for (const option of options) {
      const word = option.trim();
      if (word === "close") this.#closes = true;
      else if (word === "keep-alive") this.keepAlive = true;
    }
    if (this.#closes) this.keepAlive = false;
  }
  #is(bytes: Buffer, text: string): boolean {
    return this.#valueTo - this.#valueFrom === text.length && standsAt(bytes, this.#valueFrom, text);
  }

  #end(bytes: Buffer, start: number, at: number): number {
    if (at + 1 >= bytes.length) return this.#more(bytes, start);
    if (bytes[at + 1] !== LF) return this.#malformed("a CR stands alone");
    const end = at + 2;
    if (end - start > this.#limits.headBytes) return this.#tooLarge();
    if (this.minor === 1 && !this.#hasHost) return this.#malformed("it has no Host");
    if (this.bodyBytes === CHUNKED && this.#hasLength) {
      return this.#malformed("it has both Content-Length and Transfer-Encoding");
    }
    if (this.bodyBytes === CHUNKED && this.minor === 0) return this.#malformed("HTTP/1.0 has no Transfer-Encoding");
    this.bytes = bytes;
    this.fieldsFrom = start + this.#fieldsAfter;
    this.fieldsTo = at;
    return end;
  }

  #badVersion(): number {
    return this.#malformed("its first line does not end with HTTP/1.1 and CRLF");
  }
  #badName(byte: number, isFirst: boolean): number {
    const isSpace = byte === SP || byte === TAB;
    if (isFirst && isSpace) return this.#malformed("a field is folded"); // obs-fold, RFC 9112 §5.2
    return this.#malformed(isSpace ? "there is space before a colon" : "a field has no name that names can be");
  }
  #badValue(): number {
    return this.#malformed("a field has a control character");
  }
  #targetTooLong(): number {
    return this.#refuse("TARGET_TOO_LONG", { limit: `${this.#limits.requestLineBytes} bytes` });
  }
  #tooLarge(): number {
    const { headBytes, fieldCount } = this.#limits;
    return this.#refuse("HEAD_TOO_LARGE", { limit: `${headBytes} bytes or ${fieldCount} fields` });
  }
  #malformed(reason: string): number {
    return this.#refuse("REQUEST_MALFORMED", { reason });
  }
  #refuse(code: ErrorCode, data: FaultData = {}): number {
    this.refusal = { code, data };
    return REFUSED;
  }
}

const AROUND = /^[ \t]+|[ \t]+$/g;

/** Value of a field of a whole head by its lower-case name; repeated ones joined by `, ` (RFC 9110 §5.3). */
export const fieldOf = ({ bytes, fieldsFrom, fieldsTo }: RawHead, name: string): string | undefined => {
  let found: string | undefined;
  let at = fieldsFrom;
  while (at < fieldsTo) {
    const isIt = bytes[at + name.length] === COLON && standsAt(bytes, at, name);
    let end = at + name.length;
    if (!isIt) end = at;
    while (bytes[end] !== CR) end += 1;
    if (isIt) {
      const value = bytes.toString("latin1", at + name.length + 1, end).replace(AROUND, "");
      found = found === undefined ? value : `${found}, ${value}`;
    }
    at = end + 2;
  }
  return found;
};

/** All fields of a whole head as sent: name, value, name, value … */
export const fieldsOf = ({ bytes, fieldsFrom, fieldsTo }: RawHead): string[] => {
  const fields: string[] = [];
  let at = fieldsFrom;
  while (at < fieldsTo) {
    const colon = bytes.indexOf(COLON, at);
    const end = bytes.indexOf(CR, colon);
    fields.push(bytes.toString("latin1", at, colon), bytes.toString("latin1", colon + 1, end).replace(AROUND, ""));
    at = end + 2;
  }
  return fields;
};

/**
 * The head of an HTTP/2 request (RFC 9113 §8.3), under the same rules as one of HTTP/1.1 (`raw-head.ts`). Before it
 * gets here nghttp2 has reset streams with upper-case or connection-specific fields, unknown or repeated pseudo fields,
 * and those whose bodies are not as long as they say (§8.1.1, §8.2).
 */
import type { ErrorCode, FaultData } from "../../contracts/errors.ts";
import type { Refusal } from "./problem.ts";
import { IS_TARGET, IS_TOKEN, IS_VALUE, isHost } from "./raw-bytes.ts";
import type { RawLimits } from "./raw-limits.ts";

const ENTRY_BYTES = 32; // of each field, beside its name and value (RFC 7541 §4.1)
const LENGTH = /^\d{1,15}$/;
const PSEUDO_FIELDS = new Set([":method", ":scheme", ":authority", ":path"]);

type HeadLimits = Pick<RawLimits, "requestLineBytes" | "headBytes" | "fieldCount">;

const isAll = (text: string, members: Uint8Array): boolean => {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0xff || members[code] !== 1) return false;
  }
  return true;
};

export class H2Head {
  method = "";
  /** Origin form, or `*` of OPTIONS. */
  target = "";
  host = "";
  /** As announced; undefined when it was not. */
  lengthBytes: number | undefined;
  expectsContinue = false;
  /** Range or one of the fields of RFC 9110 §13.1 is there. */
  isConditional = false;
  hasRequestId = false;
  refusal: Refusal | undefined;
  /** Name, value, name, value … as they came. */
  readonly #fields: readonly string[];
  #shown: readonly string[] | undefined;
  #hasHost = false;

  constructor(fields: readonly string[], limits: HeadLimits) {
    this.#fields = fields;
    this.#read(limits);
  }

  /** Fields in their order: name, value … `:authority` stands as Host where none was sent (RFC 9113 §8.3.1). */
  get fields(): readonly string[] {
    if (this.#shown) return this.#shown;
    const shown: string[] = [];
    for (let i = 0; i < this.#fields.length; i += 2) {
      const name = this.#fields[i] ?? "";
      if (!name.startsWith(":")) shown.push(name, this.#fields[i + 1] ?? "");
    }
    if (!this.#hasHost) shown.unshift("host", this.host);
    this.#shown = shown;
    return shown;
  }

  /** Value of a field by its lower-case name; repeated ones joined (RFC 9110 §5.3; cookies RFC 9113 §8.2.3). */
  field(name: string): string | undefined {
    let found: string | undefined;
    for (let i = 0; i < this.#fields.length; i += 2) {
      if (this.#fields[i] !== name) continue;
      const value = this.#fields[i + 1] ?? "";
      found = found === undefined ? value : `${found}${name === "cookie" ? ";" : ","} ${value}`;
    }
    return found;
  }

  #read(limits: HeadLimits): void {
    let path = "";
    let authority: string | undefined;
    let host: string | undefined;
    let sizeBytes = 0;
    let count = 0;
    for (let i = 0; i < this.#fields.length; i += 2) {
      const name = this.#fields[i] ?? "";
      const value = this.#fields[i + 1] ?? "";
      sizeBytes += name.length + value.length + ENTRY_BYTES;
      if (name.startsWith(":")) {
        if (!PSEUDO_FIELDS.has(name)) this.#malformed(`it has the pseudo field ${name}`);
        if (name === ":method") this.method = value;
        else if (name === ":path") path = value;
        else if (name === ":authority") authority = value;
        else if (value !== "https" && value !== "http") this.#malformed("its scheme is not https");
        continue;
      }
      count += 1;
      if (name === "host") {
        if (host !== undefined) this.#malformed("it has more than one Host");
        host = value;
      } else this.#known(name, value);
    }
    if (path.length > limits.requestLineBytes) {
      this.#refuse("TARGET_TOO_LONG", { limit: `${limits.requestLineBytes} bytes` });
    }
    if (sizeBytes > limits.headBytes || count > limits.fieldCount) {
      this.#refuse("HEAD_TOO_LARGE", { limit: `${limits.headBytes} bytes or ${limits.fieldCount} fields` });
    }
    this.#methodAndPath(path);
    this.#authority(authority, host);
  }

  /** Fields that the listener itself goes by. */
  #known(name: string, value: string): void {
    switch (name) {
      case "content-length":
        if (this.lengthBytes !== undefined) this.#malformed("it has more than one Content-Length");
        if (!LENGTH.test(value)) this.#malformed("its Content-Length is no length");
        this.lengthBytes = Number(value);
        break;
      case "expect":
        this.expectsContinue = value.toLowerCase() === "100-continue";
        break;
      case "x-request-id":
        this.hasRequestId = true;
        break;
      case "range":
      case "if-match":
      case "if-none-match":
      case "if-modified-since":
      case "if-unmodified-since":
      case "if-range":
        this.isConditional = true;
        break;
      case "connection":
      case "keep-alive":
      case "proxy-connection":
      case "transfer-encoding":
      case "upgrade":
        this.#malformed("it has a field of HTTP/1.1 connections"); // RFC 9113 §8.2.2
        break;
    }
    if (!isAll(value, IS_VALUE)) this.#malformed("a field has a control character");
  }

  #methodAndPath(path: string): void {
    const { method } = this;
    if (!isAll(method, IS_TOKEN) || method === "") this.#malformed("its method is none");
    if (method === "CONNECT" || method === "TRACE") this.#refuse("METHOD_UNKNOWN", { method });
    if (path.charCodeAt(0) !== 0x2f && (path !== "*" || method !== "OPTIONS")) {
      this.#malformed("its target is not a path");
    }
    if (!isAll(path, IS_TARGET)) this.#malformed("its target has bytes that no target has");
    this.target = path;
  }

  /** RFC 9113 §8.3.1: `:authority`, or Host where there is none; never two that differ. */
  #authority(authority: string | undefined, host: string | undefined): void {
    const given = authority ?? host;
    if (given === undefined) this.#malformed("it has no Host");
    else if (!isHost(given)) this.#malformed("its Host is none");
    else if (host !== undefined && host.toLowerCase() !== given.toLowerCase()) {
      this.#malformed("its Host is not its :authority");
    }
    this.host = given ?? "";
    this.#hasHost = host !== undefined;
  }

  /** What is found first counts. */
  #refuse(code: ErrorCode, data: FaultData): void {
    this.refusal ??= { code, data };
  }
  #malformed(reason: string): void {
    this.#refuse("REQUEST_MALFORMED", { reason });
  }
}

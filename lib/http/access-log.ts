/**
 * A line per request, as web servers write them. Lines are gathered and written about once a second, so that they cost
 * next to nothing; when the disk does not follow, lines are dropped and counted, never requests slowed.
 */
import { type FileHandle, open } from "node:fs/promises";
import type { Log } from "../log/log.ts";
import type { RawRequest } from "./exchange.ts";

/** A request that is over. */
export interface AccessEntry {
  readonly request: RawRequest;
  /** 1, or 0 for HTTP/1.0. */
  readonly httpMinor: number;
  /** 499: the client left before an answer was begun. */
  readonly status: number;
  /** Of the answer's body: handed to the connection, which may have lost some of it when the answer is not whole. */
  readonly sentBytes: number;
  readonly tookMs: number;
  /** False: the client left, or was cut, before it had all of it. */
  readonly isWhole: boolean;
}

export interface AccessLogOptions {
  /** `-` is stdout. */
  readonly path: string;
  /** `combined` is Apache's and nginx's format; `json` is an object a line. */
  readonly format: "combined" | "json";
  readonly log: Log;
  /** What is shown of a request's target; by default its path alone: queries hold tokens. */
  readonly shown?: (request: RawRequest) => string;
  readonly flushMs?: number;
  readonly heldBytesMax?: number;
}

export interface AccessLog {
  readonly droppedCount: number;
  note(entry: AccessEntry): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

const FLUSH_MS = 1_000;
const WRITE_CHARS = 64 * 1024;
const HELD_CHARS_MAX = 4 * 1024 * 1024; // 20,000 lines: a second of them
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const NEEDS_ESCAPE = /[^ !#-[\]-~]/;
const ALL_TO_ESCAPE = /[^ !#-[\]-~]/g;
/** As nginx does it: what could end the line or the quotes is `\xNN`. */
const quoted = (text: string): string =>
  NEEDS_ESCAPE.test(text)
    ? text.replace(ALL_TO_ESCAPE, (letter) => `\\x${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`)
    : text;
const jsonText = (text: string): string => (NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`);

const two = (value: number): string => String(value).padStart(2, "0");
const combinedTime = (date: Date): string =>
  `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:` +
  `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;

class LineLog implements AccessLog {
  droppedCount = 0;
  readonly #options: AccessLogOptions;
  readonly #file: FileHandle | undefined;
  readonly #timer: NodeJS.Timeout;
  #held = "";
  #writing: Promise<void> | undefined;
  #hasFailed = false;
  #second = -1;
  #time = "";

  constructor(options: AccessLogOptions, file: FileHandle | undefined) {
    this.#options = options;
    this.#file = file;
    this.#timer = setInterval(() => void this.#flush(), options.flushMs ?? FLUSH_MS).unref();
  }

  note(entry: AccessEntry): void {
    if (this.#held.length > (this.#options.heldBytesMax ?? HELD_CHARS_MAX)) {
      this.droppedCount += 1;
      return;
    }
    this.#held += this.#options.format === "json" ? this.#json(entry) : this.#combined(entry);
    if (this.#held.length > WRITE_CHARS) void this.#flush();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.#flush();
    await this.#file?.close();
  }

  #shown(request: RawRequest): string {
    return this.#options.shown?.(request) ?? request.path;
  }

  #now(format: (date: Date) => string): string {
    const second = Math.floor(Date.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = format(new Date(second * 1_000));
    }
    return this.#time;
  }

  #combined({ request, httpMinor, status, sentBytes }: AccessEntry): string {
    const line = `${request.method} ${quoted(this.#shown(request))} HTTP/1.${httpMinor}`;
    const referer = quoted(request.header("referer") ?? "-");
    const agent = quoted(request.header("user-agent") ?? "-");
    const time = this.#now(combinedTime);
    return `${request.remoteAddress} - - [${time}] "${line}" ${status} ${sentBytes} "${referer}" "${agent}"\n`;
  }

  #json({ request, status, sentBytes, tookMs, isWhole }: AccessEntry): string {
    const time = this.#now((date) => date.toISOString());
    const agent = request.header("user-agent");
    return (
      `{"time":"${time}","address":"${request.remoteAddress}","method":"${request.method}",` +
      `"target":${jsonText(this.#shown(request))},"status":${status},"bytes":${sentBytes},"ms":${tookMs.toFixed(1)}` +
      `${isWhole ? "" : ',"cut":true'}${agent === undefined ? "" : `,"agent":${jsonText(agent)}`}}\n`
    );
  }

  /** One write at a time; what comes meanwhile waits for the next. */
  async #flush(): Promise<void> {
    if (this.#writing || this.#held === "") return;
    const text = this.#held;
    this.#held = "";
    this.#writing = this.#write(text);
    await this.#writing;
    this.#writing = undefined;
  }

  async #write(text: string): Promise<void> {
    try {
      if (this.#file) await this.#file.writeFile(text);
      else process.stdout.write(text);
      this.#hasFailed = false;
    } catch (error) {
      this.droppedCount += text.split("\n").length - 1;
      if (!this.#hasFailed) this.#options.log.error({ err: error, path: this.#options.path }, "access log");
      this.#hasFailed = true;
    }
  }
}

/** Opens it for appending. Rejects when the file can't be. */
export const openAccessLog = async (options: AccessLogOptions): Promise<AccessLog> =>
  new LineLog(options, options.path === "-" ? undefined : await open(options.path, "a"));

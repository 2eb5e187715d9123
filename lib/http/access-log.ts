/**
 * A line per request, as web servers write them. Lines are gathered and written about once a second, so that they cost
 * next to nothing; when the disk does not follow, lines are dropped and counted, never requests slowed.
 */
import { write } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { maskedToken } from "../../domain/signed-url/place.ts";
import type { Log } from "../log/log.ts";
import type { RawRequest } from "./exchange.ts";
import { LogFile } from "./log-file.ts";

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
  /** From the request's head to the answer's; where it is not known, none is shown. */
  readonly firstByteMs?: number;
  /** What the request's handler left, for `details`. */
  readonly context?: unknown;
}

/** What only the handler knows of a request. */
export interface AccessDetails {
  readonly customer?: string;
  /** How the cache answered: `hit`, `miss`, `stale` … */
  readonly cache?: string;
}

/** A line for each of `every` requests. */
export interface AccessSample {
  readonly every: number;
  /** Answers of 4xx and 5xx, and those that were cut, have a line each. */
  readonly errorsAlways: boolean;
}

export interface AccessLogOptions {
  /** `-` is stdout. */
  readonly path: string;
  /** `combined` is Apache's and nginx's format; `json` is an object a line. */
  readonly format: "combined" | "json";
  readonly log: Log;
  /** What is shown of a request's target; by default its path without a token: queries hold tokens too. */
  readonly shown?: (request: RawRequest) => string;
  /**
   * Adds host, customer, how the cache answered and time to first byte: four fields behind the agent's in `combined`
   * (the time in seconds), `host`, `customer`, `cache` and `ttfbMs` in `json`. Undefined: nothing is known.
   */
  readonly details?: (entry: AccessEntry) => AccessDetails | undefined;
  /** By default all requests have a line. A line of `json` that stands for several says so in `sample`. */
  readonly sample?: AccessSample;
  /** The file, when it is full, becomes `<path>.1`, in place of the former one. Not bounded unless told. */
  readonly fileBytesMax?: number;
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
const DROPS_SAID_MS = 60_000;
const CLOSE_MS = 2_000; // a reader of our stdout that has stopped holds up nobody for longer
const STDOUT = 1;
const STDOUT_WAIT_MS = 50;
const STDOUT_TRIES = 40;
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

const writeTo = promisify(write);

/** Not by process.stdout, which waits for the reader of a pipe and lets nothing else happen meanwhile. */
const writeStdout = async (text: string): Promise<void> => {
  const bytes = Buffer.from(text);
  let tries = 0;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += (await writeTo(STDOUT, bytes, at)).bytesWritten;
    } catch (error) {
      tries += 1;
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || tries > STDOUT_TRIES) throw error;
      await pause(STDOUT_WAIT_MS);
    }
  }
};

class LineLog implements AccessLog {
  droppedCount = 0;
  readonly #options: AccessLogOptions;
  readonly #file: LogFile | undefined;
  readonly #timer: NodeJS.Timeout;
  #held = "";
  #writing: Promise<void> | undefined;
  #hasFailed = false;
  #seenCount = 0;
  #saidCount = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  #second = -1;
  #time = "";

  constructor(options: AccessLogOptions, file: LogFile | undefined) {
    this.#options = options;
    this.#file = file;
    this.#timer = setInterval(() => void this.#flush(), options.flushMs ?? FLUSH_MS).unref();
  }

  note(entry: AccessEntry): void {
    const weight = this.#weightOf(entry);
    if (weight === 0) return;
    if (this.#held.length > (this.#options.heldBytesMax ?? HELD_CHARS_MAX)) {
      this.droppedCount += 1;
      return;
    }
    this.#held += this.#options.format === "json" ? this.#json(entry, weight) : this.#combined(entry);
    if (this.#held.length > WRITE_CHARS) void this.#flush();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const ending = new AbortController();
    await Promise.race([this.#finish(), pause(CLOSE_MS, undefined, { signal: ending.signal, ref: false })]);
    ending.abort();
  }

  async #finish(): Promise<void> {
    await this.#writing;
    await this.#flush();
    await this.#file?.close();
    this.#sayDrops(Number.POSITIVE_INFINITY);
  }

  /** How many requests a line stands for; 0: it has none. */
  #weightOf({ status, isWhole }: AccessEntry): number {
    const { sample } = this.#options;
    if (!sample || (sample.errorsAlways && (status >= 400 || !isWhole))) return 1;
    this.#seenCount += 1;
    return this.#seenCount % sample.every === 0 ? sample.every : 0;
  }

  #sayDrops(nowMs: number): void {
    if (this.droppedCount === this.#saidCount || nowMs - this.#saidAtMs < DROPS_SAID_MS) return;
    const count = this.droppedCount - this.#saidCount;
    this.#options.log.warn({ count, path: this.#options.path }, "access log: lines were dropped");
    this.#saidCount = this.droppedCount;
    this.#saidAtMs = nowMs;
  }

  #shown(request: RawRequest): string {
    return this.#options.shown?.(request) ?? maskedToken(request.path);
  }

  #now(format: (date: Date) => string): string {
    const second = Math.floor(Date.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = format(new Date(second * 1_000));
    }
    return this.#time;
  }

  #combined(entry: AccessEntry): string {
    const { request, httpMinor, status, sentBytes } = entry;
    const line = `${request.method} ${quoted(this.#shown(request))} HTTP/1.${httpMinor}`;
    const referer = quoted(maskedToken((request.header("referer") ?? "-").replace(/\?.*$/s, "")));
    const agent = quoted(request.header("user-agent") ?? "-");
    const time = this.#now(combinedTime);
    const more = this.#options.details ? ` ${this.#combinedDetails(entry)}` : "";
    return `${request.remoteAddress} - - [${time}] "${line}" ${status} ${sentBytes} "${referer}" "${agent}"${more}\n`;
  }

  #combinedDetails(entry: AccessEntry): string {
    const { customer = "-", cache = "-" } = this.#options.details?.(entry) ?? {};
    const seconds = entry.firstByteMs === undefined ? "-" : (entry.firstByteMs / 1_000).toFixed(3);
    return `"${quoted(entry.request.host)}" "${quoted(customer)}" "${quoted(cache)}" ${seconds}`;
  }

  #jsonDetails(entry: AccessEntry): string {
    const { customer, cache } = this.#options.details?.(entry) ?? {};
    return (
      `,"host":${jsonText(entry.request.host)}` +
      (customer === undefined ? "" : `,"customer":${jsonText(customer)}`) +
      (cache === undefined ? "" : `,"cache":${jsonText(cache)}`) +
      (entry.firstByteMs === undefined ? "" : `,"ttfbMs":${entry.firstByteMs.toFixed(1)}`)
    );
  }

  #json(entry: AccessEntry, weight: number): string {
    const { request, status, sentBytes, tookMs, isWhole } = entry;
    const time = this.#now((date) => date.toISOString());
    const agent = request.header("user-agent");
    return (
      `{"time":"${time}","address":"${request.remoteAddress}","method":"${request.method}",` +
      `"target":${jsonText(this.#shown(request))},"status":${status},"bytes":${sentBytes},"ms":${tookMs.toFixed(1)}` +
      `${isWhole ? "" : ',"cut":true'}${agent === undefined ? "" : `,"agent":${jsonText(agent)}`}` +
      `${this.#options.details ? this.#jsonDetails(entry) : ""}${weight === 1 ? "" : `,"sample":${weight}`}}\n`
    );
  }

  /** One write at a time; what comes meanwhile waits for the next. */
  async #flush(): Promise<void> {
    this.#sayDrops(performance.now());
    if (this.#writing || this.#held === "") return;
    const text = this.#held;
    this.#held = "";
    this.#writing = this.#write(text);
    await this.#writing;
    this.#writing = undefined;
  }

  async #write(text: string): Promise<void> {
    try {
      if (this.#file) await this.#file.write(text);
      else await writeStdout(text);
      this.#hasFailed = false;
    } catch (error) {
      this.droppedCount += text.split("\n").length - 1;
      if (!this.#hasFailed) this.#options.log.error({ err: error, path: this.#options.path }, "access log");
      this.#hasFailed = true;
    }
  }
}

/** Opens it for appending. Rejects when the file can't be opened. */
export const openAccessLog = async (options: AccessLogOptions): Promise<AccessLog> => {
  const { path, fileBytesMax = Number.POSITIVE_INFINITY } = options;
  return new LineLog(options, path === "-" ? undefined : await LogFile.open(path, fileBytesMax));
};

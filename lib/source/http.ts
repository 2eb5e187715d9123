/**
 * Files of an HTTP(S) server. An open asks for the first 64 KiB at once: size, version and what a reader of MP4 wants
 * first come in one answer. Each later range carries If-Match where there is a strong ETag, and each answer is
 * compared.
 */
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { type ErrorCode, fail } from "../../contracts/errors.ts";
import { ADDRESS_REFUSED } from "../http/outgoing-agents.ts";
import { readInto, writeBody } from "./body.ts";
import { copyRanges, intoNewFile } from "./copy.ts";
import { Exchanges } from "./exchanges.ts";
import { refuseList } from "./faults.ts";
import { codeOfStatus, lengthOf, parseContentRange, statOfAnswer } from "./http-answer.ts";
import { forget, HttpClient } from "./http-client.ts";
import { checkedSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceCapabilities, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { type Opened, RangedObject, WholeObject } from "./ranged-object.ts";
import type { HttpSettings, SourceTools } from "./settings.ts";
import { mustBeSame } from "./versions.ts";
import { limitsOf, type NetworkLimits, type Watch, type Watched } from "./watch.ts";

const CONNECTIONS_MAX = 32;
const HEAD_BYTES = 64 * 1024;
/** Of a server that ignores ranges, a file up to this size is held whole: playlists, subtitles, SMIL. */
const HELD_BYTES_MAX = 1024 * 1024;
const COPY_WINDOWS = 3;
const IDENTITY = { "accept-encoding": "identity" };

interface Get {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly watch: Watch;
}

interface Begun {
  readonly stat: SourceStat;
  /** From the file's beginning; null: its ranges can't be had. */
  readonly held: Uint8Array | null;
}

const refuse = (response: IncomingMessage, path: string): never => {
  const status = response.statusCode ?? 0;
  const code = codeOfStatus(status);
  if (code === "SOURCE_FAILED") throw new Error(`it answers ${status}`);
  return fail(code, { path });
};

/** Of a redirect to where it may not lead. */
const codeOfAddress = (error: unknown): ErrorCode | undefined =>
  (error as { code?: unknown }).code === ADDRESS_REFUSED ? "SOURCE_DENIED" : undefined;

/** A coded body is not the file's bytes, whatever its range says. */
const checkCoding = ({ headers }: IncomingMessage): void => {
  const coding = headers["content-encoding"] ?? "identity";
  if (coding !== "identity") throw new Error(`it answers in the coding ${coding} that nobody asked for`);
};

export class HttpSource implements ContentSource {
  readonly kind = "http";
  readonly #limits: NetworkLimits;
  readonly #client: HttpClient;
  readonly #exchanges: Exchanges;
  readonly #tools: SourceTools;
  #ranges = true;

  constructor(settings: HttpSettings, tools: SourceTools, ca?: string) {
    this.#limits = limitsOf(tools, CONNECTIONS_MAX);
    this.#tools = tools;
    this.#exchanges = new Exchanges({ kind: this.kind, log: tools.log, limits: this.#limits, known: codeOfAddress });
    const allowPrivateSources = tools.allowPrivateSources ?? [];
    this.#client = new HttpClient({ base: new URL(settings.url), limits: this.#limits, allowPrivateSources, ca });
  }

  /** `ranges` is true until the server answered a range with the whole of a big file. */
  get capabilities(): SourceCapabilities {
    return { ranges: this.#ranges, list: false, strongVersion: false };
  }

  stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#attempt({ path, signal, bytes: 0 }, async (watch) => {
      const response = await this.#client.ask({ method: "HEAD", path, headers: IDENTITY, watch });
      forget(response, this.#limits.idleTimeoutMs);
      const { statusCode = 0, headers } = response;
      const length = lengthOf(headers);
      if (statusCode === 200 && length !== null) return statOfAnswer(headers, length);
      // RFC 9110 §9.3.2: HEAD may leave out the length; and there are servers that do not take it at all.
      if (statusCode !== 200 && statusCode !== 405 && statusCode !== 501) refuse(response, path);
      return (await this.#begin(path, 1, watch)).stat;
    });
  }

  open(path: string, { signal }: ReadOptions = {}): Promise<SourceObject> {
    return this.#attempt({ path, signal, bytes: HELD_BYTES_MAX }, async (watch) => {
      const { held, stat } = await this.#begin(path, HEAD_BYTES, watch);
      if (held !== null) return new RangedObject({ path, stat, held }, { read: (...part) => this.#readPart(...part) });
      if (this.#ranges) {
        this.#ranges = false;
        this.#tools.log.warn({ path }, "http source: the server ignores ranges; big files are fetched whole");
      }
      return new WholeObject(this.kind, path, stat);
    });
  }

  // biome-ignore lint/correctness/useYield: there is nothing to give
  async *list(path: string): AsyncIterable<SourceEntry> {
    refuseList(this.kind, path);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    const object = await this.open(path, options);
    try {
      if (!object.wholeOnly) return await copyRanges(object, file, { ...options, windows: COPY_WINDOWS });
      return await intoNewFile(file, (handle) =>
        this.#attempt({ path, signal: options.signal, bytes: null }, (watch) =>
          this.#get({ path, headers: IDENTITY, watch }, async (response) => {
            if (response.statusCode !== 200) refuse(response, path);
            const { bytes, isWhole } = await writeBody(response, handle, watch);
            if (!isWhole) fail("SOURCE_TRUNCATED", { path });
            return statOfAnswer(response.headers, bytes);
          }),
        ),
      );
    } finally {
      await object.close();
    }
  }

  async close(): Promise<void> {
    this.#exchanges.close();
    this.#client.close();
  }

  /** The first `bytes` of a file, with all that the answer says of it. */
  #begin(path: string, bytes: number, watch: Watch): Promise<Begun> {
    const headers = { ...IDENTITY, range: `bytes=0-${bytes - 1}` };
    return this.#get({ path, headers, watch }, async (response) => {
      const range = parseContentRange(response.headers["content-range"]);
      if (response.statusCode === 416 && range?.totalBytes === 0) {
        forget(response, this.#limits.idleTimeoutMs);
        return { stat: statOfAnswer(response.headers, 0), held: new Uint8Array(0) };
      }
      if (response.statusCode === 200) return this.#beginWhole(path, response, watch);
      if (response.statusCode !== 206) refuse(response, path);
      if (range?.range?.start !== 0 || range.totalBytes === null) throw new Error("its Content-Range makes no sense");
      const held = new Uint8Array(Math.min(bytes, range.range.end + 1));
      const { bytes: got } = await readInto(response, held, watch);
      if (got !== held.length) fail("SOURCE_TRUNCATED", { path });
      return { stat: statOfAnswer(response.headers, range.totalBytes), held };
    });
  }

  /** A range was answered with the whole: it may be all that there is, or the server has no ranges. */
  async #beginWhole(path: string, response: IncomingMessage, watch: Watch): Promise<Begun> {
    const length = lengthOf(response.headers);
    if (length !== null && length > HELD_BYTES_MAX) {
      response.destroy();
      return { stat: statOfAnswer(response.headers, length), held: null };
    }
    const target = new Uint8Array(length ?? HELD_BYTES_MAX);
    const { bytes, isWhole } = await readInto(response, target, watch);
    if (!isWhole || (length !== null && bytes !== length)) fail("SOURCE_TRUNCATED", { path });
    return { stat: statOfAnswer(response.headers, bytes), held: target.slice(0, bytes) };
  }

  /** A server may answer a range with its beginning alone (RFC 9110 §15.3.7): the rest is asked for again. */
  #readPart(opened: Opened, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    return this.#attempt({ path: opened.path, signal, bytes: target.length }, async (watch) => {
      for (let done = 0; done < target.length; ) {
        done += await this.#readSome(opened, offset + done, target.subarray(done), watch);
        watch.connecting();
      }
    });
  }

  #readSome({ path, stat }: Opened, offset: number, target: Uint8Array, watch: Watch): Promise<number> {
    const headers: Record<string, string> = { ...IDENTITY, range: `bytes=${offset}-${offset + target.length - 1}` };
    if (stat.etag !== null) headers["if-match"] = stat.etag;
    return this.#get({ path, headers, watch }, async (response) => {
      const range = parseContentRange(response.headers["content-range"]);
      const { statusCode } = response;
      if (statusCode === 416 && range?.totalBytes !== stat.sizeBytes) fail("SOURCE_CHANGED", { path });
      if (statusCode === 200) {
        const sizeBytes = lengthOf(response.headers) ?? stat.sizeBytes;
        mustBeSame(path, stat, statOfAnswer(response.headers, sizeBytes));
      }
      if (statusCode !== 206) refuse(response, path);
      if (range?.totalBytes === null || !range?.range) throw new Error("its Content-Range makes no sense");
      mustBeSame(path, stat, statOfAnswer(response.headers, range.totalBytes));
      const { start, end } = range.range;
      if (start !== offset || end - start >= target.length) throw new Error("it answers with another range");
      const { bytes } = await readInto(response, target.subarray(0, end - start + 1), watch);
      return bytes > end - start ? bytes : fail("SOURCE_TRUNCATED", { path });
    });
  }

  /** An answer and what is made of it. However that ends, the connection is not left with a body that nobody reads. */
  async #get<T>(ask: Get, work: (response: IncomingMessage) => Promise<T>): Promise<T> {
    const response = await this.#client.ask({ method: "GET", ...ask });
    try {
      if (response.statusCode === 200 || response.statusCode === 206) checkCoding(response);
      return await work(response);
    } catch (error) {
      if (!response.readableEnded) forget(response, this.#limits.idleTimeoutMs);
      throw error;
    }
  }

  async #attempt<T>(ask: Watched, work: (watch: Watch) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    return this.#exchanges.run(ask, work);
  }
}

/** The source, with its authorities' file read. */
export const openHttp = async (settings: HttpSettings, tools: SourceTools): Promise<HttpSource> => {
  const { caFile } = settings;
  return new HttpSource(settings, tools, caFile ? await readFile(caFile, "utf8") : undefined);
};

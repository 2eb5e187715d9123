/**
 * A bucket of S3, or of a server that speaks like it: ranges by GetObject, each with If-Match of the version that was
 * opened.
 */

import type { Readable } from "node:stream";
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { type ErrorCode, fail } from "../../contracts/errors.ts";
import { systemClock } from "../clock.ts";
import { readInto } from "./body.ts";
import { copyRanges } from "./copy.ts";
import { Exchanges } from "./exchanges.ts";
import { parseContentRange } from "./http-answer.ts";
import { checkedFolderPath, checkedSourcePath, childPath, inListOrder, isSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { type Opened, RangedObject } from "./ranged-object.ts";
import { isArchivedError, S3Archive } from "./s3-archive.ts";
import { makeS3Client } from "./s3-client.ts";
import type { S3Settings, SourceTools } from "./settings.ts";
import { mustBeSame, versionOf } from "./versions.ts";
import { limitsOf, type Watch, type Watched } from "./watch.ts";

const CONNECTIONS_MAX = 32;
const HEAD_BYTES = 64 * 1024;
const COPY_WINDOWS = 3;
const ATTEMPTS_MAX = 2;
const PAGE_ENTRIES = 1000;
const PAGE_BYTES = 4 * 1024 * 1024; // 1,000 keys of 1,024 bytes, percent-encoded

const CODES: Readonly<Record<string, ErrorCode>> = {
  NoSuchKey: "SOURCE_NOT_FOUND",
  NotFound: "SOURCE_NOT_FOUND",
  PreconditionFailed: "SOURCE_CHANGED",
  CredentialsProviderError: "SOURCE_DENIED",
  TimeoutError: "SOURCE_TIMEOUT",
};
const CODES_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: "SOURCE_DENIED",
  403: "SOURCE_DENIED",
  412: "SOURCE_CHANGED",
};

interface SdkError {
  readonly name?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}
const statusOf = (error: unknown): number => (error as SdkError).$metadata?.httpStatusCode ?? 0;
const codeOfSdk = (error: unknown): ErrorCode | undefined =>
  CODES[(error as SdkError).name ?? ""] ?? CODES_OF_STATUS[statusOf(error)];

interface Described {
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
}

const statOfObject = ({ ETag, LastModified }: Described, sizeBytes: number): SourceStat => ({
  sizeBytes,
  modifiedMs: LastModified?.getTime() ?? null,
  etag: ETag ?? null,
  version: versionOf("etag", ETag ?? null, ETag === undefined ? (LastModified?.getTime() ?? null) : null, sizeBytes),
});

const clientOf = (settings: S3Settings, tools: SourceTools): S3Client => {
  const { connectionsMax, connectTimeoutMs } = limitsOf(tools, CONNECTIONS_MAX);
  const pathStyle = settings.pathStyle ?? settings.endpoint !== null;
  return makeS3Client({ ...settings, pathStyle }, { connectionsMax, connectTimeoutMs, attemptsMax: ATTEMPTS_MAX });
};

export class S3Source implements ContentSource {
  readonly kind = "s3";
  readonly capabilities = { ranges: true, list: true, strongVersion: true };
  readonly #client: S3Client;
  readonly #exchanges: Exchanges;
  readonly #archive: S3Archive;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(settings: S3Settings, tools: SourceTools) {
    const { log, clock = systemClock } = tools;
    const limits = limitsOf(tools, CONNECTIONS_MAX);
    // The client does not say when it is connected: until the head of an answer both times count.
    const connectTimeoutMs = limits.connectTimeoutMs + limits.idleTimeoutMs;
    this.#exchanges = new Exchanges({
      kind: this.kind,
      log,
      limits: { ...limits, connectTimeoutMs },
      known: codeOfSdk,
    });
    this.#client = clientOf(settings, tools);
    this.#bucket = settings.bucket;
    this.#prefix = settings.prefix === "" ? "" : `${settings.prefix}/`;
    const { restore = null } = settings;
    this.#archive = new S3Archive({ client: this.#client, bucket: this.#bucket, restore, log, clock });
  }

  stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#attempt({ path, signal, bytes: 0 }, (watch) => this.#stat(path, watch));
  }

  open(path: string, { signal }: ReadOptions = {}): Promise<SourceObject> {
    return this.#attempt({ path, signal, bytes: HEAD_BYTES }, async (watch) => {
      const opened = await this.#begin(path, watch);
      return new RangedObject(opened, { read: (...part) => this.#readPart(...part) });
    });
  }

  async *list(path: string, { signal }: ReadOptions = {}): AsyncIterable<SourceEntry> {
    checkedFolderPath(path);
    const folder = path === "" ? this.#prefix : `${this.#prefix}${path}/`;
    let from: string | undefined;
    do {
      const ask = { path, signal, bytes: PAGE_BYTES };
      const page: ListObjectsV2CommandOutput = await this.#exchanges.run(ask, (watch) =>
        this.#page(folder, from, watch),
      );
      const entries = entriesOf(page, path, folder);
      if (from === undefined && path !== "" && !hasKeys(page)) fail("SOURCE_NOT_FOUND", { path });
      yield* inListOrder(entries);
      const next = page.IsTruncated ? page.NextContinuationToken : undefined;
      from = next === from ? undefined : next; // some servers give the last token again
    } while (from !== undefined);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    const object = await this.open(path, options);
    return copyRanges(object, file, { ...options, windows: COPY_WINDOWS });
  }

  async close(): Promise<void> {
    this.#exchanges.close();
    this.#client.destroy();
  }

  #keyOf(path: string): string {
    return this.#prefix + path;
  }

  async #stat(path: string, watch: Watch): Promise<SourceStat> {
    const command = new HeadObjectCommand({ Bucket: this.#bucket, Key: this.#keyOf(path) });
    const head = await watch.race(this.#client.send(command, { abortSignal: watch.signal }));
    if (head.ContentLength === undefined) throw new Error("it does not tell the size");
    return statOfObject(head, head.ContentLength);
  }

  async #begin(path: string, watch: Watch): Promise<Opened> {
    try {
      const how = { Range: `bytes=0-${HEAD_BYTES - 1}` };
      return await this.#get({ path, how, watch }, async (answer, body) => {
        const range = parseContentRange(answer.ContentRange);
        const sizeBytes = range?.totalBytes ?? answer.ContentLength;
        if (sizeBytes === undefined || (range?.range?.start ?? 0) !== 0) throw new Error("its range makes no sense");
        const held = new Uint8Array(Math.min(HEAD_BYTES, sizeBytes));
        const { bytes } = await readInto(body, held, watch);
        if (bytes !== held.length) fail("SOURCE_TRUNCATED", { path });
        return { path, stat: statOfObject(answer, sizeBytes), held };
      });
    } catch (error) {
      if (statusOf(error) !== 416) throw error;
      const stat = await this.#stat(path, watch); // of an empty object no range can be satisfied
      if (stat.sizeBytes > 0) throw error;
      return { path, stat, held: new Uint8Array(0) };
    }
  }

  #readPart({ path, stat }: Opened, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    return this.#attempt({ path, signal, bytes: target.length }, async (watch) => {
      const last = offset + target.length - 1;
      const match = stat.etag === null ? {} : { IfMatch: stat.etag };
      const how = { Range: `bytes=${offset}-${last}`, ...match };
      await this.#get({ path, how, watch }, async (answer, body) => {
        const range = parseContentRange(answer.ContentRange);
        if (!range?.range || range.totalBytes === null) throw new Error("its range makes no sense");
        mustBeSame(path, stat, statOfObject(answer, range.totalBytes));
        if (range.range.start !== offset || range.range.end !== last) throw new Error("it answers with another range");
        const { bytes } = await readInto(body, target, watch);
        if (bytes !== target.length) fail("SOURCE_TRUNCATED", { path });
      });
    });
  }

  /** An answer and what is made of it. However that ends, the connection is not left with a body that nobody reads. */
  async #get<T>({ path, how, watch }: Get, work: (answer: GetObjectCommandOutput, body: Readable) => Promise<T>) {
    this.#archive.check(path);
    const Key = this.#keyOf(path);
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key, ...how });
    let body: Readable | undefined;
    try {
      const answer = await watch.race(this.#client.send(command, { abortSignal: watch.signal }));
      watch.connected();
      body = bodyOf(answer);
      return await work(answer, body);
    } catch (error) {
      body?.destroy();
      if (!watch.signal.aborted && isArchivedError(error)) return this.#archive.refuse(path, Key, watch);
      throw error;
    }
  }

  #page(folder: string, from: string | undefined, watch: Watch): Promise<ListObjectsV2CommandOutput> {
    const command = new ListObjectsV2Command({
      Bucket: this.#bucket,
      Prefix: folder,
      Delimiter: "/",
      // No EncodingType: s3proxy encodes its continuation token too, and does not know it again.
      MaxKeys: PAGE_ENTRIES,
      ...(from === undefined ? {} : { ContinuationToken: from }),
    });
    return watch.race(this.#client.send(command, { abortSignal: watch.signal }));
  }

  async #attempt<T>(ask: Watched, work: (watch: Watch) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    return this.#exchanges.run(ask, work);
  }
}

interface Get {
  readonly path: string;
  readonly how: { readonly Range: string; readonly IfMatch?: string };
  readonly watch: Watch;
}

const bodyOf = ({ Body }: GetObjectCommandOutput): Readable => {
  if (Body === undefined) throw new Error("it answers without a body");
  return Body as Readable; // in Node
};

const hasKeys = ({ Contents = [], CommonPrefixes = [] }: ListObjectsV2CommandOutput): boolean =>
  Contents.length + CommonPrefixes.length > 0;

/** What can be asked for of a page; the folder's own marker is left out. */
const entriesOf = (page: ListObjectsV2CommandOutput, path: string, folder: string): SourceEntry[] => {
  const nameOf = (key: string | undefined): string => (key ?? "").slice(folder.length);
  const files = (page.Contents ?? []).map(({ Key, Size }): SourceEntry => {
    return { path: childPath(path, nameOf(Key)), kind: "file", sizeBytes: Size ?? null };
  });
  const folders = (page.CommonPrefixes ?? []).map(({ Prefix }): SourceEntry => {
    return { path: childPath(path, nameOf(Prefix).replace(/\/$/, "")), kind: "folder", sizeBytes: null };
  });
  return [...files, ...folders].filter((entry) => isSourcePath(entry.path) && entry.path !== path);
};

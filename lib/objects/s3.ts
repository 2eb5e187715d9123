/** Objects of S3, or of a server that speaks like it; a bucket for each of ours, by the operator's prefix. */
import { Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log/log.ts";
import { intoNewFile, writeAll } from "../source/copy.ts";
import { S3Source } from "../source/s3.ts";
import { makeS3Client, type S3Account } from "../source/s3-client.ts";
import { limitsOf } from "../source/watch.ts";
import { BaseStore, mustFit } from "./base.ts";
import { asForeign } from "./faults.ts";
import { bucketName, checkedKey, checkedPrefix, clipped, isKey } from "./keys.ts";
import {
  type Asked,
  BUCKETS,
  type Bucket,
  type ByteRange,
  type Composition,
  type GetOptions,
  type ListOptions,
  type ObjectInput,
  type ObjectName,
  type ObjectStat,
  type ObjectStore,
  type PartStat,
  type PutFileOptions,
  type PutOptions,
} from "./port.ts";
import { makeBuckets, sweepUploads } from "./s3-buckets.ts";
import { S3Calls, sdkNameOf } from "./s3-calls.ts";
import { composeObject } from "./s3-compose.ts";
import { putBody, putFile, putTarget } from "./s3-put.ts";
import { type Answer, chunksOf, getObject, objectStat, type Reading } from "./s3-read.ts";
import type { Target } from "./s3-upload.ts";

export interface S3Objects extends S3Account {
  readonly bucketPrefix: string;
}

export interface S3Tools {
  readonly log: Log;
  readonly clock: Clock;
  readonly connectTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  /** Above it a copy is made in parts; S3 copies 5 GiB at once. */
  readonly copyBytesMax?: number;
}

const CONNECTIONS_MAX = 32;
const ATTEMPTS_MAX = 3;
const COPY_BYTES_MAX = 5 * 2 ** 30;
const DELETED_AT_ONCE = 1000;
const SWEEP_MS = 3_600_000;
const INPUT_SECONDS = 24 * 3600; // a transcode of a long film by a slow machine

export class S3Store extends BaseStore implements ObjectStore {
  readonly kind = "s3";
  readonly #settings: S3Objects;
  readonly #tools: S3Tools;
  readonly #calls: S3Calls;
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(settings: S3Objects, tools: S3Tools) {
    const { endpoint, region, credentials, pathStyle, bucketPrefix } = settings;
    const account = { endpoint, region, credentials, pathStyle, prefix: "" };
    super((name) => new S3Source({ kind: "s3", ...account, bucket: bucketName(bucketPrefix, name) }, tools));
    this.#settings = settings;
    this.#tools = tools;
    const limits = limitsOf(tools, CONNECTIONS_MAX);
    const { connectTimeoutMs, connectionsMax } = limits;
    const client = makeS3Client(settings, { connectionsMax, connectTimeoutMs, attemptsMax: ATTEMPTS_MAX });
    this.#calls = new S3Calls(client, { log: tools.log, limits });
  }

  protected putBody(name: ObjectName, body: Uint8Array | Readable, options: PutOptions): Promise<ObjectStat> {
    return this.#put(name, options, (target) => putBody(target, body));
  }

  putFile(name: ObjectName, file: string, options: PutFileOptions = {}): Promise<ObjectStat> {
    return this.#put(name, options, (target) => putFile(target, file));
  }

  async head(name: ObjectName, { signal }: Asked = {}): Promise<ObjectStat | null> {
    const command = new HeadObjectCommand({ Bucket: this.#bucket(name.bucket), Key: checkedKey(name.key) });
    const { client } = this.#calls;
    return this.#calls.ask({ name, signal }, async (abortSignal) => {
      try {
        const head = await client.send(command, { abortSignal });
        return objectStat(name.key, head, head.ContentLength ?? fail("OBJECT_STORE_DOWN"));
      } catch (error) {
        if (sdkNameOf(error) === "NotFound" || sdkNameOf(error) === "NoSuchKey") return null;
        throw error;
      }
    });
  }

  get(
    name: ObjectName,
    { range, ifMatch, signal }: GetOptions = {},
  ): Promise<{ readonly stat: ObjectStat; readonly body: Readable }> {
    const reading = this.#reading(name, signal);
    return this.#calls.attempt({ name, signal }, async () => {
      clipped(range, Number.MAX_SAFE_INTEGER); // one that makes no sense is a bug
      const answer = range?.lengthBytes === 0 ? null : await this.#answer(reading, range, ifMatch);
      if (answer !== null) return { stat: answer.stat, body: this.#body(reading, answer, range?.offset ?? 0) };
      const stat = await this.need(name, signal ? { signal } : {}); // no byte of it is asked for
      if (ifMatch !== undefined && ifMatch !== stat.etag) fail("OBJECT_CHANGED", { key: name.key });
      return { stat, body: Readable.from([]) };
    });
  }

  async getBytes(
    name: ObjectName,
    { bytesMax, ...asked }: Asked & { readonly bytesMax: number },
  ): Promise<{ readonly stat: ObjectStat; readonly bytes: Buffer }> {
    const { stat, body } = await this.get(name, asked);
    try {
      mustFit(stat, bytesMax);
    } catch (error) {
      body.destroy();
      throw error;
    }
    return { stat, bytes: Buffer.concat(await body.toArray()) };
  }

  fetchTo(name: ObjectName, file: string, asked: Asked = {}): Promise<ObjectStat> {
    return this.#calls.attempt({ name, signal: asked.signal }, async () => {
      const { stat, body } = await this.get(name, asked);
      try {
        return await intoNewFile(file, async (handle) => {
          let at = 0;
          for await (const chunk of body) {
            await writeAll(handle, chunk, at).catch(asForeign);
            at += chunk.length;
          }
          return stat;
        });
      } catch (error) {
        body.destroy();
        if (typeof (error as { code?: unknown }).code === "string" && (error as { syscall?: unknown }).syscall) {
          asForeign(error); // of the local file
        }
        throw error;
      }
    });
  }

  compose({ bucket, parts }: Composition, to: ObjectName, asked: Asked = {}): Promise<ObjectStat> {
    for (const { key } of [...parts, to]) checkedKey(key);
    return this.#calls.attempt({ name: to, signal: asked.signal }, async () => {
      const read = async ({ key, etag }: PartStat, range: ByteRange): Promise<Buffer> => {
        const { body } = await this.get({ bucket, key }, { range, ifMatch: etag, ...asked });
        return Buffer.concat(await body.toArray());
      };
      const sources = { bucket: this.#bucket(bucket), parts, read };
      await composeObject(sources, this.#target(to, asked), this.#tools.copyBytesMax ?? COPY_BYTES_MAX);
      return this.need(to, asked);
    });
  }

  async delete(bucket: Bucket, keys: readonly string[]): Promise<void> {
    for (const key of keys) checkedKey(key);
    const { client } = this.#calls;
    for (let at = 0; at < keys.length; at += DELETED_AT_ONCE) {
      const some = keys.slice(at, at + DELETED_AT_ONCE);
      const name = { bucket, key: some[0] ?? "" };
      const command = new DeleteObjectsCommand({
        Bucket: this.#bucket(bucket),
        Delete: { Objects: some.map((Key) => ({ Key })), Quiet: true },
      });
      await this.#calls.ask({ name, signal: undefined }, async (abortSignal) => {
        const { Errors = [] } = await client.send(command, { abortSignal });
        const failed = Errors.find(({ Code }) => Code !== "NoSuchKey");
        if (failed) throw new Error(`${failed.Code} for ${failed.Key}`);
      });
    }
  }

  async *list(bucket: Bucket, { prefix = "", after = "" }: ListOptions = {}): AsyncIterable<ObjectStat> {
    checkedPrefix(prefix);
    let from: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#page(bucket, { prefix, after, from });
      for (const { Key = "", Size, ETag, LastModified } of page.Contents ?? []) {
        if (isKey(Key) && Size !== undefined) yield objectStat(Key, { ETag, LastModified }, Size);
      }
      const next = page.IsTruncated ? page.NextContinuationToken : undefined;
      from = next === from ? undefined : next; // some servers give the last token again
    } while (from !== undefined);
  }

  async input(name: ObjectName): Promise<ObjectInput> {
    await this.need(name, {});
    const command = new GetObjectCommand({ Bucket: this.#bucket(name.bucket), Key: name.key });
    const url = await this.#calls.attempt({ name, signal: undefined }, () =>
      getSignedUrl(this.#calls.client, command, { expiresIn: INPUT_SECONDS }),
    );
    return { url, protocols: url.startsWith("https:") ? ["https", "tls", "tcp"] : ["http", "tcp"] };
  }

  async ping(): Promise<void> {
    const { bucketPrefix, region } = this.#settings;
    const buckets = BUCKETS.map((bucket) => bucketName(bucketPrefix, bucket));
    await makeBuckets(this.#calls, { region, buckets });
    const nowMs = this.#tools.clock.nowMs();
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    // Not every server lists uploads: what can't be swept is in the log, and no reason to be down.
    for (const bucket of buckets) await sweepUploads(this.#calls, bucket, nowMs).catch(() => {});
  }

  override async close(): Promise<void> {
    this.#calls.close();
    this.#calls.client.destroy();
    await super.close();
  }

  #bucket(bucket: Bucket): string {
    return bucketName(this.#settings.bucketPrefix, bucket);
  }

  #reading(name: ObjectName, signal: AbortSignal | undefined): Reading {
    checkedKey(name.key);
    return { calls: this.#calls, bucket: this.#bucket(name.bucket), name, signal };
  }

  /** Null: the object has no byte there. */
  #answer(reading: Reading, range: ByteRange | undefined, ifMatch: string | undefined): Promise<Answer | null> {
    const last = range === undefined ? 0 : range.offset + range.lengthBytes - 1;
    return getObject(reading, { range: range === undefined ? null : `bytes=${range.offset}-${last}`, ifMatch });
  }

  #body(reading: Reading, answer: Answer, offset: number): Readable {
    const body = Readable.from(chunksOf(reading, answer, offset), { objectMode: false });
    body.once("close", () => answer.body.destroy()); // also where nobody began to read
    return body;
  }

  #target(name: ObjectName, options: PutOptions): Target {
    const place = { calls: this.#calls, bucket: this.#bucket(name.bucket), name };
    return putTarget(place, options, () => this.mustHold(name, options));
  }

  /** Gives what is there afterwards: the times are the server's. */
  #put(name: ObjectName, options: PutOptions, send: (target: Target) => Promise<string | null>): Promise<ObjectStat> {
    checkedKey(name.key);
    const { signal } = options;
    return this.#calls.attempt({ name, signal }, async () => {
      const target = this.#target(name, options);
      await target.check(); // before the bytes: most that fail do so here
      const etag = await send(target);
      const stat = await this.need(name, signal ? { signal } : {});
      return etag === null ? stat : { ...stat, etag };
    });
  }

  #page(
    bucket: Bucket,
    { prefix, after, from }: { readonly prefix: string; readonly after: string; readonly from: string | undefined },
  ): Promise<ListObjectsV2CommandOutput> {
    const command = new ListObjectsV2Command({
      Bucket: this.#bucket(bucket),
      // No EncodingType: s3proxy encodes its continuation token too, and does not know it again.
      ...(prefix === "" ? {} : { Prefix: prefix }),
      ...(after === "" ? {} : { StartAfter: after }),
      ...(from === undefined ? {} : { ContinuationToken: from }),
    });
    const name = { bucket, key: prefix };
    return this.#calls.ask({ name, signal: undefined }, (abortSignal) =>
      this.#calls.client.send(command, { abortSignal }),
    );
  }
}

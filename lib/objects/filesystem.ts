/**
 * Objects as files of a folder: `{root}/{prefix}-{bucket}/{key}`. What has a name is whole: bodies are written and
 * synced in `{root}/.staging` and then get their names by rename(2), or link(2) where there may be no object yet; the
 * folder is synced before `put` resolves. No file is ever written to under its name, so an inode is a version: the
 * ETag is made of inode, size and times.
 */
import * as fs from "node:fs";
import { access, type FileHandle, link, lstat, mkdir, open, realpath, rename, rmdir, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log/log.ts";
import { intoNewFile, writeAll } from "../source/copy.ts";
import { reasonOf } from "../source/faults.ts";
import { FilesystemSource } from "../source/filesystem.ts";
import { versionOf } from "../source/versions.ts";
import { BaseStore, mustFit } from "./base.ts";
import { asForeign, asObjectFault, errnoOf, ForeignError } from "./faults.ts";
import { listFolder } from "./filesystem-list.ts";
import { bucketName, checkedKey, checkedPrefix, clipped } from "./keys.ts";
import {
  type Asked,
  BUCKETS,
  type Bucket,
  type Composition,
  type GetOptions,
  type ListOptions,
  type ObjectInput,
  type ObjectName,
  type ObjectStat,
  type ObjectStore,
  type PutFileOptions,
  type PutOptions,
} from "./port.ts";
import { type Body, makeFolders, stage, sweepStaging, syncFolder } from "./staging.ts";

interface FilesystemObjects {
  readonly root: string;
  readonly bucketPrefix: string;
}

const READ_BYTES = 256 * 1024;
const WINDOW_BYTES = 4 * 1024 * 1024;
const SWEEP_MS = 3_600_000;
/** A folder may be pruned between the moment that it was made and the rename into it, again and again. */
const NAME_ATTEMPTS = 20;
const NOT_THERE = ["ENOENT", "ENOTDIR"];
const READ_ONLY = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW | fs.constants.O_NOCTTY;

const objectStat = (key: string, stat: fs.BigIntStats): ObjectStat => ({
  key,
  sizeBytes: Number(stat.size),
  etag: `"${versionOf(stat.size, stat.mtimeNs, stat.ino, stat.birthtimeNs)}"`,
  modifiedMs: Number(stat.mtimeMs),
  contentType: null,
});

export class FilesystemStore extends BaseStore implements ObjectStore {
  readonly kind = "filesystem";
  readonly #settings: FilesystemObjects;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #sweeper: NodeJS.Timeout;
  #hasBuckets = false;

  constructor(settings: FilesystemObjects, { log, clock }: { readonly log: Log; readonly clock: Clock }) {
    const { bucketPrefix } = settings;
    const root = resolve(settings.root);
    super(
      (name) => new FilesystemSource({ kind: "filesystem", root: join(root, bucketName(bucketPrefix, name)) }, { log }),
    );
    this.#settings = { root, bucketPrefix };
    this.#log = log;
    this.#clock = clock;
    this.#sweeper = setInterval(() => void this.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  protected putBody(name: ObjectName, body: Uint8Array | Readable, options: PutOptions): Promise<ObjectStat> {
    return this.#put(name, body, options);
  }

  putFile(name: ObjectName, file: string, options: PutFileOptions = {}): Promise<ObjectStat> {
    return this.#put(name, { file, isFinal: options.isFinal === true }, options);
  }

  head(name: ObjectName, { signal }: Asked = {}): Promise<ObjectStat | null> {
    return this.#attempt(name, signal, () => this.#head(name));
  }

  async get(
    name: ObjectName,
    { range, ifMatch, signal }: GetOptions = {},
  ): Promise<{ readonly stat: ObjectStat; readonly body: Readable }> {
    return this.#attempt(name, signal, async () => {
      const { handle, stat } = await this.#open(name);
      try {
        if (ifMatch !== undefined && ifMatch !== stat.etag) fail("OBJECT_CHANGED", { key: name.key });
        const { offset, lengthBytes } = clipped(range, stat.sizeBytes);
        signal?.throwIfAborted();
        if (lengthBytes === 0) {
          await handle.close();
          return { stat, body: Readable.from([]) };
        }
        const part = { start: offset, end: offset + lengthBytes - 1 };
        const body = handle.createReadStream({ ...part, highWaterMark: READ_BYTES, autoClose: true });
        return { stat, body: endedBy(body, signal) };
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  getBytes(
    name: ObjectName,
    { bytesMax, signal }: Asked & { readonly bytesMax: number },
  ): Promise<{ readonly stat: ObjectStat; readonly bytes: Buffer }> {
    return this.#attempt(name, signal, async () => {
      const { handle, stat } = await this.#open(name);
      try {
        mustFit(stat, bytesMax);
        const bytes = Buffer.alloc(stat.sizeBytes);
        await readWhole(handle, bytes, 0);
        return { stat, bytes };
      } finally {
        await handle.close();
      }
    });
  }

  fetchTo(name: ObjectName, file: string, { signal }: Asked = {}): Promise<ObjectStat> {
    return this.#attempt(name, signal, async () => {
      const { handle, stat } = await this.#open(name);
      try {
        await intoNewFile(file, (to) => copyTo(handle, { to, sizeBytes: stat.sizeBytes, signal })).catch(ofLocalFile);
        return stat;
      } finally {
        await handle.close();
      }
    });
  }

  compose({ bucket, parts }: Composition, to: ObjectName, asked: Asked = {}): Promise<ObjectStat> {
    const bytesOf = async function* (this: FilesystemStore): AsyncGenerator<Buffer> {
      for (const { key, etag } of parts) yield* (await this.get({ bucket, key }, { ifMatch: etag, ...asked })).body;
    };
    return this.put(to, Readable.from(bytesOf.call(this), { objectMode: false }), asked);
  }

  async delete(bucket: Bucket, keys: readonly string[]): Promise<void> {
    for (const key of keys) checkedKey(key);
    for (const key of keys) {
      const name = { bucket, key };
      await this.#attempt(name, undefined, () => this.#delete(name));
    }
  }

  async *list(bucket: Bucket, { prefix = "", after = "" }: ListOptions = {}): AsyncIterable<ObjectStat> {
    const name = { bucket, key: checkedPrefix(prefix) };
    try {
      await this.#mustHave(bucket);
      for await (const { key, stat } of listFolder(this.#bucket(bucket), { prefix, after }))
        yield objectStat(key, stat);
    } catch (error) {
      throw asObjectFault(error, { name, log: this.#log, signal: undefined });
    }
  }

  async input(name: ObjectName): Promise<ObjectInput> {
    await this.need(name, {});
    return { url: this.#fileOf(name), protocols: ["file"] };
  }

  async ping(): Promise<void> {
    const name = { bucket: "segments", key: "" } as const;
    await this.#attempt(name, undefined, () =>
      this.makeBuckets().catch((error: unknown) => {
        throw Object.assign(new Error(reasonOf(error)), { code: "EIO" }); // whatever is in its way
      }),
    );
  }

  override async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await super.close();
  }

  async makeBuckets(): Promise<void> {
    const { root } = this.#settings;
    await mkdir(root, { recursive: true });
    await access(root, fs.constants.W_OK);
    for (const bucket of BUCKETS) await makeFolders(root, this.#bucket(bucket));
    this.#hasBuckets = true;
  }

  /** Removes what kills have left behind. */
  async sweep(): Promise<void> {
    const removed = await sweepStaging(this.#settings.root, this.#clock.nowMs());
    if (removed > 0) this.#log.info({ removed }, "object store: files that broken writes have left are removed");
  }

  #bucket(bucket: Bucket): string {
    return join(this.#settings.root, bucketName(this.#settings.bucketPrefix, bucket));
  }

  #fileOf({ bucket, key }: ObjectName): string {
    return join(this.#bucket(bucket), checkedKey(key));
  }

  /** The file of a key; PATH_REFUSED where a symbolic link is on the way to it. */
  async #locate(name: ObjectName): Promise<string> {
    const file = this.#fileOf(name);
    const root = await this.#realRoot();
    const within = dirname(file).slice(this.#settings.root.length);
    if ((await realpath(dirname(file))) === join(root, within)) return file;
    return fail("PATH_REFUSED", { path: name.key, reason: "a symbolic link is on the way to it" });
  }

  /** A disk that is not mounted is a failure, and not objects that are not there. */
  #realRoot(): Promise<string> {
    return realpath(this.#settings.root).catch((error: unknown) => {
      this.#log.warn({ reason: reasonOf(error) }, "object store: its folder can't be used");
      return fail("OBJECT_STORE_DOWN");
    });
  }

  /** An empty folder where a disk ought to be has no buckets: what is not found there may well be on the disk. */
  async #mustHave(bucket: Bucket): Promise<void> {
    await this.#realRoot();
    const found = access(this.#bucket(bucket));
    // A disk that was not there at the start may be a new one.
    await (this.#hasBuckets ? found : found.catch(() => this.makeBuckets())).catch((error: unknown) => {
      this.#log.warn({ bucket, reason: reasonOf(error) }, "object store: the folder of a bucket is not there");
      return fail("OBJECT_STORE_DOWN");
    });
  }

  async #head(name: ObjectName): Promise<ObjectStat | null> {
    try {
      const stat = await lstat(await this.#locate(name), { bigint: true });
      return stat.isFile() ? objectStat(name.key, stat) : null;
    } catch (error) {
      if (!NOT_THERE.includes(errnoOf(error))) throw error;
      await this.#mustHave(name.bucket);
      return null;
    }
  }

  async #open(name: ObjectName): Promise<{ readonly handle: FileHandle; readonly stat: ObjectStat }> {
    if ((await this.#head(name)) === null) fail("OBJECT_NOT_FOUND", { key: name.key });
    const handle = await open(this.#fileOf(name), READ_ONLY);
    try {
      return { handle, stat: objectStat(name.key, await handle.stat({ bigint: true })) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  #put(name: ObjectName, body: Body, options: PutOptions): Promise<ObjectStat> {
    const { ifAbsent, signal } = options;
    return this.#attempt(name, signal, async () => {
      const file = this.#fileOf(name);
      await this.#mustHave(name.bucket);
      await this.mustHold(name, options); // before the bytes: most that fail do so here
      const staged = await stage(this.#settings.root, body, signal);
      try {
        await this.mustHold(name, options);
        const stat = await lstat(staged, { bigint: true });
        await this.#name(staged, { file, name, ifAbsent });
        return objectStat(name.key, stat);
      } finally {
        await unlink(staged).catch(() => {}); // gone by a rename
      }
    });
  }

  async #name(staged: string, to: { file: string; name: ObjectName; ifAbsent: true | undefined }): Promise<void> {
    const folder = dirname(to.file);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#locate(to.name).catch(async (error: unknown) => {
          if (!NOT_THERE.includes(errnoOf(error))) throw error;
          await makeFolders(this.#settings.root, folder);
        });
        if (to.ifAbsent) await link(staged, to.file);
        else await rename(staged, to.file);
        return await syncFolder(folder);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === "EEXIST") fail("OBJECT_CHANGED", { key: to.name.key });
        if (errno === "ENOTDIR") fail("PATH_REFUSED", { path: to.name.key, reason: "a part of it is an object" });
        const isPruned = errno === "ENOENT" || (errno === "EISDIR" && (await this.#pruned(to.file)));
        if (!isPruned) throw error;
        if (attempt === NAME_ATTEMPTS) fail("OBJECT_STORE_DOWN");
      }
    }
  }

  /** Whether an empty folder was in the place of an object, and is gone. */
  #pruned(folder: string): Promise<boolean> {
    return rmdir(folder).then(
      () => true,
      () => false,
    );
  }

  async #delete(name: ObjectName): Promise<void> {
    const bucket = this.#bucket(name.bucket);
    try {
      const file = await this.#locate(name);
      await unlink(file);
      for (let folder = dirname(file); folder !== bucket && (await this.#pruned(folder)); ) folder = dirname(folder);
    } catch (error) {
      const isNone = [...NOT_THERE, "EISDIR", "EPERM"].includes(errnoOf(error));
      if (!isNone || (await this.#head(name)) !== null) throw error;
    }
  }

  async #attempt<T>(name: ObjectName, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      throw asObjectFault(error, { name, log: this.#log, signal });
    }
  }
}

const endedBy = (body: Readable, signal: AbortSignal | undefined): Readable => {
  if (signal === undefined) return body;
  const abort = () => void body.destroy(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  body.once("close", () => signal.removeEventListener("abort", abort));
  return body;
};

const readWhole = async (handle: FileHandle, target: Uint8Array, position: number): Promise<void> => {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw Object.assign(new Error("it is shorter than it was"), { code: "EIO" });
    done += bytesRead;
  }
};

interface CopyTo {
  readonly signal: AbortSignal | undefined;
  readonly to: FileHandle;
  readonly sizeBytes: number;
}

const copyTo = async (from: FileHandle, { to, sizeBytes, signal }: CopyTo): Promise<void> => {
  const window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, sizeBytes));
  for (let at = 0; at < sizeBytes; at += window.length) {
    signal?.throwIfAborted();
    const part = window.subarray(0, Math.min(window.length, sizeBytes - at));
    await readWhole(from, part, at).catch((error: unknown) => {
      throw new StoreReadError(error);
    });
    await writeAll(to, part, at);
  }
};

class StoreReadError extends Error {
  constructor(cause: unknown) {
    super("the object can't be read", { cause });
  }
}

const ofLocalFile = (error: unknown): never => {
  if (error instanceof StoreReadError) throw error.cause;
  if (error instanceof ForeignError) throw error;
  return asForeign(error);
};

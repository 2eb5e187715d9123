/** An upload as one growing file in a folder beside the buckets; nodes that share the folder can all go on with it. */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, Fault } from "../../contracts/errors.ts";
import type { ObjectStat, ObjectStore } from "../../lib/objects/port.ts";
import type { Finishing, Place, Staging, Writing } from "./staging.ts";

const BATCH_BYTES = 1024 * 1024; // one system call; two of them are all the memory that an upload takes
const SYNC_BYTES = 32 * 1024 * 1024; // what a kill -9 costs at most at full speed
const SYNC_MS = 2_000; // and of a slow one
const UNSYNCED_BYTES_MAX = 256 * 1024 * 1024; // a disk that is slower than the network slows the client down

const ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const FILE_NAME = new RegExp(`^(${ID})\\.(${ID})$`);

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

const asFault = (error: unknown): unknown => {
  const { code } = error as { code?: string };
  if (codeOf(error) !== undefined || typeof code !== "string" || code.startsWith("ERR_")) return error;
  return Object.assign(new Fault(FULL.has(code) ? "OBJECT_STORE_FULL" : "OBJECT_STORE_DOWN"), { cause: error });
};

const writeBatch = async (handle: FileHandle, batch: readonly Buffer[], position: number): Promise<void> => {
  let left = [...batch];
  for (let at = position; left.length > 0; ) {
    const { bytesWritten } = await handle.writev(left, at);
    if (bytesWritten === 0) throw Object.assign(new Error("nothing is written"), { code: "ENOSPC" });
    at += bytesWritten;
    let skipped = bytesWritten;
    left = left.flatMap((chunk) => {
      const from = Math.min(skipped, chunk.length);
      skipped -= from;
      return from === chunk.length ? [] : [chunk.subarray(from)];
    });
  }
};

/** Writes while the next bytes come, and makes durable what is written while more is written. */
class Pump {
  readonly #handle: FileHandle;
  readonly #kept: Writing["kept"];
  #written: number;
  #synced: number;
  #syncedAt = performance.now();
  #syncing: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #error: { readonly error: unknown } | undefined;

  constructor(handle: FileHandle, { offset, kept }: Writing) {
    this.#handle = handle;
    this.#kept = kept;
    this.#written = offset;
    this.#synced = offset;
  }

  async take(chunk: Buffer): Promise<void> {
    this.#batch.push(chunk);
    this.#batchBytes += chunk.length;
    if (this.#batchBytes >= BATCH_BYTES || performance.now() - this.#syncedAt > SYNC_MS) await this.#flush();
  }

  /** Everything that was taken, as far as it could be written, is durable and told of. */
  async end(): Promise<void> {
    await this.#flush().catch(() => {});
    await this.#writing;
    await this.#syncing;
    if (this.#written > this.#synced && !this.#isFenced) await this.#sync();
    this.#check();
  }

  #isFenced = false;

  async #flush(): Promise<void> {
    await this.#writing;
    this.#check();
    const batch = this.#batch;
    const bytes = this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    if (bytes > 0) this.#writing = this.#write(batch, bytes);
    const unsynced = this.#written - this.#synced;
    if (unsynced > UNSYNCED_BYTES_MAX) await this.#syncing;
    const isDue = unsynced >= SYNC_BYTES || (unsynced > 0 && performance.now() - this.#syncedAt > SYNC_MS);
    if (isDue && !this.#syncing) {
      this.#syncing = this.#sync().finally(() => {
        this.#syncing = undefined;
      });
    }
  }

  async #write(batch: readonly Buffer[], bytes: number): Promise<void> {
    try {
      await writeBatch(this.#handle, batch, this.#written);
      this.#written += bytes;
    } catch (error) {
      this.#error ??= { error: asFault(error) };
    }
  }

  async #sync(): Promise<void> {
    const upTo = this.#written;
    try {
      await this.#handle.datasync();
    } catch (error) {
      // What a failed sync was about may be lost for good: nothing more of it is told of.
      this.#isFenced = true;
      this.#error ??= { error: asFault(error) };
      return;
    }
    try {
      await this.#kept(upTo);
      this.#synced = upTo;
    } catch (error) {
      this.#isFenced = true;
      this.#error ??= { error };
    }
    this.#syncedAt = performance.now();
  }

  #check(): void {
    if (this.#error) throw this.#error.error;
  }
}

export class FileStaging implements Staging {
  readonly #objects: ObjectStore;
  readonly #folder: string;

  constructor(objects: ObjectStore, folder: string) {
    this.#objects = objects;
    this.#folder = folder;
  }

  async create(place: Place): Promise<void> {
    // A store that is away says so here: nothing is made where its disk ought to be.
    await this.#objects.head({ bucket: "sources", key: `${place.tenantId}/${place.uploadId}` });
    try {
      await mkdir(this.#folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      });
      await (await open(this.#fileOf(place), "a", 0o644)).close();
      const folder = await open(this.#folder, constants.O_RDONLY | constants.O_DIRECTORY);
      await folder.sync().finally(() => folder.close());
    } catch (error) {
      throw asFault(error);
    }
  }

  async write(writing: Writing): Promise<void> {
    const handle = await open(this.#fileOf(writing.place), constants.O_WRONLY | constants.O_CREAT, 0o644).catch(
      (error: unknown) => {
        throw asFault(error);
      },
    );
    const pump = new Pump(handle, writing);
    try {
      let broken: { readonly error: unknown } | undefined;
      try {
        for await (const chunk of writing.body) await pump.take(chunk);
      } catch (error) {
        broken = { error };
      }
      await pump.end();
      if (broken) throw broken.error;
    } finally {
      await handle.close();
    }
  }

  async finish({ place, to, sizeBytes, signal }: Finishing): Promise<ObjectStat> {
    const there = await this.#objects.head(to, { signal });
    if (there?.sizeBytes === sizeBytes) return there;
    const file = this.#fileOf(place);
    const found = await stat(file).catch((error: unknown) => {
      throw asFault(error);
    });
    // A former writer that was cut off may have written more than it told of.
    if (found.size < sizeBytes) throw new Error("bug: an upload is shorter than what was told of it");
    if (found.size > sizeBytes) await this.#cut(file, sizeBytes);
    // Nobody writes to it any more: a writer that has lost the lock is refused before its next write, and one in the
    // middle of one has the same bytes of the same client.
    return this.#objects.putFile(to, file, { signal, isFinal: true });
  }

  async remove(place: Place): Promise<void> {
    await unlink(this.#fileOf(place)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw asFault(error);
    });
  }

  async idle(forMs: number): Promise<readonly Place[]> {
    const names = await readdir(this.#folder).catch((): string[] => []); // there may be none yet
    const places: Place[] = [];
    for (const name of names) {
      const [, tenantId, uploadId] = FILE_NAME.exec(name) ?? [];
      if (tenantId === undefined || uploadId === undefined) continue; // what NFS and file managers leave
      const found = await stat(join(this.#folder, name)).catch(() => null); // gone meanwhile
      if (found !== null && Date.now() - found.mtimeMs > forMs) places.push({ tenantId, uploadId });
    }
    return places;
  }

  async #cut(file: string, sizeBytes: number): Promise<void> {
    const handle = await open(file, "r+");
    await handle.truncate(sizeBytes).finally(() => handle.close());
  }

  /** Both are UUIDs. */
  #fileOf({ tenantId, uploadId }: Place): string {
    return join(this.#folder, `${tenantId}.${uploadId}`);
  }
}

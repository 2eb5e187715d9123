/**
 * An upload as objects, each named by the offset of its first byte: `{tenantId}/{uploadId}.parts/000000016777216`. A
 * part whose offset was never told of is overwritten by the next one at its place, so the chain of parts that follows
 * from 0 is the upload.
 */
import { fail } from "../../contracts/errors.ts";
import type { ObjectName, ObjectStat, ObjectStore } from "../../lib/objects/port.ts";
import type { Finishing, Place, Staging, Writing } from "./staging.ts";

const MiB = 1024 * 1024;
const PART_BYTES = 16 * MiB; // one comes in while one goes out: 48 MiB with the copy
/** S3 puts 10,000 parts together without their bytes passing through here: 257 GiB, in parts of these lengths. */
const LARGE_PART_BYTES = 2 * PART_BYTES;
const LARGE_FROM_BYTES = 48 * 1024 * MiB;
const PART_MS = 10_000; // what came slowly is kept as well
const OFFSET_DIGITS = 15;

const folderOf = ({ tenantId, uploadId }: Place): string => `${tenantId}/${uploadId}.parts/`;
const partOf = (place: Place, offset: number): ObjectName => ({
  bucket: "sources",
  key: folderOf(place) + String(offset).padStart(OFFSET_DIGITS, "0"),
});

export class PartStaging implements Staging {
  readonly #objects: ObjectStore;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  async create(): Promise<void> {
    // The first part makes its folder.
  }

  async write({ place, offset, body, kept }: Writing): Promise<void> {
    let at = offset;
    let chunks: Buffer[] = [];
    let bytes = 0;
    let beganAt = performance.now();
    let putting: Promise<void> = Promise.resolve();
    let failure: { readonly error: unknown } | undefined;
    const put = async (): Promise<void> => {
      await putting;
      if (failure) throw failure.error;
      if (bytes === 0) return;
      const part = Buffer.concat(chunks);
      const from = at;
      at += part.length;
      chunks = [];
      bytes = 0;
      beganAt = performance.now();
      putting = this.#objects
        .put(partOf(place, from), part)
        .then(() => kept(from + part.length))
        .catch((error: unknown) => {
          failure = { error };
        });
    };
    let broken: { readonly error: unknown } | undefined;
    try {
      for await (const chunk of body) {
        chunks.push(chunk);
        bytes += chunk.length;
        const partBytes = at < LARGE_FROM_BYTES ? PART_BYTES : LARGE_PART_BYTES;
        if (bytes >= partBytes || performance.now() - beganAt > PART_MS) await put();
      }
    } catch (error) {
      broken = { error };
    }
    await put();
    await putting;
    // Set by the callback above, which the compiler does not follow.
    const failed = failure as { readonly error: unknown } | undefined;
    if (failed) throw failed.error;
    if (broken) throw broken.error;
  }

  async finish({ place, to, sizeBytes, signal }: Finishing): Promise<ObjectStat> {
    const there = await this.#objects.head(to, { signal });
    if (there?.sizeBytes === sizeBytes) return there;
    const parts = await this.#chain(place, sizeBytes);
    return this.#objects.compose({ bucket: "sources", parts }, to, { signal });
  }

  async remove(place: Place): Promise<void> {
    const keys: string[] = [];
    for await (const { key } of this.#objects.list("sources", { prefix: folderOf(place) })) keys.push(key);
    if (keys.length > 0) await this.#objects.delete("sources", keys);
  }

  async idle(): Promise<readonly Place[]> {
    return []; // nothing is made before its row
  }

  /** Others may lie beside it, whose offsets were never told of. */
  async #chain(place: Place, sizeBytes: number): Promise<ObjectStat[]> {
    const parts = new Map<string, ObjectStat>();
    for await (const part of this.#objects.list("sources", { prefix: folderOf(place) })) parts.set(part.key, part);
    const chain: ObjectStat[] = [];
    let at = 0;
    while (at < sizeBytes) {
      const { key } = partOf(place, at);
      const part = parts.get(key);
      if (!part || part.sizeBytes === 0) return fail("OBJECT_NOT_FOUND", { key });
      chain.push(part);
      at += part.sizeBytes;
    }
    if (at > sizeBytes) throw new Error("bug: an upload is longer than what was told of it");
    return chain;
  }
}

/** What every kind of store does alike: buckets as sources, conditions of a put, what becomes of a body that failed. */
import { Readable } from "node:stream";
import { fail } from "../../contracts/errors.ts";
import type { ContentSource } from "../source/port.ts";
import type { Asked, Bucket, ObjectName, ObjectStat, PutOptions } from "./port.ts";
import { SharedSources } from "./shared-sources.ts";

export abstract class BaseStore {
  readonly #sources: SharedSources;

  constructor(makeSource: (bucket: Bucket) => ContentSource) {
    this.#sources = new SharedSources(makeSource);
  }

  abstract head(name: ObjectName, asked?: Asked): Promise<ObjectStat | null>;
  protected abstract putBody(name: ObjectName, body: Uint8Array | Readable, options: PutOptions): Promise<ObjectStat>;

  async put(name: ObjectName, body: Uint8Array | Readable, options: PutOptions = {}): Promise<ObjectStat> {
    try {
      return await this.putBody(name, body, options);
    } catch (error) {
      if (body instanceof Readable) body.destroy();
      throw error;
    }
  }

  source(bucket: Bucket): ContentSource {
    return this.#sources.get(bucket);
  }

  async close(): Promise<void> {
    await this.#sources.close();
  }

  /** Fails with OBJECT_NOT_FOUND. */
  protected async need(name: ObjectName, asked: Asked): Promise<ObjectStat> {
    return (await this.head(name, asked)) ?? fail("OBJECT_NOT_FOUND", { key: name.key });
  }

  /** Fails with OBJECT_CHANGED where what is there now is not what a put wants. */
  protected async mustHold(name: ObjectName, { ifAbsent, ifMatch, signal }: PutOptions): Promise<void> {
    if (ifAbsent === undefined && ifMatch === undefined) return;
    const now = await this.head(name, signal ? { signal } : {});
    const holds = ifAbsent ? now === null : now?.etag === ifMatch;
    if (!holds) fail("OBJECT_CHANGED", { key: name.key });
  }
}

/** Fails with PATH_REFUSED for an object that is larger than who asks takes at once. */
export const mustFit = ({ key, sizeBytes }: ObjectStat, bytesMax: number): void => {
  if (sizeBytes > bytesMax) fail("PATH_REFUSED", { path: key, reason: `it has more than ${bytesMax} bytes` });
};
